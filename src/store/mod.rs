//! Placeholder: all SQL lives here.

use crate::config::Database;
use crate::error::{Error, Result};

/// Brings the schema to this version.
pub async fn migrate(_database: &Database) -> Result<()> {
    Err(Error::internal("migrating is not there yet"))
}

/// Undoes the newest steps.
pub async fn migrate_down(_database: &Database, _steps: u32) -> Result<()> {
    Err(Error::internal("migrating is not there yet"))
}

/// Whether the database answers.
pub async fn check(_database: &Database) -> Result<()> {
    Err(Error::internal("checking is not there yet"))
}
