//! The life of an execution.

pub use entity::execution::{Mode, Status};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::Error;

/// The longest duration, about 31 years, in milliseconds.
pub const DURATION_MS_MAX: i64 = 1_000_000_000_000;

/// Statuses after which nothing changes any more.
pub fn is_final(status: Status) -> bool {
    matches!(status, Status::Completed | Status::Failed | Status::Cancelled)
}

/// The word for a status that clients see.
pub fn status_word(status: Status) -> &'static str {
    match status {
        Status::Queued => "QUEUED",
        Status::Running => "RUNNING",
        Status::Completed => "COMPLETED",
        Status::Failed => "FAILED",
        Status::Cancelled => "CANCELLED",
    }
}

/// The word for a mode that clients see.
pub fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::CloudRun => "CLOUD_RUN",
        Mode::LocalRun => "LOCAL_RUN",
    }
}

/// Whether an execution may go from one status to another. Staying is not a step.
pub fn may_follow(from: Status, to: Status) -> bool {
    match from {
        Status::Queued => matches!(to, Status::Running | Status::Failed | Status::Cancelled),
        Status::Running => is_final(to),
        Status::Completed | Status::Failed | Status::Cancelled => false,
    }
}

/// Checks a step that `field` asks for; `Ok(false)` means that the execution is there already.
///
/// # Errors
/// `CONFLICT` for an illegal step.
pub fn step(field: &str, from: Status, to: Status) -> Result<bool, Error> {
    if from == to {
        return Ok(false);
    }
    if may_follow(from, to) {
        return Ok(true);
    }
    Err(Error::Conflict {
        field: Some(field.to_owned().into()),
        message: format!("an execution that is {} cannot become {}", status_word(from), status_word(to))
            .into(),
    })
}

/// Milliseconds between two times, 0 when the clock of a runner ran backwards.
pub fn duration_ms(started_at: Timestamp, completed_at: Timestamp) -> i64 {
    (completed_at - started_at).num_milliseconds().max(0)
}

/// The error of an execution whose runner gave no sign of life for so long.
pub fn silence_error(seconds: i64) -> String {
    format!(
        "RUNNER_SILENT: the runner gave no sign of life (a change, a log line, a heartbeat) for {seconds} s; it was taken \
         for lost"
    )
}

/// A half-open or open range; both ends are optional.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range<T> {
    /// The smallest value, inclusive.
    pub from: Option<T>,
    /// The largest value; whether it is inclusive is up to the field.
    pub to: Option<T>,
}

impl<T> Default for Range<T> {
    fn default() -> Self {
        Self { from: None, to: None }
    }
}

/// Which executions. All conditions hold together; a list means any of its members; an empty list matches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    pub ids: Option<Vec<uuid::Uuid>>,
    pub statuses: Option<Vec<Status>>,
    pub modes: Option<Vec<Mode>>,
    pub code_agent_ids: Option<Vec<uuid::Uuid>>,
    pub workflow_ids: Option<Vec<String>>,
    pub workflow_run_ids: Option<Vec<String>>,
    pub project_keys: Option<Vec<String>>,
    pub owner_ids: Option<Vec<String>>,
    pub visual_only: bool,
    /// Exclusive end.
    pub created_at: Range<Timestamp>,
    /// Exclusive end.
    pub completed_at: Range<Timestamp>,
    /// Inclusive end, as for the next two.
    pub duration_ms: Range<i64>,
    pub total_tokens: Range<i64>,
    pub cost_microusd: Range<i64>,
    /// All of these words, as [`super::search`] splits text, are in its name, inputs, result or error.
    pub words: Option<Vec<String>>,
}

/// What a list of executions is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Order {
    /// Newest creation first.
    #[default]
    Newest,
    /// Oldest creation first.
    Oldest,
    /// Longest duration first, those without one last.
    Longest,
    /// Highest cost first.
    Costliest,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Status; 5] =
        [Status::Queued, Status::Running, Status::Completed, Status::Failed, Status::Cancelled];

    #[test]
    fn nothing_leaves_a_final_status_and_nothing_returns_to_the_queue() {
        for from in ALL {
            assert!(!may_follow(from, Status::Queued));
            for to in ALL {
                assert!(!(is_final(from) && may_follow(from, to)), "{from:?} {to:?}");
            }
        }
        assert!(!may_follow(Status::Queued, Status::Completed), "what never ran cannot have completed");
    }
}
