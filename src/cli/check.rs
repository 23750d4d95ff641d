//! `runledger check`: whether what the settings name is there.

use super::{Stop, block_on, print};
use crate::auth::Authenticator;
use crate::config::{Config, Database, KeySource};

pub(super) fn run(config: &Config) -> Result<(), Stop> {
    print("\nThe settings are valid.\n")?;
    if config.tokens.keys.iter().any(|key| matches!(key, KeySource::Jwks(_))) {
        let authenticator = Authenticator::new(&config.tokens)?;
        block_on(authenticator.fetch_keys())?;
        print("The issuers' keys were fetched.\n")?;
    }
    if let Database::Sqlite { path, .. } = &config.database
        && !path.exists()
    {
        return print(&format!("There is no database yet: serve makes {}.\n", path.display()));
    }
    block_on(crate::app::check_database(config))?;
    print(&format!("The database answers: {}.\n", config.database))
}
