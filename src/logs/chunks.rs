//! Reading the chunks of logs, as many at a time as their size allows.
//!
//! A chunk has from 60 bytes to three quarters of a MiB, so their number says nothing. A read fetches at most
//! [`LOG_READ_BYTES_MAX`] of a log beyond its first chunk, and [`LOGS_READ_BYTES_MAX`] of many logs together. When what
//! is left of the logs may be more, it asks for the sizes first: two statements instead of one.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::objects::fill;
use crate::auth::Viewer;
use crate::domain::limits::{LOG_READ_BYTES_MAX, LOG_READING_BYTES_MAX, LOGS_READ_BYTES_MAX};
use crate::domain::page::Direction;
use crate::domain::stream::{StreamKind, rules};
use crate::error::{Error, Result};
use crate::storage::Storage;
use crate::store::{ChunkSelection, ChunkSize, LogChunk, LogRange, LogStream, Reader, Store};

/// Logs that one statement reads. SQLite takes 500 selects in a union; nobody gains from more.
pub(super) const LOGS_MAX: usize = 200;
/// Chunks of one log that a read looks at.
pub(super) const CHUNKS_MAX: u64 = 1_024;
/// Text that is decoded at once, in bytes: about a millisecond's work.
const DECODE_BYTES_MAX: usize = 256 * 1024;

/// What bounds the text that all reads of the process hold at once. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReadMemory(Arc<Semaphore>);

impl Default for ReadMemory {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LOG_READING_BYTES_MAX.to_usize())))
    }
}

impl ReadMemory {
    async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes.min(LOG_READING_BYTES_MAX.to_usize())).map_err(Error::internal)?;
        Arc::clone(&self.0).acquire_many_owned(bytes).await.map_err(Error::internal)
    }
}

/// Reads logs for one viewer.
#[derive(Debug, Clone)]
pub struct LogReader {
    store: Store,
    viewer: Viewer,
    memory: ReadMemory,
    storage: Storage,
}

/// What to read of one log.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub key: (String, Uuid),
    pub kind: StreamKind,
    pub range: LogRange,
    pub direction: Direction,
    /// Leaves out chunks that have no line of these levels.
    pub levels: Option<i16>,
    /// At most so many.
    pub chunks: u64,
    /// The chunks in the range have no more text than this.
    pub bytes_max: usize,
}

/// What was read. Hold none while reading more: all that is held is bounded, and readers that wait for each other's
/// would wait for ever.
#[derive(Debug)]
pub(super) struct Read {
    /// In the order of what was wanted.
    pub parts: Vec<Part>,
    /// Given back when the chunks are dropped.
    pub memory: OwnedSemaphorePermit,
}

/// What was read of one log.
#[derive(Debug)]
pub(super) struct Part {
    pub chunks: Vec<LogChunk>,
    /// Whether there may be more in the range.
    pub more: bool,
}

impl LogReader {
    /// Reads what `viewer` may see.
    pub fn new(store: Store, viewer: Viewer, memory: ReadMemory, storage: Storage) -> Self {
        Self { store, viewer, memory, storage }
    }

    /// Whether the viewer sees what belongs to this tenant and owner.
    pub(super) fn admits(&self, tenant_id: &str, owner_id: &str) -> bool {
        self.viewer.reads().admits(tenant_id, owner_id)
    }

    /// What the store has for this viewer.
    pub(super) fn rows(&self) -> Reader<'_> {
        self.store.reader(&self.viewer)
    }

    /// Chunks of some logs, with their text.
    async fn log_chunks(&self, selections: &[ChunkSelection]) -> Result<Vec<Vec<LogChunk>>> {
        let parts = self.rows().log_chunks(selections).await?;
        let counts: Vec<_> = parts.iter().map(Vec::len).collect();
        let mut chunks: Vec<_> = parts.into_iter().flatten().collect();
        fill(&self.storage, &mut chunks).await?;
        let mut chunks = chunks.into_iter();
        Ok(counts.into_iter().map(|count| chunks.by_ref().take(count).collect()).collect())
    }

    /// How far a stream is written; `None` when there is no such stream.
    pub(super) async fn stream(&self, kind: StreamKind, key: &(String, Uuid)) -> Result<Option<LogStream>> {
        Ok(self.rows().log_streams(kind, std::slice::from_ref(key)).await?.remove(&key.1))
    }

    /// As [`Self::stream`]; a visual session without events yet is an empty stream, which ends with the execution.
    pub(super) async fn followed_stream(
        &self,
        kind: StreamKind,
        key: &(String, Uuid),
    ) -> Result<Option<LogStream>> {
        let stream = self.stream(kind, key).await?;
        if stream.is_some() || kind == StreamKind::Log {
            return Ok(stream);
        }
        let unopened = |log| LogStream { kind, next_seq: 0, byte_count: 0, expired: false, ..log };
        Ok(self.stream(StreamKind::Log, key).await?.map(unopened))
    }

    /// The next chunks of some logs; a log that has any gets at least one, unless the other logs' fill the read.
    pub(super) async fn read(&self, wanted: &[Wanted]) -> Result<Read> {
        let selections: Vec<_> = wanted.iter().map(Wanted::selection).collect();
        let largest: Vec<_> = wanted.iter().map(Wanted::bytes_at_most).collect();
        let bytes = largest.iter().sum();
        if largest.iter().all(|bytes| *bytes <= LOG_READ_BYTES_MAX.to_usize())
            && bytes <= LOGS_READ_BYTES_MAX.to_usize()
        {
            let memory = self.memory.reserve(bytes).await?;
            let chunks = self.log_chunks(&selections).await?;
            let part = |(chunks, wanted): (Vec<LogChunk>, &Wanted)| {
                let more = chunks.len() as u64 == wanted.chunks;
                Part { chunks, more }
            };
            return Ok(Read { parts: chunks.into_iter().zip(wanted).map(part).collect(), memory });
        }
        self.read_what_fits(selections).await
    }

    /// The next chunks of one log, and the memory that they take.
    pub(super) async fn read_one(&self, wanted: &Wanted) -> Result<(Part, OwnedSemaphorePermit)> {
        let mut read = self.read(std::slice::from_ref(wanted)).await?;
        let part = read.parts.pop().unwrap_or(Part { chunks: Vec::new(), more: false });
        Ok((part, read.memory))
    }

    async fn read_what_fits(&self, mut selections: Vec<ChunkSelection>) -> Result<Read> {
        let sizes = self.rows().log_chunk_sizes(&selections).await?;
        let (counts, bytes) = fitting(&sizes);
        let mut parts = Vec::with_capacity(sizes.len());
        for ((selection, sizes), count) in selections.iter_mut().zip(&sizes).zip(&counts) {
            let more = *count < sizes.len() || sizes.len() as u64 == selection.chunks;
            parts.push(Part { chunks: Vec::new(), more });
            selection.chunks = *count as u64;
            // Chunks that are archived in between become fewer and larger: then no more is read than was reserved.
            match (selection.direction, sizes.get(count.saturating_sub(1)), sizes.get(*count)) {
                (Direction::Forward, Some(last), _) => {
                    selection.range.before = selection.range.before.min(last.last_seq + 1);
                }
                (Direction::Backward, _, Some(next)) => {
                    selection.range.from = selection.range.from.max(next.last_seq + 1);
                }
                _ => {}
            }
        }
        let (mut filled, selections): (Vec<_>, Vec<_>) =
            parts.iter_mut().zip(selections).filter(|(_, selection)| selection.chunks > 0).unzip();
        let memory = self.memory.reserve(bytes).await?;
        for (part, chunks) in filled.iter_mut().zip(self.log_chunks(&selections).await?) {
            part.chunks = chunks;
        }
        Ok(Read { parts, memory })
    }
}

impl Wanted {
    fn selection(&self) -> ChunkSelection {
        let (tenant_id, execution_id) = self.key.clone();
        let &Self { kind, range, direction, levels, chunks, .. } = self;
        ChunkSelection { tenant_id, execution_id, kind, range, direction, levels, chunks }
    }

    /// What reading it at once could come to.
    fn bytes_at_most(&self) -> usize {
        let chunks = usize::try_from(self.chunks).unwrap_or(usize::MAX);
        self.bytes_max.min(chunks.saturating_mul(rules(self.kind).chunk_bytes_max))
    }
}

/// How many chunks of each log fit a read, and their bytes.
fn fitting(sizes: &[Vec<ChunkSize>]) -> (Vec<usize>, usize) {
    let sizes = sizes.iter().map(|sizes| sizes.iter().map(ChunkSize::bytes));
    fitting_bytes(sizes)
}

fn fitting_bytes(logs: impl Iterator<Item = impl Iterator<Item = usize>>) -> (Vec<usize>, usize) {
    let mut bytes_of_all = 0;
    let count = |sizes| {
        let mut count = 0;
        let mut bytes_beyond_the_first = 0;
        for bytes in sizes {
            if count > 0 {
                bytes_beyond_the_first += bytes;
            }
            let fits = bytes_beyond_the_first <= LOG_READ_BYTES_MAX.to_usize()
                && bytes_of_all + bytes <= LOGS_READ_BYTES_MAX.to_usize();
            if !fits && bytes_of_all > 0 {
                break;
            }
            count += 1;
            bytes_of_all += bytes;
        }
        count
    };
    let counts = logs.map(count).collect();
    (counts, bytes_of_all)
}

/// Lets others run while a lot of text is decoded: a worker that decodes a whole read keeps everybody else's answer
/// waiting.
#[derive(Debug, Default)]
pub(super) struct Breather {
    bytes: usize,
}

impl Breather {
    /// To be called after each chunk.
    pub(super) async fn decoded(&mut self, chunk: &LogChunk) {
        self.bytes += chunk.body.len();
        if self.bytes >= DECODE_BYTES_MAX {
            self.bytes = 0;
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::log::CHUNK_BYTES_MAX;

    const KIB: usize = 1024;

    fn fit(logs: &[&[usize]]) -> (Vec<usize>, usize) {
        fitting_bytes(logs.iter().map(|sizes| sizes.iter().copied()))
    }

    #[test]
    fn a_read_is_bounded_by_bytes_however_many_chunks_there_are() {
        assert_eq!(fit(&[&[60; 1_000]]), (vec![1_000], 60_000));
        assert_eq!(fit(&[&[256 * KIB; 1_000]]), (vec![5], 5 * 256 * KIB), "1 MiB beyond the first");
        let mixed: Vec<_> = std::iter::repeat_n(60, 1_000).chain([256 * KIB; 1_000]).collect();
        assert_eq!(fit(&[&mixed]).0, [1_003]);
    }

    #[test]
    fn a_read_has_at_least_one_chunk() {
        assert_eq!(fit(&[&[CHUNK_BYTES_MAX; 3]]).0, [2]);
        assert_eq!(fit(&[&[100 * KIB * KIB; 3]]).0, [1]);
        assert_eq!(fit(&[&[], &[1]]).0, [0, 1]);
    }

    #[test]
    fn a_read_of_many_logs_is_bounded_as_a_whole() {
        let log = [256 * KIB; 10];
        let (counts, bytes) = fit(&[&log[..]; 100]);
        assert_eq!(counts[..8], [5, 5, 5, 5, 5, 5, 2, 0]);
        assert!(counts[8..].iter().all(|count| *count == 0), "they are read next");
        assert_eq!(bytes, LOGS_READ_BYTES_MAX.to_usize());
        assert_eq!(fit(&[&[1][..]; 200]).0, [1; 200]);
    }
}
