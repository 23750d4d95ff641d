//! Following one execution's log, or its visual session: stored entries, then live ones, each exactly once and in order.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::Stream;
use uuid::Uuid;

use super::chunks::{Breather, CHUNKS_MAX, LogReader, Wanted};
use super::entry::Entry;
use crate::domain::limits::{TAIL_BATCH_BYTES_MAX, TAIL_BATCH_LINES_MAX, TAIL_SILENT_BYTES_MAX};
use crate::domain::page::Direction;
use crate::domain::stream::StreamKind;
use crate::error::{Error, Result};
use crate::event::{Topic, Wakeup, Wakeups};
use crate::store::{LogRange, LogStream};

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
pub struct TailBatch<E> {
    /// At most [`TAIL_BATCH_LINES_MAX`], and [`TAIL_BATCH_BYTES_MAX`] unless a single one has more; may be empty when
    /// there is something else to say.
    pub lines: Vec<Arc<E>>,
    /// The line to go on from after a cut.
    pub next_seq: i64,
    /// Everything that was stored when the tail began has been sent.
    pub caught_up: bool,
    /// The execution has ended, and this was its last line.
    pub ended: bool,
}

/// Follows the log of an execution that has been read. Ends after the last line of a finished execution.
///
/// # Errors
/// `NOT_FOUND` when the execution is gone, or its lines have expired; also as the stream's last item when it is deleted before its log has ended:
/// else that could not be told from the end. The stream itself fails as the store does.
pub async fn tail<E: Entry>(
    reader: LogReader,
    wakeups: &Wakeups,
    key: (String, Uuid),
    start: TailStart,
    filter: E::Filter,
) -> Result<impl Stream<Item = Result<TailBatch<E>>> + use<E>> {
    let wakeup = wakeups.follow(Topic::stream(E::KIND, key.1)); // before reading, so that nothing falls between
    let mut tail = Tail {
        reader,
        key,
        filter,
        wakeup,
        next_seq: 0,
        stored_before: 0,
        read_bytes: 0,
        silent_bytes: 0,
        ready: VecDeque::new(),
        said_caught_up: false,
    };
    let stream = tail.stream().await?;
    tail.stored_before = stream.next_seq;
    tail.next_seq = match start {
        TailStart::From(seq) => seq,
        TailStart::Last(lines) => (stream.next_seq - lines).max(0),
    };
    Ok(async_stream::try_stream! {
        let mut tail = tail;
        loop {
            let batch = tail.next().await?;
            let ended = batch.ended;
            yield batch;
            if ended {
                break;
            }
        }
    })
}

struct Tail<E: Entry> {
    reader: LogReader,
    key: (String, Uuid),
    filter: E::Filter,
    wakeup: Wakeup,
    /// The first line that has not been read.
    next_seq: i64,
    /// The end of the log when the tail began.
    stored_before: i64,
    /// Bytes of the log that are known to lie before `next_seq`: what follows has no more than the rest.
    read_bytes: i64,
    /// Bytes that were read since the last batch.
    silent_bytes: usize,
    /// Lines that were read and pass the filter.
    ready: VecDeque<Arc<E>>,
    said_caught_up: bool,
}

impl<E: Entry> Tail<E> {
    async fn next(&mut self) -> Result<TailBatch<E>> {
        loop {
            let stream = self.stream().await?;
            if stream.expired && self.next_seq < stream.next_seq {
                return Err(Error::NotFound { what: expired(E::KIND) });
            }
            while self.ready.is_empty() && self.next_seq < stream.next_seq && !self.was_silent_for_long() {
                if !self.read(&stream).await? {
                    break; // deleted just now: the next look finds no stream
                }
            }
            if self.next_seq >= stream.next_seq {
                self.read_bytes = stream.byte_count;
            }
            if let Some(batch) = self.batch(&stream) {
                return Ok(batch);
            }
            if self.next_seq >= stream.next_seq {
                self.wakeup.wait().await;
            }
        }
    }

    async fn stream(&self) -> Result<LogStream> {
        self.reader.followed_stream(E::KIND, &self.key).await?.ok_or(Error::NotFound { what: "execution" })
    }

    /// Reads on towards the end of `stream`; `false` when lines that must be there are not.
    async fn read(&mut self, stream: &LogStream) -> Result<bool> {
        let range = LogRange { from: self.next_seq, before: stream.next_seq };
        let wanted = Wanted {
            key: self.key.clone(),
            kind: E::KIND,
            range,
            direction: Direction::Forward,
            levels: E::levels(&self.filter),
            chunks: CHUNKS_MAX,
            bytes_max: usize::try_from(stream.byte_count - self.read_bytes).unwrap_or(0),
        };
        let (part, _memory) = self.reader.read_one(&wanted).await?;
        let mut breather = Breather::default();
        for chunk in &part.chunks {
            for line in E::decode(chunk) {
                let line = line?;
                if (range.from..range.before).contains(&line.seq()) && line.passes(&self.filter) {
                    self.ready.push_back(Arc::new(line));
                }
            }
            self.next_seq = range.before.min(chunk.last_seq + 1);
            self.read_bytes += chunk.body.len() as i64;
            self.silent_bytes += chunk.body.len();
            breather.decoded(chunk).await;
        }
        let all_there = E::levels(&self.filter).is_some() || !part.chunks.is_empty();
        if all_there && !part.more {
            self.next_seq = range.before; // what was left out cannot pass the filter
        }
        Ok(all_there)
    }

    fn was_silent_for_long(&self) -> bool {
        TAIL_SILENT_BYTES_MAX.is_passed_by(self.silent_bytes)
    }

    /// What there is to say now, if anything.
    fn batch(&mut self, stream: &LogStream) -> Option<TailBatch<E>> {
        let lines = take_batch(&mut self.ready);
        let next_seq = self.ready.front().map_or(self.next_seq, |line| line.seq());
        let caught_up = next_seq >= self.stored_before;
        let ended = stream.ended && next_seq >= stream.next_seq;
        let has_news = ended || caught_up && !self.said_caught_up || self.was_silent_for_long();
        if lines.is_empty() && !has_news {
            return None;
        }
        self.said_caught_up |= caught_up;
        self.silent_bytes = 0;
        Some(TailBatch { lines, next_seq, caught_up, ended })
    }
}

pub(super) fn expired(kind: StreamKind) -> &'static str {
    match kind {
        StreamKind::Log => "log, which has expired,",
        StreamKind::Visual => "visual session, which has expired,",
    }
}

/// The lines of one batch.
fn take_batch<E: Entry>(ready: &mut VecDeque<Arc<E>>) -> Vec<Arc<E>> {
    let mut bytes = 0;
    let fits = |(index, line): &(usize, &Arc<E>)| {
        bytes += line.bytes();
        *index == 0 || !TAIL_BATCH_BYTES_MAX.is_passed_by(bytes)
    };
    let count = ready.iter().take(TAIL_BATCH_LINES_MAX).enumerate().take_while(fits).count();
    ready.drain(..count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::log::{Line, decode};

    fn ready(sizes: impl IntoIterator<Item = usize>) -> VecDeque<Arc<Line>> {
        let line = |bytes| {
            let message = "x".repeat(bytes);
            let text = format!(
                r#"{{"seq":0,"timestamp":"2026-11-21T09:30:00Z","level":"INFO","message":"{message}"}}"#
            );
            Arc::new(decode(&text).next().unwrap().unwrap())
        };
        sizes.into_iter().map(line).collect()
    }

    #[test]
    fn a_batch_is_bounded_by_lines_and_by_bytes() {
        const KIB: usize = 1024;
        for (sizes, taken) in [
            (vec![1; 1_000], TAIL_BATCH_LINES_MAX),
            (vec![64 * KIB; 10], 4),
            (vec![300 * KIB, 1], 1),
            (vec![1, 300 * KIB], 1),
            (vec![], 0),
        ] {
            let mut ready = ready(sizes.iter().copied());
            assert_eq!(take_batch(&mut ready).len(), taken);
            assert_eq!(ready.len(), sizes.len() - taken, "the others stay");
        }
    }
}
