//! `runledger check`: whether what the settings name is there.

use super::{Stop, block_on, print};
use crate::app;
use crate::auth::Authenticator;
use crate::blob::BlobError;
use crate::config::{Config, Database, KeySource, Storage};
use crate::error::Error;

pub(super) fn run(config: &Config) -> Result<(), Stop> {
    print("\nThe settings are valid.\n")?;
    if config.tokens.keys.iter().any(|key| matches!(key, KeySource::Jwks(_))) {
        let authenticator = Authenticator::new(&config.tokens)?;
        block_on(authenticator.fetch_keys())?;
        print("The issuers' keys were fetched.\n")?;
    }
    storage(&config.storage)?;
    if let Database::Sqlite { path, .. } = &config.database
        && !path.exists()
    {
        return print(&format!("There is no database yet: serve makes {}.\n", path.display()));
    }
    block_on(app::check_database(config))?;
    print(&format!("The database answers: {}.\n", config.database))
}

/// Whether storage answers, and its buckets are there and private. A missing one is no failure: `serve` makes it.
fn storage(storage: &Storage) -> Result<(), Stop> {
    let Some(cloud) = &storage.cloud else {
        return print("Objects are kept on this machine.\n");
    };
    let problems = block_on(async { Ok(app::check_storage(storage).await) })?;
    let (missing, wrong): (Vec<_>, Vec<_>) =
        problems.iter().partition(|(_, error)| matches!(error, BlobError::NoBucket(_)));
    if !wrong.is_empty() {
        let lines: String =
            wrong.iter().map(|(bucket, error)| format!("\n  {bucket}: {error}{}", remedy(error))).collect();
        return Err(Error::internal(format!("{cloud} cannot be used:{lines}")).into());
    }
    let use_of_it = if storage.uses_cloud { "" } else { "; nothing is sent there (USE_CLOUD_STORAGE)" };
    print(&format!("Storage answers: {cloud}{use_of_it}.\n"))?;
    for (bucket, _) in missing {
        print(&format!("There is no bucket {bucket} yet: serve makes it if the keys allow that.\n"))?;
    }
    Ok(())
}

/// What to do, where the error does not say so itself.
fn remedy(error: &BlobError) -> &'static str {
    match error {
        BlobError::Refused(_) => " (check the keys, their rights and the region; see docs/storage.md)",
        BlobError::Unavailable { .. } => " (check the address, and whether this machine can reach it)",
        BlobError::NoBucket(_)
        | BlobError::Public(_)
        | BlobError::NotFound
        | BlobError::TooLarge(_)
        | BlobError::Torn(_) => "",
    }
}
