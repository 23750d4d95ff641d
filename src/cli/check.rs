//! `runledger check`: whether what the settings name is there.

use super::{Stop, block_on};
use crate::config::Config;

pub(super) fn run(config: &Config) -> Result<(), Stop> {
    println!("\nThe settings are valid. Connecting to {} …", config.database);
    block_on(crate::store::check(&config.database))?;
    println!("The database answers.");
    Ok(())
}
