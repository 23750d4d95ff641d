//! Removing rows that nobody needs any more.

use std::time::Duration;

use chrono::TimeDelta;

use crate::clock::now;
use crate::domain::limits::FEED_RETENTION_HOURS;
use crate::error::Result;
use crate::event::{Topic, Wakeups};
use crate::store::Store;

const SWEEP_INTERVAL_SECONDS: u64 = 10;
/// Rows removed in one transaction: few enough that nobody waits for it.
const SWEEP_ROWS: u64 = 500;
/// Events outlive the last cursor that reaches them, so that no reader finds a gap.
const FEED_MARGIN_HOURS: i64 = 1;

/// Sweeps for ever: discards executions that were not to be kept, forgets changes that no cursor reaches.
pub async fn sweep(store: Store, wakeups: Wakeups) {
    let mut timer = tokio::time::interval(Duration::from_secs(SWEEP_INTERVAL_SECONDS));
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        if let Err(error) = discard_executions(&store, &wakeups).await {
            tracing::warn!(?error, "could not discard executions; trying again later");
        }
        if let Err(error) = forget_changes(&store).await {
            tracing::warn!(?error, "could not forget old changes; trying again later");
        }
    }
}

async fn discard_executions(store: &Store, wakeups: &Wakeups) -> Result<()> {
    loop {
        let gone = store.discard_executions(now(), SWEEP_ROWS).await?;
        let topics = gone.iter().flat_map(|row| {
            let tenant = Topic::Tenant(row.tenant_id.clone());
            [tenant, Topic::Execution(row.id), Topic::Log(row.id), Topic::Visual(row.id)]
        });
        wakeups.announce(topics.chain([Topic::Jobs]));
        if (gone.len() as u64) < SWEEP_ROWS {
            return Ok(());
        }
    }
}

async fn forget_changes(store: &Store) -> Result<()> {
    let before = now() - TimeDelta::hours(FEED_RETENTION_HOURS + FEED_MARGIN_HOURS);
    while store.forget_changes(before, SWEEP_ROWS).await? == SWEEP_ROWS {}
    Ok(())
}
