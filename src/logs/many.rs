//! The newest lines of many executions, merged: all those of a workflow run, or of a code agent.
//!
//! It is first read which calls appended lines last, in one statement, and then these lines, by their numbers: so it makes
//! no difference whether they are archived, or are being archived meanwhile.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::iter::Peekable;
use std::sync::Arc;

use uuid::Uuid;

use super::chunks::{Breather, LOGS_MAX, LogReader, Wanted};
use crate::clock::Timestamp;
use crate::domain::limits::{
    LOG_ANSWER_BYTES_MAX, LOG_READ_BYTES_MAX, LOG_SCAN_BYTES_MAX, LOG_SCAN_CALLS_MAX,
};
use crate::domain::log::{Filter, Levels, Line, decode};
use crate::domain::page::Direction;
use crate::domain::stream::StreamKind;
use crate::error::{Error, Result};
use crate::store::{Arrival, LogRange, LogsOf};

/// The `rows` lines that arrived last and pass `filter`, oldest first, each with its execution.
///
/// They are sorted by their timestamps, except that the lines of one execution never change places. With a filter this
/// looks back through at most [`LOG_SCAN_BYTES_MAX`] of log and [`LOG_SCAN_CALLS_MAX`] calls.
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
    // Each call has at least one line.
    let calls = if filter.is_empty() { rows as u64 } else { LOG_SCAN_CALLS_MAX };
    let mut arrivals = reader.rows().newest_arrivals(of, levels, calls).await?.into_iter().peekable();
    let mut newest_first = Vec::new();
    let (mut scanned_bytes, mut line_bytes) = (0, 0);
    while newest_first.len() < rows && (filter.is_empty() || scanned_bytes < LOG_SCAN_BYTES_MAX) {
        let lines_max = if filter.is_empty() { rows - newest_first.len() } else { usize::MAX };
        let calls = next_calls(&mut arrivals, lines_max);
        if calls.is_empty() {
            break;
        }
        let (mut lines, bytes) = lines_of(reader, &calls, filter).await?;
        lines.truncate(rows - newest_first.len());
        scanned_bytes += bytes;
        line_bytes += lines.iter().map(|(_, line)| line.bytes()).sum::<usize>();
        newest_first.append(&mut lines);
        if LOG_ANSWER_BYTES_MAX.is_passed_by(line_bytes) {
            return Err(Error::TooLarge { field: "last".into(), limit: LOG_ANSWER_BYTES_MAX });
        }
    }
    newest_first.reverse();
    Ok(merge(newest_first))
}

/// Calls by execution and by their last lines, numbered from the newest on.
type Calls = BTreeMap<Uuid, BTreeMap<i64, (usize, Arrival)>>;

/// The next calls: as many as one read takes and as have `lines_max` lines together, at least one.
fn next_calls(arrivals: &mut Peekable<impl Iterator<Item = Arrival>>, lines_max: usize) -> Calls {
    let mut calls = Calls::new();
    let (mut count, mut lines, mut bytes) = (0, 0, 0);
    while lines < lines_max {
        let fits = |call: &Arrival| {
            bytes + call.bytes <= LOG_READ_BYTES_MAX.to_usize()
                && (calls.len() < LOGS_MAX || calls.contains_key(&call.execution_id))
        };
        let Some(call) = arrivals.next_if(|call| count == 0 || fits(call)) else { break };
        lines += usize::try_from(call.last_seq - call.first_seq + 1).unwrap_or(usize::MAX);
        bytes += call.bytes;
        calls.entry(call.execution_id).or_default().insert(call.last_seq, (count, call));
        count += 1;
    }
    calls
}

/// The lines of some calls that pass the filter, newest first, and how much text was looked through.
async fn lines_of(
    reader: &LogReader,
    calls: &Calls,
    filter: &Filter,
) -> Result<(Vec<(Uuid, Arc<Line>)>, usize)> {
    let wanted: Vec<_> = calls.values().filter_map(|calls| wanted(calls, filter)).collect();
    let read = reader.read(&wanted).await?;
    let (mut lines, mut bytes) = (Vec::new(), 0);
    let mut breather = Breather::default();
    for ((execution_id, calls), part) in calls.iter().zip(&read.parts) {
        for chunk in &part.chunks {
            bytes += chunk.body.len();
            for line in decode(&chunk.body) {
                let line = line?;
                let call = calls.range(line.seq..).next().map(|(_, call)| call);
                let call = call.filter(|(_, call)| call.first_seq <= line.seq && filter.matches(&line));
                if let Some((number, _)) = call {
                    lines.push((*number, Reverse(line.seq), *execution_id, Arc::new(line)));
                }
            }
            breather.decoded(chunk).await;
        }
    }
    lines.sort_unstable_by_key(|(number, seq, ..)| (*number, *seq));
    Ok((lines.into_iter().map(|(_, _, execution_id, line)| (execution_id, line)).collect(), bytes))
}

/// What to read of one log to have the lines of these calls.
fn wanted(calls: &BTreeMap<i64, (usize, Arrival)>, filter: &Filter) -> Option<Wanted> {
    let (_, (_, first)) = calls.first_key_value()?;
    let (last_seq, _) = calls.last_key_value()?;
    Some(Wanted {
        key: (first.tenant_id.clone(), first.execution_id),
        kind: StreamKind::Log,
        range: LogRange { from: first.first_seq, before: last_seq + 1 },
        direction: Direction::Forward,
        levels: filter.levels.map(Levels::bits),
        // More than there are: archiving only makes them fewer.
        chunks: calls.len() as u64 + 1,
        bytes_max: calls.values().map(|(_, call)| call.bytes).sum(),
    })
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
