//! Log lines and visual events: numbered in groups, read by range.
//!
//! Both are streams of an execution ([`StreamKind`]), and a stream is a row of `log_stream` with its chunks: so one group
//! stores both, and everything that is said of a log and its lines goes for a visual session and its events. A visual stream
//! is opened by its first call; what it sums up to is written to its execution when that ends.

mod append;
mod read;
mod streams;

use std::ops::Range;

use entity::{log_chunk, log_stream};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::executions::ExecutionRow;
use crate::domain::execution::DURATION_MS_MAX;
use crate::domain::log::NumberedLines;
use crate::domain::object::Place;
use crate::domain::stream::StreamKind;

pub use append::{Append, Appended, has_ended};
pub use read::{ChunkSelection, ChunkSize, LogRange, LogsOf};

pub(super) use append::archive_due_at;
pub(super) use streams::{new_stream, save_streams};

/// Lines as they were appended by one call: what reading them needs.
#[derive(Debug, Clone, FromQueryResult)]
pub struct LogChunk {
    pub execution_id: Uuid,
    pub kind: StreamKind,
    pub first_seq: i64,
    pub last_seq: i64,
    byte_count: i32,
    object_offset: Option<i64>,
    object_place: Option<Place>,
    /// JSON lines; empty while they are only in the log's object.
    pub body: String,
}

impl LogChunk {
    pub(super) const COLUMNS: [log_chunk::Column; 8] = [
        log_chunk::Column::ExecutionId,
        log_chunk::Column::Kind,
        log_chunk::Column::FirstSeq,
        log_chunk::Column::LastSeq,
        log_chunk::Column::ByteCount,
        log_chunk::Column::ObjectOffset,
        log_chunk::Column::ObjectPlace,
        log_chunk::Column::Body,
    ];

    /// Of lines that have just been stored.
    pub fn appended(execution_id: Uuid, kind: StreamKind, lines: NumberedLines) -> Self {
        Self {
            execution_id,
            kind,
            first_seq: lines.first_seq,
            last_seq: lines.last_seq,
            byte_count: i32::try_from(lines.body.len()).unwrap_or(i32::MAX),
            object_offset: None,
            object_place: None,
            body: lines.body,
        }
    }

    /// Its lines from number `seq` on, once it has its text.
    pub fn lines_from(&self, seq: i64) -> &str {
        let skipped = usize::try_from(seq - self.first_seq).unwrap_or(0);
        let mut ends = self.body.match_indices('\n').map(|(end, _)| end + 1);
        let start = if skipped == 0 { Some(0) } else { ends.nth(skipped - 1) };
        start.and_then(|start| self.body.get(start..)).unwrap_or_default()
    }

    /// Where its lines are, unless they are here.
    pub fn archived(&self) -> Option<ArchivedAt> {
        let from = u64::try_from(self.object_offset?).ok()?;
        let bytes = u64::try_from(self.byte_count).ok()?;
        Some(ArchivedAt { place: self.object_place?, bytes: from..from + bytes })
    }
}

/// Where in the object of its log a chunk has its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedAt {
    pub place: Place,
    pub bytes: Range<u64>,
}

/// How far a log has been written.
pub type LogStream = log_stream::Model;

/// Which stream: of this tenant's execution, of this kind.
pub(super) type StreamKey = (String, Uuid, StreamKind);

pub(super) fn stream_key(stream: &LogStream) -> StreamKey {
    (stream.tenant_id.clone(), stream.execution_id, stream.kind)
}

/// What the stored events of a visual session come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisualTotals {
    pub events: i64,
    /// From the first event to the last.
    pub duration_ms: i64,
}

impl VisualTotals {
    /// Those of a stream; `None` for a log, and for a session without a stored event.
    pub fn of(stream: &LogStream) -> Option<Self> {
        if stream.kind != StreamKind::Visual || stream.next_seq == 0 {
            return None;
        }
        let duration_ms = stream.last_event_ms.unwrap_or(0) - stream.first_event_ms.unwrap_or(0);
        Some(Self { events: stream.next_seq, duration_ms })
    }

    /// Writes them down at the end of an execution: its stored events say it better than its runner.
    pub fn note(self, row: &mut ExecutionRow) {
        row.visual_events_captured = self.events;
        row.visual_stream_duration_ms = Ord::min(self.duration_ms, DURATION_MS_MAX);
    }
}
