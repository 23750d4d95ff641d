//! Carrying what SQLite has written from its log into its file, beside those who write: whoever's write fills the log would
//! else do it while everybody waits.

use std::time::Duration;

use crate::store::Store;

/// What is written in this time goes into the file at once: a page that was written often only once.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// Goes on for ever.
pub async fn checkpoint(store: Store) {
    loop {
        tokio::time::sleep(CHECKPOINT_INTERVAL).await;
        if let Err(error) = store.checkpoint().await {
            tracing::warn!(?error, "could not carry the database's log into its file; trying again");
        }
    }
}
