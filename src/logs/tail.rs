//! Following one execution's log, or its visual session: stored entries, then live ones, each exactly once and in order.
//!
//! A look at the database costs two statements: how far the stream goes, and its chunks. None is needed for lines that this
//! process has just stored, which come with the wake-up: they are taken when they continue what was read, when they are of the
//! tenant and of an owner whom the reader sees, and when nothing else has been announced since the last look. In every other
//! case, and once in half a minute, the tail looks.
//!
//! Whoever runs a tail can know where it stands ([`TailPlace`]), stop it there, and begin another one there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::Stream;
use tokio::time::Instant;
use uuid::Uuid;

use super::chunks::{Breather, CHUNKS_MAX, LogReader, Wanted};
use super::entry::Entry;
use crate::domain::limits::{TAIL_BATCH_BYTES_MAX, TAIL_BATCH_LINES_MAX, TAIL_SILENT_BYTES_MAX};
use crate::domain::page::Direction;
use crate::domain::stream::StreamKind;
use crate::error::{Error, Result};
use crate::event::{SLOW_POLL_SECONDS, Topic, Wakeup, Wakeups};
use crate::store::{LogChunk, LogRange, LogStream};

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

/// Where a tail stands, for whoever runs it: so that others can go on from there, and it from where others stand. Cheap to
/// clone; clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct TailPlace(Arc<Mutex<Place>>);

#[derive(Debug, Default)]
struct Place {
    resumes_at: Option<i64>,
    stops_at: Option<i64>,
    stands_at: Option<i64>,
    is_waiting: bool,
    has_ended: bool,
}

impl TailPlace {
    /// A place for a tail that goes on at this line, whatever its arguments say, as one does that has caught up before.
    pub fn resuming_at(seq: i64) -> Self {
        Self(Arc::new(Mutex::new(Place { resumes_at: Some(seq), ..Place::default() })))
    }

    /// Lets the tail end before this line, as if there were no more.
    pub fn stop_at(&self, seq: i64) {
        self.lock().stops_at = Some(seq);
    }

    /// Everything before this line has been given, but for what the filter leaves out. Exact when a batch has just come and
    /// when the tail waits; `None` of what is no tail, or has not begun.
    pub fn stands_at(&self) -> Option<i64> {
        self.lock().stands_at
    }

    /// Whether the tail has given everything and waits for more; says so once each time.
    pub fn begins_to_wait(&self) -> bool {
        std::mem::take(&mut self.lock().is_waiting)
    }

    /// Whether the last batch was the last line's.
    pub fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    fn stops(&self) -> i64 {
        self.lock().stops_at.unwrap_or(i64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        // Nothing that runs under this lock can leave it half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    place: TailPlace,
) -> Result<impl Stream<Item = Result<TailBatch<E>>> + use<E>> {
    let wakeup = wakeups.follow(Topic::stream(E::KIND, key.1)); // before reading, so that nothing falls between
    let mut tail = Tail {
        reader,
        key,
        filter,
        wakeup,
        next_seq: 0,
        end: None,
        stored_before: 0,
        read_bytes: 0,
        silent_bytes: 0,
        ready: VecDeque::new(),
        said_caught_up: false,
        place,
    };
    let resumes_at = tail.place.lock().resumes_at;
    if let Some(seq) = resumes_at {
        (tail.next_seq, tail.stored_before, tail.said_caught_up) = (seq, seq, true);
    } else {
        let stream = tail.stream().await?;
        tail.stored_before = stream.next_seq;
        tail.next_seq = match start {
            TailStart::From(seq) => seq,
            TailStart::Last(lines) => (stream.next_seq - lines).max(0),
        };
    }
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

struct Tail<E: Entry> {
    reader: LogReader,
    key: (String, Uuid),
    filter: E::Filter,
    wakeup: Wakeup,
    /// The first line that has not been read.
    next_seq: i64,
    /// What the last look at the stream found, while nothing says that it has changed other than by lines that are given.
    end: Option<End>,
    /// The end of the log when the tail began.
    stored_before: i64,
    /// Bytes of the log that are known to lie before `next_seq`: what follows has no more than the rest.
    read_bytes: i64,
    /// Bytes that were read since the last batch.
    silent_bytes: usize,
    /// Lines that were read and pass the filter.
    ready: VecDeque<Arc<E>>,
    said_caught_up: bool,
    place: TailPlace,
}

/// How far a stream goes.
#[derive(Debug, Clone, Copy)]
struct End {
    /// The number of changes that nobody has described, when the look began.
    unknown_changes: u64,
    looked_at: Instant,
    next_seq: i64,
    ended: bool,
}

impl<E: Entry> Tail<E> {
    /// The next batch; `None` where it is to stop.
    async fn next(&mut self) -> Result<Option<TailBatch<E>>> {
        loop {
            let stops_at = self.place.stops();
            let end = match self.known_end(stops_at)? {
                Some(end) => end,
                // Futures of statements are large, and a tail mostly waits.
                None => Box::pin(self.look(stops_at)).await?,
            };
            if let Some(batch) = self.batch(end) {
                self.place.lock().stands_at = Some(batch.next_seq);
                self.place.lock().has_ended = batch.ended;
                return Ok(Some(batch));
            }
            if self.next_seq >= stops_at {
                self.place.lock().stands_at = Some(self.next_seq);
                return Ok(None);
            }
            if self.next_seq >= end.next_seq {
                {
                    let mut place = self.place.lock();
                    (place.stands_at, place.is_waiting) = (Some(self.next_seq), true);
                }
                if !self.wakeup.wait().await {
                    self.end = None;
                }
                self.place.lock().is_waiting = false;
            } else {
                self.end = None;
            }
        }
    }

    /// How far the stream goes, when that is known without the database: nothing has happened since the last look but what is
    /// given here, which becomes ready.
    fn known_end(&mut self, stops_at: i64) -> Result<Option<End>> {
        let Some(mut end) = self.end else { return Ok(None) };
        if !self.ready.is_empty() {
            return Ok(Some(end));
        }
        if self.next_seq < end.next_seq
            || self.wakeup.unknown_changes() != end.unknown_changes
            || end.looked_at.elapsed().as_secs() >= SLOW_POLL_SECONDS
        {
            return Ok(None);
        }
        for appended in self.wakeup.appended_from(self.next_seq) {
            if self.was_silent_for_long() || self.next_seq >= stops_at {
                break;
            }
            if appended.tenant_id != self.key.0 {
                continue; // the id has come again, as another tenant's
            }
            let chunk = &appended.chunk;
            let is_next = (chunk.first_seq..=chunk.last_seq).contains(&self.next_seq);
            if !is_next || !self.reader.admits(&appended.tenant_id, &appended.owner_id) {
                return Ok(None);
            }
            self.take(chunk, LogRange { from: self.next_seq, before: stops_at })?;
        }
        end.next_seq = end.next_seq.max(self.next_seq);
        self.end = Some(end);
        Ok(Some(end))
    }

    /// Asks the database how far the stream goes, and reads on when nothing is ready.
    async fn look(&mut self, stops_at: i64) -> Result<End> {
        // Before reading, so that nothing falls between.
        let (unknown_changes, looked_at) = (self.wakeup.unknown_changes(), Instant::now());
        let stream = self.stream().await?;
        if stream.expired && self.next_seq < stream.next_seq {
            return Err(Error::NotFound { what: expired(E::KIND) });
        }
        while self.ready.is_empty()
            && self.next_seq < stream.next_seq.min(stops_at)
            && !self.was_silent_for_long()
        {
            if !self.read(&stream, stops_at).await? {
                break; // deleted just now: the next look finds no stream
            }
        }
        if self.next_seq >= stream.next_seq {
            self.read_bytes = stream.byte_count;
        }
        let end = End { unknown_changes, looked_at, next_seq: stream.next_seq, ended: stream.ended };
        self.end = Some(end);
        Ok(end)
    }

    async fn stream(&self) -> Result<LogStream> {
        self.reader.followed_stream(E::KIND, &self.key).await?.ok_or(Error::NotFound { what: "execution" })
    }

    /// Reads on towards the end of `stream`; `false` when lines that must be there are not.
    async fn read(&mut self, stream: &LogStream, stops_at: i64) -> Result<bool> {
        let range = LogRange { from: self.next_seq, before: stream.next_seq.min(stops_at) };
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
            self.take(chunk, range)?;
            breather.decoded(chunk).await;
        }
        let all_there = E::levels(&self.filter).is_some() || !part.chunks.is_empty();
        if all_there && !part.more {
            self.next_seq = range.before; // what was left out cannot pass the filter
        }
        Ok(all_there)
    }

    /// Makes the lines of a chunk ready that are in the range and pass the filter.
    fn take(&mut self, chunk: &LogChunk, range: LogRange) -> Result<()> {
        for line in E::decode(chunk) {
            let line = line?;
            if (range.from..range.before).contains(&line.seq()) && line.passes(&self.filter) {
                self.ready.push_back(Arc::new(line));
            }
        }
        self.next_seq = range.before.min(chunk.last_seq + 1);
        self.read_bytes += chunk.body.len() as i64;
        self.silent_bytes += chunk.body.len();
        Ok(())
    }

    fn was_silent_for_long(&self) -> bool {
        TAIL_SILENT_BYTES_MAX.is_passed_by(self.silent_bytes)
    }

    /// What there is to say now, if anything.
    fn batch(&mut self, end: End) -> Option<TailBatch<E>> {
        let lines = take_batch(&mut self.ready);
        let next_seq = self.ready.front().map_or(self.next_seq, |line| line.seq());
        let caught_up = next_seq >= self.stored_before;
        let ended = end.ended && next_seq >= end.next_seq;
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
