//! Pages of one execution's log, by line number, from either end.

use super::chunks::ChunkReader;
use crate::auth::Viewer;
use crate::domain::limits::{LOG_COUNT_SCAN_BYTES_MAX, LOG_SCAN_BYTES_MAX};
use crate::domain::log::{Filter, Line, decode};
use crate::domain::page::{Direction, Page};
use crate::error::{Error, Result};
use crate::store::{ExecutionRow, LogRange, Store};

/// A page of lines, in order.
///
/// With a filter a page may hold fewer lines than were asked for, even none, and still have a next one: it stops after
/// [`LOG_SCAN_BYTES_MAX`] of log. Its cursors say where it stopped.
#[derive(Debug)]
pub struct LogPage {
    pub lines: Vec<Line>,
    pub has_next_page: bool,
    pub has_previous_page: bool,
    /// The first line number that was looked at.
    pub start: Option<i64>,
    /// The last line number that was looked at.
    pub end: Option<i64>,
}

/// A page of the lines that pass `filter`.
///
/// # Errors
/// What the store says.
pub async fn page(
    store: Store,
    viewer: Viewer,
    execution: &ExecutionRow,
    filter: &Filter,
    page: &Page<i64>,
) -> Result<LogPage> {
    let end = end_of(&store, &viewer, execution).await?;
    let from = page.after.map_or(0, |after| after.saturating_add(1)).clamp(0, end);
    let before = page.before.unwrap_or(end).clamp(from, end);
    let mut range = LogRange { from, before };
    let mut reader = chunk_reader(store, viewer, execution, filter, page.rows);
    let rows = usize::try_from(page.rows).map_err(Error::internal)?;
    let mut lines = Vec::with_capacity(rows);
    let mut scanned_bytes = 0;
    let mut more = true;
    while more && lines.len() < rows && range.from < range.before && scanned_bytes < LOG_SCAN_BYTES_MAX {
        let (chunks, is_full) = reader.read(range, page.direction).await?;
        more = is_full;
        for chunk in &chunks {
            scanned_bytes += chunk.body.len();
            let mut chunk_lines = decode(&chunk.body).collect::<Result<Vec<_>>>()?;
            if page.direction == Direction::Backward {
                chunk_lines.reverse();
            }
            for line in chunk_lines {
                if line.seq < range.from || line.seq >= range.before || lines.len() == rows {
                    continue;
                }
                match page.direction {
                    Direction::Forward => range.from = line.seq + 1,
                    Direction::Backward => range.before = line.seq,
                }
                if filter.matches(&line) {
                    lines.push(line);
                }
            }
        }
    }
    if !more && lines.len() < rows {
        // Chunks that cannot match were left out; nothing is left to look at.
        match page.direction {
            Direction::Forward => range.from = range.before,
            Direction::Backward => range.before = range.from,
        }
    }
    let left = range.from < range.before;
    let looked_at = match page.direction {
        Direction::Forward => LogRange { from, before: range.from },
        Direction::Backward => LogRange { from: range.before, before },
    };
    if page.direction == Direction::Backward {
        lines.reverse();
    }
    Ok(LogPage {
        lines,
        has_next_page: if page.direction == Direction::Forward { left } else { before < end },
        has_previous_page: if page.direction == Direction::Backward { left } else { from > 0 },
        start: (looked_at.from < looked_at.before).then_some(looked_at.from),
        end: (looked_at.from < looked_at.before).then_some(looked_at.before - 1),
    })
}

/// How many lines pass `filter`; without one this reads no line.
///
/// # Errors
/// `TOO_LARGE` when counting would look through more than [`LOG_COUNT_SCAN_BYTES_MAX`] of log.
pub async fn count(store: Store, viewer: Viewer, execution: &ExecutionRow, filter: &Filter) -> Result<i64> {
    let end = end_of(&store, &viewer, execution).await?;
    if filter.is_empty() {
        return Ok(end);
    }
    let mut range = LogRange { from: 0, before: end };
    let mut reader = chunk_reader(store, viewer, execution, filter, u64::MAX);
    let (mut count, mut scanned_bytes) = (0, 0);
    loop {
        let (chunks, more) = reader.read(range, Direction::Forward).await?;
        for chunk in &chunks {
            scanned_bytes += chunk.body.len();
            count += decode(&chunk.body)
                .collect::<Result<Vec<_>>>()?
                .iter()
                .filter(|line| line.seq < end && filter.matches(line))
                .count();
            range.from = chunk.last_seq + 1;
        }
        if !more {
            return i64::try_from(count).map_err(Error::internal);
        }
        if LOG_COUNT_SCAN_BYTES_MAX.is_passed_by(scanned_bytes) {
            return Err(Error::TooLarge { field: "totalCount".into(), limit: LOG_COUNT_SCAN_BYTES_MAX });
        }
    }
}

async fn end_of(store: &Store, viewer: &Viewer, execution: &ExecutionRow) -> Result<i64> {
    let key = (execution.tenant_id.clone(), execution.id);
    let streams = store.reader(viewer).log_streams(&[key]).await?;
    Ok(streams.get(&execution.id).map_or(0, |stream| stream.next_seq))
}

fn chunk_reader(
    store: Store,
    viewer: Viewer,
    execution: &ExecutionRow,
    filter: &Filter,
    first_read_chunks: u64,
) -> ChunkReader {
    let levels = filter.levels.map(crate::domain::log::Levels::bits);
    ChunkReader::new(store, viewer, execution.tenant_id.clone(), execution.id, levels, first_read_chunks)
}
