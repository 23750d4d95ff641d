//! Pages of executions' logs, by line number, from either end.
//!
//! The logs of all executions of a list are read together, round by round: each statement reads on in all logs whose
//! page is not full yet, so that the number of statements depends on the length of the lines, not on the number of logs.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::chunks::{Breather, CHUNKS_MAX, LOGS_MAX, LogReader, Part, Read, Wanted};
use crate::domain::limits::{LOG_ANSWER_BYTES_MAX, LOG_COUNT_SCAN_BYTES_MAX, LOG_SCAN_BYTES_MAX};
use crate::domain::log::{Filter, Levels, Line, decode};
use crate::domain::page::{Direction, Page};
use crate::domain::stream::StreamKind;
use crate::error::{Error, Result};
use crate::store::{LogChunk, LogRange, LogStream};

/// Chunks that one read of many logs looks at together, but for [`CHUNKS_MIN`] of each.
const CHUNKS_OF_ALL_MAX: u64 = 8 * CHUNKS_MAX;
const CHUNKS_MIN: u64 = 8;

/// A page of lines, in order.
///
/// With a filter a page may hold fewer lines than were asked for, even none, and still have a next one: it stops after
/// [`LOG_SCAN_BYTES_MAX`] of log. Its cursors say where it stopped.
#[derive(Debug)]
pub struct LogPage {
    pub lines: Vec<Arc<Line>>,
    pub has_next_page: bool,
    pub has_previous_page: bool,
    /// The first line number that was looked at.
    pub start: Option<i64>,
    /// The last line number that was looked at.
    pub end: Option<i64>,
    /// How many lines the log has, filtered or not.
    pub log_lines: i64,
    /// The lines were kept for as long as lines are kept, and are gone.
    pub expired: bool,
}

/// For each execution, a page of the lines of its log that pass `filter`.
///
/// # Errors
/// `TOO_LARGE` when the lines of all pages pass [`LOG_ANSWER_BYTES_MAX`].
pub async fn pages(
    reader: &LogReader,
    executions: &[(String, Uuid)],
    filter: &Filter,
    page: &Page<i64>,
) -> Result<HashMap<Uuid, LogPage>> {
    let rows = usize::try_from(page.rows).map_err(Error::internal)?;
    let streams = reader.rows().log_streams(StreamKind::Log, executions).await?;
    let request = Request { filter, page, rows };
    let mut logs: Vec<_> =
        executions.iter().map(|key| Progress::new(request, key, streams.get(&key.1))).collect();
    let mut breather = Breather::default();
    let mut line_bytes = 0;
    loop {
        let mut open: Vec<_> = logs.iter_mut().filter(|log| log.is_open()).take(LOGS_MAX).collect();
        if open.is_empty() {
            return Ok(logs.into_iter().map(|log| (log.key.1, log.finish())).collect());
        }
        let chunks_max = (CHUNKS_OF_ALL_MAX / open.len() as u64).max(CHUNKS_MIN);
        let wanted: Vec<_> = open.iter().map(|log| log.wanted(chunks_max)).collect();
        let Read { parts, memory } = reader.read(&wanted).await?;
        for (log, part) in open.iter_mut().zip(&parts) {
            line_bytes += log.take(part, &mut breather).await?;
        }
        drop((parts, memory));
        if LOG_ANSWER_BYTES_MAX.is_passed_by(line_bytes) {
            return Err(Error::TooLarge { field: "logs".into(), limit: LOG_ANSWER_BYTES_MAX });
        }
    }
}

/// What is asked of each log.
#[derive(Debug, Clone, Copy)]
struct Request<'r> {
    filter: &'r Filter,
    page: &'r Page<i64>,
    rows: usize,
}

/// A page on its way.
struct Progress<'r> {
    request: Request<'r>,
    key: (String, Uuid),
    /// What the page may hold.
    within: LogRange,
    /// What has not been looked at.
    range: LogRange,
    lines: Vec<Arc<Line>>,
    log_lines: i64,
    log_bytes: usize,
    scanned_bytes: usize,
    more: bool,
    expired: bool,
}

impl<'r> Progress<'r> {
    fn new(request: Request<'r>, key: &(String, Uuid), stream: Option<&LogStream>) -> Self {
        let end = stream.map_or(0, |stream| stream.next_seq);
        let from = request.page.after.map_or(0, |after| after.saturating_add(1)).clamp(0, end);
        let within = LogRange { from, before: request.page.before.unwrap_or(end).clamp(from, end) };
        Self {
            request,
            key: key.clone(),
            within,
            range: within,
            lines: Vec::new(),
            log_lines: end,
            log_bytes: stream.map_or(0, |stream| usize::try_from(stream.byte_count).unwrap_or(0)),
            scanned_bytes: 0,
            more: true,
            expired: stream.is_some_and(|stream| stream.expired),
        }
    }

    fn is_full(&self) -> bool {
        self.lines.len() == self.request.rows
    }

    fn is_open(&self) -> bool {
        let may_look_on = self.request.filter.is_empty() || self.scanned_bytes < LOG_SCAN_BYTES_MAX;
        self.more && !self.is_full() && self.range.from < self.range.before && may_look_on
    }

    fn wanted(&self, chunks_max: u64) -> Wanted {
        // Each chunk has at least one line.
        let missing = (self.request.rows - self.lines.len()) as u64;
        let chunks = if self.request.filter.is_empty() { missing } else { CHUNKS_MAX };
        Wanted {
            key: self.key.clone(),
            kind: StreamKind::Log,
            range: self.range,
            direction: self.request.page.direction,
            levels: self.request.filter.levels.map(Levels::bits),
            chunks: chunks.min(chunks_max),
            bytes_max: self.log_bytes.saturating_sub(self.scanned_bytes),
        }
    }

    /// Looks at chunks until the page is full; says how many bytes of lines it took.
    async fn take(&mut self, part: &Part, breather: &mut Breather) -> Result<usize> {
        let mut bytes = 0;
        for chunk in &part.chunks {
            if self.is_full() {
                break;
            }
            bytes += self.take_chunk(chunk)?;
            breather.decoded(chunk).await;
        }
        self.more = part.more;
        Ok(bytes)
    }

    fn take_chunk(&mut self, chunk: &LogChunk) -> Result<usize> {
        self.scanned_bytes += chunk.body.len();
        match self.request.page.direction {
            Direction::Forward => self.take_lines(decode(&chunk.body)),
            Direction::Backward => self.take_lines(decode(&chunk.body).rev()),
        }
    }

    fn take_lines(&mut self, lines: impl Iterator<Item = Result<Line>>) -> Result<usize> {
        let mut bytes = 0;
        for line in lines {
            let line = line?;
            if line.seq < self.range.from || line.seq >= self.range.before {
                continue;
            }
            match self.request.page.direction {
                Direction::Forward => self.range.from = line.seq + 1,
                Direction::Backward => self.range.before = line.seq,
            }
            if self.request.filter.matches(&line) {
                bytes += line.bytes();
                self.lines.push(Arc::new(line));
                if self.is_full() {
                    break;
                }
            }
        }
        Ok(bytes)
    }

    fn finish(mut self) -> LogPage {
        let direction = self.request.page.direction;
        if !self.more && !self.is_full() {
            // Chunks that cannot match were left out; nothing is left to look at.
            match direction {
                Direction::Forward => self.range.from = self.range.before,
                Direction::Backward => self.range.before = self.range.from,
            }
        }
        let Self { range, within, mut lines, log_lines, expired, .. } = self;
        let left = range.from < range.before;
        let looked_at = match direction {
            Direction::Forward => LogRange { from: within.from, before: range.from },
            Direction::Backward => LogRange { from: range.before, before: within.before },
        };
        if direction == Direction::Backward {
            lines.reverse();
        }
        let any = looked_at.from < looked_at.before;
        LogPage {
            lines,
            has_next_page: if direction == Direction::Forward { left } else { within.before < log_lines },
            has_previous_page: if direction == Direction::Backward { left } else { within.from > 0 },
            start: any.then_some(looked_at.from),
            end: any.then_some(looked_at.before - 1),
            log_lines,
            expired,
        }
    }
}

/// How many lines of an execution's log pass `filter`.
///
/// # Errors
/// `TOO_LARGE` when counting would look through more than [`LOG_COUNT_SCAN_BYTES_MAX`] of log.
pub async fn count(reader: &LogReader, execution: &(String, Uuid), filter: &Filter) -> Result<i64> {
    let Some(stream) = reader.stream(StreamKind::Log, execution).await? else { return Ok(0) };
    let end = stream.next_seq;
    if filter.is_empty() {
        return Ok(end);
    }
    let mut wanted = Wanted {
        key: execution.clone(),
        kind: StreamKind::Log,
        range: LogRange { from: 0, before: end },
        direction: Direction::Forward,
        levels: filter.levels.map(Levels::bits),
        chunks: CHUNKS_MAX,
        bytes_max: usize::try_from(stream.byte_count).unwrap_or(0),
    };
    let mut breather = Breather::default();
    let (mut count, mut scanned_bytes) = (0, 0);
    loop {
        let (part, memory) = reader.read_one(&wanted).await?;
        for chunk in &part.chunks {
            scanned_bytes += chunk.body.len();
            for line in decode(&chunk.body) {
                let line = line?;
                count += i64::from(line.seq < end && filter.matches(&line));
            }
            wanted.range.from = chunk.last_seq + 1;
            wanted.bytes_max = wanted.bytes_max.saturating_sub(chunk.body.len());
            breather.decoded(chunk).await;
        }
        drop(memory);
        if !part.more {
            return Ok(count);
        }
        if LOG_COUNT_SCAN_BYTES_MAX.is_passed_by(scanned_bytes) {
            return Err(Error::TooLarge { field: "totalCount".into(), limit: LOG_COUNT_SCAN_BYTES_MAX });
        }
    }
}
