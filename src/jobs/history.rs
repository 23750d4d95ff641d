//! Deleting executions in the background: those that somebody asked for, and those that are old. In small steps with
//! pauses, so that nobody who reads or appends waits for it; each step is done as a whole or not at all.

use std::time::Duration;

use chrono::TimeDelta;

use super::worker::Failure;
use super::{Tools, topics};
use crate::clock::now;
use crate::domain::limits::{
    DELETION_PAUSE_FACTOR, DELETION_PAUSE_MILLISECONDS_MIN, DELETION_STEP_MICROSECONDS,
    DELETION_STEP_ROWS_MAX,
};
use crate::error::Result;
use crate::event::Topic;
use crate::store::{DeletedStep, ExecutionRow, JobRow};

const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

/// Deletes what a deletion has listed, from where it was left.
pub(super) async fn delete_executions(tools: &Tools, job: &JobRow) -> Result<(), Failure> {
    let mut pace = Pace::default();
    loop {
        let step = tools.store.delete_listed(job, now(), pace.rows).await?;
        if step.is_last {
            return Ok(());
        }
        tell(tools, &step.gone);
        pace.pause_after(&step).await;
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
    let mut pace = Pace::default();
    let mut total = 0;
    loop {
        let now = now();
        let step = tools.store.delete_old_executions(now - retention, now, pace.rows).await?;
        tell(tools, &step.gone);
        total += step.gone.len();
        if step.is_last {
            if total > 0 {
                tracing::info!(executions = total, "deleted old executions");
            }
            return Ok(());
        }
        pace.pause_after(&step).await;
    }
}

/// How many executions the next step deletes.
#[derive(Debug)]
struct Pace {
    rows: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rows: 1 }
    }
}

impl Pace {
    /// Lets others go on, and takes as many executions next as fit into the time of a step.
    async fn pause_after(&mut self, step: &DeletedStep) {
        tracing::debug!(
            executions = step.gone.len(),
            held_micros = step.held.as_micros(),
            "deleted executions"
        );
        self.follow(step.held);
        tokio::time::sleep(pause(step.held)).await;
    }

    fn follow(&mut self, held: Duration) {
        let aim = Duration::from_micros(DELETION_STEP_MICROSECONDS);
        // Slowly up, so that one fast step misleads nobody; down at once.
        self.rows = if held <= aim { self.rows + 1 } else { self.rows / 2 }.clamp(1, DELETION_STEP_ROWS_MAX);
    }
}

fn pause(held: Duration) -> Duration {
    (held * DELETION_PAUSE_FACTOR).max(Duration::from_millis(DELETION_PAUSE_MILLISECONDS_MIN))
}

fn tell(tools: &Tools, gone: &[ExecutionRow]) {
    // Their logs' objects go by jobs of their own.
    tools.wakeups.announce(gone.iter().flat_map(topics).chain([Topic::Jobs]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_others_wait_for_makes_the_next_one_smaller() {
        let aim = Duration::from_micros(DELETION_STEP_MICROSECONDS);
        let mut pace = Pace::default();
        for _ in 0..1_000 {
            pace.follow(aim);
        }
        assert_eq!(pace.rows, DELETION_STEP_ROWS_MAX);
        pace.follow(aim + Duration::from_micros(1));
        assert_eq!(pace.rows, DELETION_STEP_ROWS_MAX / 2);
        for _ in 0..10 {
            pace.follow(aim * 100);
        }
        assert_eq!(pace.rows, 1, "something is deleted however slow that is");
    }

    #[test]
    fn others_have_the_database_most_of_the_time() {
        assert_eq!(pause(Duration::from_millis(100)), Duration::from_millis(100) * DELETION_PAUSE_FACTOR);
        assert_eq!(pause(Duration::ZERO), Duration::from_millis(DELETION_PAUSE_MILLISECONDS_MIN));
    }
}
