//! Ending executions whose runners have fallen silent.

use std::time::Duration;

use super::topics;
use crate::clock::{Timestamp, now};
use crate::error::Result;
use crate::event::Wakeups;
use crate::store::{SilenceRule, Store};

const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Executions that one transaction looks at: few enough that nobody waits for it.
const CHECK_ROWS: u64 = 200;

/// Looks for signs of life for ever. Silence counts from `started_at` at the earliest, when this server began to listen.
pub async fn end_silent(
    store: Store,
    wakeups: Wakeups,
    started_at: Timestamp,
    stale_after_seconds: Option<u32>,
) {
    let rule = SilenceRule { default_seconds: stale_after_seconds, listening_since: started_at };
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        if let Err(error) = check(&store, &wakeups, &rule).await {
            tracing::warn!(?error, "could not look for signs of life of executions; trying again later");
        }
    }
}

async fn check(store: &Store, wakeups: &Wakeups, rule: &SilenceRule) -> Result<()> {
    loop {
        let checked = store.end_silent_executions(rule, now(), CHECK_ROWS).await?;
        if !checked.ended.is_empty() {
            tracing::info!(executions = checked.ended.len(), "ended executions whose runners fell silent");
        }
        wakeups.announce(checked.ended.iter().flat_map(topics));
        if (checked.rows as u64) < CHECK_ROWS {
            return Ok(());
        }
    }
}
