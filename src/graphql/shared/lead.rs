//! The task that runs a shared execution.

use std::sync::Arc;

use super::group::Group;
use super::run::Run;
use super::{Own, Step};
use crate::graphql::engine::Outcome;

/// Runs an execution for all followers of `run`, to its end, to its first error, or until nobody follows.
pub(super) async fn lead(run: Arc<Run>, group: Arc<Group>, mut own: Own) {
    // Also when this task ends in any other way.
    let _end = End { run: &run, group: &group };
    let mut told = own.place.stands_at();
    loop {
        run.wait_for_followers().await;
        let step = tokio::select! {
            biased;
            () = run.deserted() => {
                if group.end_if_deserted(&run) {
                    return;
                }
                continue;
            }
            step = own.step() => step,
        };
        let Some(stands_at) = own.place.stands_at() else { return };
        let payload = match &step {
            Step::Says(outcome) if is_without_errors(outcome) => {
                let Ok(payload) = serde_json::to_string(outcome) else { return };
                Some(payload.into())
            }
            Step::Waits if told == Some(stands_at) => continue,
            Step::Waits => None,
            Step::Says(_) | Step::Ends => return,
        };
        let is_last = own.place.has_ended();
        run.say(payload, stands_at, is_last);
        told = Some(stands_at);
        if is_last {
            return;
        }
    }
}

fn is_without_errors(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Executed(response) if response.errors.is_empty())
}

struct End<'a> {
    run: &'a Run,
    group: &'a Group,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.group.end(self.run);
    }
}
