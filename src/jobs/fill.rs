//! Making executions findable that are from before there was a search.

use std::time::Duration;

use crate::domain::limits::SEARCH_FILL_ROWS;
use crate::store::Store;

/// How long others have the database between two transactions.
const PAUSE: Duration = Duration::from_millis(20);
const RETRY: Duration = Duration::from_secs(30);

/// Fills in the words of all that wait, then waits for ever: no more of them come. What is done stays done, so that a
/// restart goes on where it stopped; several servers take different ones.
pub async fn fill_in_words(store: Store) {
    let (mut total, mut last) = (0, 1);
    loop {
        match store.fill_in_words(SEARCH_FILL_ROWS).await {
            // None twice: what was locked the first time is done by now.
            Ok(0) if last == 0 => break,
            Ok(filled) => {
                (total, last) = (total + filled, filled);
                tokio::time::sleep(if filled == 0 { RETRY } else { PAUSE }).await;
            }
            Err(error) => {
                tracing::warn!(?error, "could not make executions findable; trying again later");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
    if total > 0 {
        tracing::info!(executions = total, "executions from before there was a search can be found");
    }
    std::future::pending::<()>().await;
}
