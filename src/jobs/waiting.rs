//! Showing how many jobs wait.

use std::time::Duration;

use crate::monitor;
use crate::store::{JobKind, Store};

const WAITING_INTERVAL: Duration = Duration::from_secs(10);

const KINDS: [JobKind; 5] = [
    JobKind::UploadGeneration,
    JobKind::MoveSource,
    JobKind::DeleteObjects,
    JobKind::DeleteVisualObjects,
    JobKind::DeleteExecutions,
];

/// Looks for ever.
pub async fn show_waiting(store: Store) {
    for kind in KINDS {
        monitor::jobs_begin(word(kind));
    }
    loop {
        match store.jobs_waiting(&KINDS).await {
            Ok(waiting) => {
                for kind in KINDS {
                    let jobs = waiting.iter().find(|(of, _)| *of == kind).map_or(0, |(_, jobs)| *jobs);
                    monitor::jobs_waiting(word(kind), jobs);
                }
            }
            Err(error) => tracing::warn!(?error, "could not look how many jobs wait"),
        }
        tokio::time::sleep(WAITING_INTERVAL).await;
    }
}

/// As metrics name it.
pub(super) fn word(kind: JobKind) -> &'static str {
    match kind {
        JobKind::UploadGeneration => "upload_generation",
        JobKind::MoveSource => "move_source",
        JobKind::DeleteObjects => "delete_objects",
        JobKind::DeleteExecutions => "delete_executions",
        JobKind::DeleteVisualObjects => "delete_visual_objects",
    }
}
