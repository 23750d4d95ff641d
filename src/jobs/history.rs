//! Deleting executions in the background: those that somebody asked for, and those that are old. In small steps with
//! pauses, so that nobody who reads or appends waits for it; each step is done as a whole or not at all.

use std::time::Duration;

use chrono::TimeDelta;

use super::worker::Failure;
use super::{Tools, topics};
use crate::clock::now;
use crate::domain::limits::{DELETION_PAUSE_MILLISECONDS, DELETION_STEP_ROWS};
use crate::error::Result;
use crate::event::Topic;
use crate::store::{ExecutionRow, JobRow};

const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(DELETION_PAUSE_MILLISECONDS);

/// Deletes what a deletion has listed, from where it was left.
pub(super) async fn delete_executions(tools: &Tools, job: &JobRow) -> Result<(), Failure> {
    loop {
        let step = tools.store.delete_listed(job, now(), DELETION_STEP_ROWS).await?;
        if step.is_last {
            return Ok(());
        }
        tell(tools, &step.gone);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Deletes executions that completed more than `retention_days` ago, for ever; `None` keeps them all.
pub async fn retain_history(tools: Tools, retention_days: Option<u32>) {
    let Some(days) = retention_days else { return std::future::pending().await };
    loop {
        if let Err(error) = delete_old(&tools, TimeDelta::days(days.into())).await {
            tracing::warn!(?error, "could not delete old executions; trying again later");
        }
        tokio::time::sleep(RETENTION_INTERVAL).await;
    }
}

async fn delete_old(tools: &Tools, retention: TimeDelta) -> Result<()> {
    let mut total = 0;
    loop {
        let now = now();
        let gone = tools.store.delete_old_executions(now - retention, now, DELETION_STEP_ROWS).await?;
        tell(tools, &gone);
        total += gone.len();
        if (gone.len() as u64) < DELETION_STEP_ROWS {
            if total > 0 {
                tracing::info!(executions = total, "deleted old executions");
            }
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn tell(tools: &Tools, gone: &[ExecutionRow]) {
    // Their logs' objects go by jobs of their own.
    tools.wakeups.announce(gone.iter().flat_map(topics).chain([Topic::Jobs]));
}
