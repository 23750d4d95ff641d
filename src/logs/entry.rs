//! What a stream is read as: the lines of a log, or the events of a visual session. All that follows a stream is written
//! once, for both.

use crate::domain::log::{self, Filter, Levels, Line};
use crate::domain::stream::StreamKind;
use crate::domain::visual::{self, Event};
use crate::error::Result;
use crate::store::LogChunk;

/// A line, or an event.
pub trait Entry: Send + Sync + Sized + 'static {
    /// Which stream has them.
    const KIND: StreamKind;
    /// Which of them a reader wants.
    type Filter: Send + Sync;

    /// The levels that a chunk must have any of, to be read at all.
    fn levels(filter: &Self::Filter) -> Option<i16>;
    /// Whether it is wanted.
    fn passes(&self, filter: &Self::Filter) -> bool;
    /// Those of a chunk that has its text.
    fn decode(chunk: &LogChunk) -> impl Iterator<Item = Result<Self>> + Send;
    /// Its number.
    fn seq(&self) -> i64;
    /// What it holds in memory, but for a few fixed bytes.
    fn bytes(&self) -> usize;
}

impl Entry for Line {
    const KIND: StreamKind = StreamKind::Log;
    type Filter = Filter;

    fn levels(filter: &Filter) -> Option<i16> {
        filter.levels.map(Levels::bits)
    }

    fn passes(&self, filter: &Filter) -> bool {
        filter.matches(self)
    }

    fn decode(chunk: &LogChunk) -> impl Iterator<Item = Result<Self>> + Send {
        log::decode(&chunk.body)
    }

    fn seq(&self) -> i64 {
        self.seq
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }
}

impl Entry for Event {
    const KIND: StreamKind = StreamKind::Visual;
    /// Events are wanted as they come.
    type Filter = ();

    fn levels((): &()) -> Option<i16> {
        None
    }

    fn passes(&self, (): &()) -> bool {
        true
    }

    fn decode(chunk: &LogChunk) -> impl Iterator<Item = Result<Self>> + Send {
        visual::decode(chunk.first_seq, &chunk.body)
    }

    fn seq(&self) -> i64 {
        self.seq
    }

    fn bytes(&self) -> usize {
        self.json.len()
    }
}
