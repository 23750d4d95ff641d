//! The two streams of an execution: the lines of its log, and the events of its visual session. Both are numbered from 0
//! without holes and stored as JSON lines, so everything but their text is one: how they are appended, kept, archived,
//! followed and removed.

pub use entity::stream_kind::StreamKind;

use super::limits::{
    LOG_BYTES_MAX, LOG_LINES_MAX, VISUAL_BYTES_MAX, VISUAL_EVENT_BYTES_MAX, VISUAL_EVENTS_MAX,
};
use super::log::{CHUNK_BYTES_GOAL, CHUNK_BYTES_MAX, EncodedLines, NumberedLines};
use super::visual::{EncodedEvents, Span};
use crate::error::Limit;

/// What one call appends.
#[derive(Debug)]
pub enum Entries {
    Lines(EncodedLines),
    Events(EncodedEvents),
}

impl Entries {
    /// Which stream they are for.
    pub fn kind(&self) -> StreamKind {
        match self {
            Self::Lines(_) => StreamKind::Log,
            Self::Events(_) => StreamKind::Visual,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.len(),
            Self::Events(events) => events.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes they come to as they are stored, at most.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.bytes(),
            Self::Events(events) => events.bytes(),
        }
    }

    /// Those from index `skip` on, the first of which gets number `first_seq`, in pieces that are full once they pass
    /// [`CHUNK_BYTES_GOAL`].
    pub fn number(&self, skip: usize, first_seq: i64) -> Vec<NumberedLines> {
        match self {
            Self::Lines(lines) => lines.number(skip, first_seq),
            Self::Events(events) => events.number(skip, first_seq),
        }
    }

    /// The time that those from index `skip` on span, if they are events.
    pub fn span(&self, skip: usize) -> Option<Span> {
        match self {
            Self::Lines(_) => None,
            Self::Events(events) => events.span(skip),
        }
    }
}

/// What the two kinds of streams differ in.
#[derive(Debug, Clone, Copy)]
pub struct StreamRules {
    /// What it has, in words for callers.
    pub noun: &'static str,
    /// The path of a call's entries.
    pub field: &'static str,
    /// Entries of one execution.
    pub entries_max: Limit,
    /// Text of one execution, as it is stored.
    pub bytes_max: Limit,
    /// The largest stored piece.
    pub chunk_bytes_max: usize,
}

/// The rules of a kind.
pub fn rules(kind: StreamKind) -> StreamRules {
    match kind {
        StreamKind::Log => StreamRules {
            noun: "lines",
            field: "input.lines",
            entries_max: LOG_LINES_MAX,
            bytes_max: LOG_BYTES_MAX,
            chunk_bytes_max: CHUNK_BYTES_MAX,
        },
        StreamKind::Visual => StreamRules {
            noun: "events",
            field: "input.events",
            entries_max: VISUAL_EVENTS_MAX,
            bytes_max: VISUAL_BYTES_MAX,
            chunk_bytes_max: CHUNK_BYTES_GOAL + VISUAL_EVENT_BYTES_MAX.max as usize + 1,
        },
    }
}
