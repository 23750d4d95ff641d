//! Merging the parts of SQLite's index of words, beside those who write: whoever adds to it would else do it while everybody waits.

use std::time::Duration;

use crate::domain::limits::{
    WORDS_MERGE_PAGES_MAX, WORDS_MERGE_PAUSE_FACTOR, WORDS_MERGE_PAUSE_MILLISECONDS_MIN,
    WORDS_MERGE_STEP_MICROSECONDS,
};
use crate::store::Store;

/// Parts that come in this time are merged together; a search looks into each of them.
const MERGE_INTERVAL: Duration = Duration::from_millis(250);
/// After so long without a write there may be something to merge that another process has written.
const QUIET_MAX: Duration = Duration::from_secs(60);
/// How long a step is to take.
const AIM: Duration = Duration::from_micros(WORDS_MERGE_STEP_MICROSECONDS);

/// Goes on for ever.
pub async fn merge_words(store: Store) {
    let mut pages = 1;
    loop {
        match store.merge_words(pages).await {
            Ok(step) if step.is_last => {
                _ = tokio::time::timeout(QUIET_MAX, store.written()).await;
                tokio::time::sleep(MERGE_INTERVAL).await;
            }
            Ok(step) => {
                pages = next_pages(pages, step.held);
                tokio::time::sleep(pause(step.held)).await;
            }
            Err(error) => {
                tracing::warn!(?error, "could not merge the index of words; trying again");
                tokio::time::sleep(MERGE_INTERVAL).await;
            }
        }
    }
}

/// As many as fit into the time of a step, if this many took so long.
fn next_pages(pages: u32, held: Duration) -> u32 {
    if held > AIM {
        (pages / 2).max(1)
    } else if held < AIM / 2 {
        (pages * 2).min(WORDS_MERGE_PAGES_MAX)
    } else {
        pages
    }
}

/// How long others have the database after a step that took so long.
fn pause(held: Duration) -> Duration {
    (held * WORDS_MERGE_PAUSE_FACTOR).max(Duration::from_millis(WORDS_MERGE_PAUSE_MILLISECONDS_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_others_wait_for_makes_the_next_one_smaller() {
        let mut pages = 1;
        for _ in 0..100 {
            pages = next_pages(pages, AIM / 4);
        }
        assert_eq!(pages, WORDS_MERGE_PAGES_MAX);
        assert_eq!(next_pages(pages, AIM), pages);
        for _ in 0..100 {
            pages = next_pages(pages, AIM * 2);
        }
        assert_eq!(pages, 1, "something is merged however slow that is");
    }

    #[test]
    fn others_have_the_database_most_of_the_time() {
        assert_eq!(pause(AIM), AIM * WORDS_MERGE_PAUSE_FACTOR);
        assert_eq!(pause(Duration::ZERO), Duration::from_millis(WORDS_MERGE_PAUSE_MILLISECONDS_MIN));
    }
}
