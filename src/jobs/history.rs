//! Deleting executions in the background: those that somebody asked for, and those that are old. In small steps with
//! pauses, so that hardly anybody who reads or appends waits for it; each step is done as a whole or not at all.

use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::worker::Failure;
use super::{Tools, topics};
use crate::clock::now;
use crate::domain::limits::{
    DELETION_FAST_STEPS, DELETION_IDLE_MILLISECONDS, DELETION_IDLE_PAUSE_FACTOR,
    DELETION_LIST_PAUSE_MILLISECONDS_MAX, DELETION_LIST_ROWS, DELETION_PAUSE_MICROSECONDS_PER_ROW_MAX,
    DELETION_PAUSE_MILLISECONDS_MIN, DELETION_QUIET_MILLISECONDS, DELETION_QUIET_PAUSE_FACTOR,
    DELETION_QUIET_PAUSE_MICROSECONDS_PER_ROW_MAX, DELETION_STEP_MICROSECONDS, DELETION_STEP_ROWS_MAX,
    DELETION_STEP_ROWS_MIN, DELETION_TURN_SECONDS, RETENTION_LAG_SECONDS_MAX,
};
use crate::error::Result;
use crate::event::Topic;
use crate::monitor;
use crate::store::{DeletedStep, ExecutionRow, JobRow};

const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
/// How long a step is to take.
const AIM: Duration = Duration::from_micros(DELETION_STEP_MICROSECONDS);

/// Completes the list of a deletion and deletes what is on it, from where either was left; others have their turn meanwhile.
pub(super) async fn delete_executions(tools: &Tools, job: &JobRow) -> Result<(), Failure> {
    let began = Instant::now();
    let is_over = || began.elapsed() > Duration::from_secs(DELETION_TURN_SECONDS);
    let mut others = Others::of(tools);
    if let Some(mut deletion) = tools.store.deletion_of(job).await? {
        loop {
            let listed = tools.store.list_for_deletion(deletion, now(), now()).await?;
            if listed.is_complete {
                break;
            }
            if is_over() {
                return Err(Failure::Unfinished);
            }
            deletion = listed.deletion;
            let longest = Duration::from_millis(DELETION_LIST_PAUSE_MILLISECONDS_MAX);
            tokio::time::sleep(others.haste().pause(DELETION_LIST_ROWS, listed.held).min(longest)).await;
        }
    }
    let mut pace = Pace::default();
    loop {
        let step = tools.store.delete_listed(job, now(), pace.rows).await?;
        if step.is_last {
            return Ok(());
        }
        tell(tools, &step.gone);
        if is_over() {
            return Err(Failure::Unfinished);
        }
        pace.pause_after(&step, others.haste()).await;
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
    let (mut pace, mut others) = (Pace::default(), Others::of(tools));
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
        let oldest = step.gone.iter().filter_map(|row| row.completed_at).min();
        let lag_max = TimeDelta::seconds(RETENTION_LAG_SECONDS_MAX);
        let is_late = oldest.is_some_and(|completed_at| now - retention - completed_at > lag_max);
        let haste = if is_late { others.haste().or(QUIET) } else { others.haste() };
        pace.pause_after(&step, haste).await;
    }
}

/// Whether others are served meanwhile.
#[derive(Debug)]
struct Others {
    served: u64,
    seen_at: Instant,
    haste: Haste,
}

impl Others {
    /// It is not known yet: as if somebody were.
    fn of(tools: &Tools) -> Self {
        let haste = Haste {
            pause_factor: 1_000 / tools.deletion_permille - 1,
            microseconds_per_row_max: DELETION_PAUSE_MICROSECONDS_PER_ROW_MAX,
        };
        Self { served: monitor::served(), seen_at: Instant::now(), haste }
    }

    fn haste(&mut self) -> Haste {
        self.haste_after(monitor::served(), Instant::now())
    }

    fn haste_after(&mut self, served: u64, now: Instant) -> Haste {
        if served != self.served {
            *self = Self { served, seen_at: now, haste: self.haste };
        }
        let served_ago = now - self.seen_at;
        if served_ago >= Duration::from_millis(DELETION_IDLE_MILLISECONDS) {
            self.haste.or(IDLE)
        } else if served_ago >= Duration::from_millis(DELETION_QUIET_MILLISECONDS) {
            self.haste.or(QUIET)
        } else {
            self.haste
        }
    }
}

/// How much of the time others have the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Haste {
    /// For each part of a transaction's own time.
    pause_factor: u32,
    microseconds_per_row_max: u64,
}

const QUIET: Haste = Haste {
    pause_factor: DELETION_QUIET_PAUSE_FACTOR,
    microseconds_per_row_max: DELETION_QUIET_PAUSE_MICROSECONDS_PER_ROW_MAX,
};

const IDLE: Haste = Haste { pause_factor: DELETION_IDLE_PAUSE_FACTOR, ..QUIET };

impl Haste {
    /// The one of the two that is faster.
    fn or(self, other: Self) -> Self {
        if self.pause_factor < other.pause_factor { self } else { other }
    }

    /// How long others have it after a transaction that took so long.
    fn pause(self, rows: u64, held: Duration) -> Duration {
        let longest = Duration::from_micros(self.microseconds_per_row_max * rows);
        let shortest = Duration::from_millis(DELETION_PAUSE_MILLISECONDS_MIN);
        (held * self.pause_factor).min(longest).max(held).max(shortest)
    }
}

/// How many executions the next step deletes.
#[derive(Debug)]
struct Pace {
    /// A power of two.
    rows: u64,
    fast_steps: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rows: DELETION_STEP_ROWS_MIN, fast_steps: 0 }
    }
}

impl Pace {
    /// Lets others go on, and takes as many executions next as fit into the time of a step.
    async fn pause_after(&mut self, step: &DeletedStep, haste: Haste) {
        let pause = haste.pause(self.rows, step.held);
        self.follow(step.held);
        tokio::time::sleep(pause).await;
    }

    fn follow(&mut self, held: Duration) {
        // Slowly up, so that one fast step misleads nobody; down at once.
        self.fast_steps = if held <= AIM { self.fast_steps + 1 } else { 0 };
        let rows = match self.fast_steps {
            0 => self.rows / 2,
            DELETION_FAST_STEPS => {
                self.fast_steps = 0;
                self.rows * 2
            }
            _ => self.rows,
        };
        self.rows = rows.clamp(DELETION_STEP_ROWS_MIN, DELETION_STEP_ROWS_MAX);
    }
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
        let mut pace = Pace::default();
        for _ in 0..1_000 {
            pace.follow(AIM);
        }
        assert_eq!(pace.rows, DELETION_STEP_ROWS_MAX);
        pace.follow(AIM + Duration::from_micros(1));
        assert_eq!(pace.rows, DELETION_STEP_ROWS_MAX / 2);
        for _ in 0..10 {
            pace.follow(AIM * 100);
        }
        assert_eq!(pace.rows, DELETION_STEP_ROWS_MIN, "something is deleted however slow that is");
    }

    #[test]
    fn others_have_the_database_most_of_the_time() {
        assert_eq!(QUIET.pause(100, AIM), AIM * DELETION_QUIET_PAUSE_FACTOR);
        assert_eq!(QUIET.pause(100, Duration::ZERO), Duration::from_millis(DELETION_PAUSE_MILLISECONDS_MIN));
    }

    #[test]
    fn others_come_first_until_nobody_has_asked_for_anything_for_some_seconds() {
        let (began, slow) = (Instant::now(), Haste { pause_factor: 199, microseconds_per_row_max: 1 });
        let mut others = Others { served: 7, seen_at: began, haste: slow };
        let mut haste =
            |served, milliseconds| others.haste_after(served, began + Duration::from_millis(milliseconds));
        assert_eq!([haste(7, 0), haste(7, 999), haste(7, 1_000)], [slow, slow, QUIET]);
        assert_eq!([haste(7, 4_999), haste(7, 5_000)], [QUIET, IDLE]);
        assert_eq!([haste(8, 15_000), haste(8, 15_999), haste(8, 16_000)], [slow, slow, QUIET]);
    }

    #[test]
    fn a_deletion_ends_on_a_slow_disk_and_others_have_it_half_of_the_time() {
        let slow = Duration::from_millis(40);
        assert_eq!(QUIET.pause(DELETION_STEP_ROWS_MIN, slow), slow);
    }
}
