//! The newest lines of all executions of a workflow run, merged.

use std::collections::HashMap;

use uuid::Uuid;

use crate::auth::Viewer;
use crate::clock::Timestamp;
use crate::domain::limits::LOG_SCAN_BYTES_MAX;
use crate::domain::log::{Filter, Levels, Line, decode};
use crate::error::Result;
use crate::store::Store;

/// Chunks read at once; one has little more than 256 KiB.
const CHUNKS: u64 = 200;

/// The `rows` lines that arrived last and pass `filter`, oldest first, each with its execution.
///
/// They are sorted by their timestamps, except that the lines of one execution never change places. With a filter this
/// looks back through at most [`LOG_SCAN_BYTES_MAX`] of log.
///
/// # Errors
/// What the store says.
pub async fn newest_of_run(
    store: &Store,
    viewer: &Viewer,
    workflow_run_id: &str,
    filter: &Filter,
    rows: usize,
) -> Result<Vec<(Uuid, Line)>> {
    let reader = store.reader(viewer);
    let levels = filter.levels.map(Levels::bits);
    let mut newest_first = Vec::new();
    let mut scanned_bytes = 0;
    let mut last_chunk = None;
    while newest_first.len() < rows && scanned_bytes < LOG_SCAN_BYTES_MAX {
        let chunks = reader.run_log_chunks(workflow_run_id, last_chunk.as_ref(), levels, CHUNKS).await?;
        let is_last = (chunks.len() as u64) < CHUNKS;
        for chunk in &chunks {
            scanned_bytes += chunk.body.len();
            let lines = decode(&chunk.body)
                .collect::<Result<Vec<_>>>()?
                .into_iter()
                .rev()
                .filter(|line| filter.matches(line));
            newest_first.extend(lines.map(|line| (chunk.execution_id, line)));
        }
        last_chunk = chunks.into_iter().last();
        if is_last {
            break;
        }
    }
    newest_first.truncate(rows);
    newest_first.reverse();
    Ok(merge(newest_first))
}

/// Sorts by time without moving a line before an earlier one of its execution, should the runner's clock jump back.
fn merge(mut lines: Vec<(Uuid, Line)>) -> Vec<(Uuid, Line)> {
    lines.sort_by_key(|(execution_id, line)| (*execution_id, line.seq));
    let mut latest: HashMap<Uuid, Timestamp> = HashMap::new();
    let mut timed: Vec<_> = lines
        .into_iter()
        .map(|(execution_id, line)| {
            let time = latest.entry(execution_id).or_insert(line.timestamp);
            *time = line.timestamp.max(*time);
            (*time, execution_id, line)
        })
        .collect();
    timed.sort_by_key(|(time, ..)| *time);
    timed.into_iter().map(|(_, execution_id, line)| (execution_id, line)).collect()
}
