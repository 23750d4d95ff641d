//! The newest lines of many executions, merged: all those of a workflow run, or of a code agent.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::chunks::{Breather, CHUNKS_MAX, LogReader};
use crate::clock::Timestamp;
use crate::domain::limits::{LOG_ANSWER_BYTES_MAX, LOG_SCAN_BYTES_MAX};
use crate::domain::log::{Filter, Levels, Line, decode};
use crate::error::{Error, Result};
use crate::store::LogsOf;

/// The `rows` lines that arrived last and pass `filter`, oldest first, each with its execution.
///
/// They are sorted by their timestamps, except that the lines of one execution never change places. With a filter this
/// looks back through at most [`LOG_SCAN_BYTES_MAX`] of log.
///
/// # Errors
/// `TOO_LARGE` when the lines pass [`LOG_ANSWER_BYTES_MAX`].
pub async fn newest_of_many(
    reader: &LogReader,
    of: LogsOf<'_>,
    filter: &Filter,
    rows: usize,
) -> Result<Vec<(Uuid, Arc<Line>)>> {
    let levels = filter.levels.map(Levels::bits);
    let mut breather = Breather::default();
    let mut newest_first = Vec::new();
    let (mut scanned_bytes, mut line_bytes) = (0, 0);
    let mut last_chunk = None;
    while newest_first.len() < rows && (filter.is_empty() || scanned_bytes < LOG_SCAN_BYTES_MAX) {
        // Each chunk has at least one line.
        let missing = (rows - newest_first.len()) as u64;
        let chunks = if filter.is_empty() { missing.min(CHUNKS_MAX) } else { CHUNKS_MAX };
        let (part, memory) = reader.read_many(of, last_chunk.as_ref(), levels, chunks).await?;
        for chunk in &part.chunks {
            scanned_bytes += chunk.body.len();
            for line in decode(&chunk.body).rev() {
                let line = line?;
                if newest_first.len() < rows && filter.matches(&line) {
                    line_bytes += line.bytes();
                    newest_first.push((chunk.execution_id, Arc::new(line)));
                }
            }
            breather.decoded(chunk).await;
        }
        if LOG_ANSWER_BYTES_MAX.is_passed_by(line_bytes) {
            return Err(Error::TooLarge { field: "last".into(), limit: LOG_ANSWER_BYTES_MAX });
        }
        if !part.more {
            break;
        }
        last_chunk = part.chunks.into_iter().last().or(last_chunk);
        drop(memory);
    }
    newest_first.reverse();
    Ok(merge(newest_first))
}

/// Sorts by time without moving a line before an earlier one of its execution, should the runner's clock jump back.
fn merge(mut lines: Vec<(Uuid, Arc<Line>)>) -> Vec<(Uuid, Arc<Line>)> {
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
