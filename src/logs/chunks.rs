//! Reading the chunks of one log, as many at a time as their size allows.

use uuid::Uuid;

use crate::auth::Viewer;
use crate::domain::page::Direction;
use crate::error::Result;
use crate::store::{LogChunk, LogRange, Store};

const CHUNKS_MIN: u64 = 8;
const CHUNKS_MAX: u64 = 2_048;
/// Before anything is known of their size; a chunk has little more than 256 KiB.
const CHUNKS_FIRST_MAX: u64 = 200;
/// What one read should come to; chunks differ by a factor of a million in size.
const READ_BYTES_GOAL: usize = 512 * 1024;

/// Reads a log onwards or backwards.
#[derive(Debug)]
pub(super) struct ChunkReader {
    store: Store,
    viewer: Viewer,
    tenant_id: String,
    execution_id: Uuid,
    levels: Option<i16>,
    chunks: u64,
}

impl ChunkReader {
    /// A reader whose first read takes up to `first_read_chunks`: a page of so many lines is then one read.
    pub(super) fn new(
        store: Store,
        viewer: Viewer,
        tenant_id: String,
        execution_id: Uuid,
        levels: Option<i16>,
        first_read_chunks: u64,
    ) -> Self {
        let chunks = first_read_chunks.clamp(CHUNKS_MIN, CHUNKS_FIRST_MAX);
        Self { store, viewer, tenant_id, execution_id, levels, chunks }
    }

    /// The next chunks of the range and whether there may be more of them; adapts their number to their size.
    pub(super) async fn read(
        &mut self,
        range: LogRange,
        direction: Direction,
    ) -> Result<(Vec<LogChunk>, bool)> {
        let reader = self.store.reader(&self.viewer);
        let chunks = reader
            .log_chunks(&self.tenant_id, self.execution_id, range, direction, self.levels, self.chunks)
            .await?;
        let bytes: usize = chunks.iter().map(|chunk| chunk.body.len()).sum();
        let is_full = chunks.len() as u64 == self.chunks;
        if bytes > 2 * READ_BYTES_GOAL {
            self.chunks = (self.chunks / 2).max(CHUNKS_MIN);
        } else if is_full && bytes < READ_BYTES_GOAL {
            self.chunks = (self.chunks * 4).min(CHUNKS_MAX);
        }
        Ok((chunks, is_full))
    }
}
