//! Following one execution's log: stored lines, then live ones, each exactly once and in order.

use std::collections::VecDeque;

use futures_util::Stream;

use super::chunks::ChunkReader;
use crate::auth::Viewer;
use crate::domain::limits::TAIL_BATCH_LINES_MAX;
use crate::domain::log::{Filter, Levels, Line, decode};
use crate::domain::page::Direction;
use crate::error::{Error, Result};
use crate::event::{Topic, Wakeup, Wakeups};
use crate::store::{ExecutionRow, LogRange, LogStream, Store};

/// Chunks of the first read; later ones follow their size.
const FIRST_READ_CHUNKS: u64 = 64;

/// Where a tail begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailStart {
    /// At this line, which may not exist yet.
    From(i64),
    /// With the newest lines, this many.
    Last(i64),
}

/// Some lines, and where the tail is.
#[derive(Debug)]
pub struct TailBatch {
    /// At most [`TAIL_BATCH_LINES_MAX`]; may be empty when there is something else to say.
    pub lines: Vec<Line>,
    /// The line to go on from after a cut.
    pub next_seq: i64,
    /// Everything that was stored when the tail began has been sent.
    pub caught_up: bool,
    /// The execution has ended, and this was its last line.
    pub ended: bool,
}

/// Follows the log of an execution that has been read. Ends after the last line of a finished execution, or when the
/// execution is deleted.
///
/// # Errors
/// `NOT_FOUND` when the execution is gone; the stream itself fails as the store does.
pub async fn tail(
    store: Store,
    wakeups: &Wakeups,
    viewer: Viewer,
    execution: &ExecutionRow,
    start: TailStart,
    filter: Filter,
) -> Result<impl Stream<Item = Result<TailBatch>> + use<>> {
    let wakeup = wakeups.follow(Topic::Log(execution.id)); // before reading, so that nothing falls between
    let levels = filter.levels.map(Levels::bits);
    let chunks = ChunkReader::new(
        store.clone(),
        viewer.clone(),
        execution.tenant_id.clone(),
        execution.id,
        levels,
        FIRST_READ_CHUNKS,
    );
    let key = (execution.tenant_id.clone(), execution.id);
    let mut tail = Tail {
        store,
        viewer,
        key,
        filter,
        chunks,
        wakeup,
        next_seq: 0,
        stored_before: 0,
        ready: VecDeque::new(),
        said_caught_up: false,
    };
    let stream = tail.stream().await?.ok_or(Error::NotFound { what: "execution" })?;
    tail.stored_before = stream.next_seq;
    tail.next_seq = match start {
        TailStart::From(seq) => seq,
        TailStart::Last(lines) => (stream.next_seq - lines).max(0),
    };
    Ok(async_stream::try_stream! {
        let mut tail = tail;
        while let Some(batch) = tail.next().await? {
            let ended = batch.ended;
            yield batch;
            if ended {
                break;
            }
        }
    })
}

struct Tail {
    store: Store,
    viewer: Viewer,
    key: (String, uuid::Uuid),
    filter: Filter,
    chunks: ChunkReader,
    wakeup: Wakeup,
    /// The first line that has not been read.
    next_seq: i64,
    /// The end of the log when the tail began.
    stored_before: i64,
    /// Lines that were read and pass the filter.
    ready: VecDeque<Line>,
    said_caught_up: bool,
}

impl Tail {
    /// The next batch; `None` when the execution was deleted.
    async fn next(&mut self) -> Result<Option<TailBatch>> {
        loop {
            let Some(stream) = self.stream().await? else { return Ok(None) };
            while self.ready.is_empty() && self.next_seq < stream.next_seq {
                if !self.read(stream.next_seq).await? {
                    break; // deleted just now: the next look finds no stream
                }
            }
            if let Some(batch) = self.batch(&stream) {
                return Ok(Some(batch));
            }
            if self.next_seq >= stream.next_seq {
                self.wakeup.wait().await;
            }
        }
    }

    async fn stream(&self) -> Result<Option<LogStream>> {
        let reader = self.store.reader(&self.viewer);
        Ok(reader.log_streams(std::slice::from_ref(&self.key)).await?.remove(&self.key.1))
    }

    /// Reads on towards `end`; `false` when lines that must be there are not.
    async fn read(&mut self, end: i64) -> Result<bool> {
        let range = LogRange { from: self.next_seq, before: end };
        let (chunks, more) = self.chunks.read(range, Direction::Forward).await?;
        for chunk in &chunks {
            let lines = decode(&chunk.body)
                .collect::<Result<Vec<_>>>()?
                .into_iter()
                .filter(|line| line.seq >= range.from && line.seq < end);
            self.ready.extend(lines.filter(|line| self.filter.matches(line)));
            self.next_seq = end.min(chunk.last_seq + 1);
        }
        let all_there = self.filter.levels.is_some() || !chunks.is_empty();
        if !more && all_there {
            self.next_seq = end; // what was left out cannot pass the filter
        }
        Ok(all_there)
    }

    /// What there is to say now, if anything.
    fn batch(&mut self, stream: &LogStream) -> Option<TailBatch> {
        let lines: Vec<_> = self.ready.drain(..self.ready.len().min(TAIL_BATCH_LINES_MAX)).collect();
        let next_seq = self.ready.front().map_or(self.next_seq, |line| line.seq);
        let caught_up = next_seq >= self.stored_before;
        let ended = stream.ended && next_seq >= stream.next_seq;
        if lines.is_empty() && !ended && (self.said_caught_up || !caught_up) {
            return None;
        }
        self.said_caught_up |= caught_up;
        Some(TailBatch { lines, next_seq, caught_up, ended })
    }
}
