//! Visual events by number, for some executions: one read for all of them, however many there are.

use std::collections::HashMap;

use uuid::Uuid;

use super::chunks::{Breather, CHUNKS_MAX, LOGS_MAX, LogReader, Wanted};
use super::entry::Entry as _;
use super::tail::expired;
use crate::domain::page::Direction;
use crate::domain::stream::StreamKind;
use crate::domain::visual::Event;
use crate::error::{Error, Result};
use crate::store::LogRange;

/// Some events of a session, in order.
#[derive(Debug, Clone)]
pub struct EventRange {
    pub events: Vec<Event>,
    /// The number to go on from.
    pub next_seq: i64,
    /// Nothing more was stored.
    pub caught_up: bool,
    /// Nothing more follows either.
    pub ended: bool,
}

/// The events of each of some sessions from `from` on, at most `rows` of each. Long ones make it fewer: one read's worth, and
/// of many sessions perhaps none of some, which are then read next.
///
/// # Errors
/// `NOT_FOUND` when the events of one were kept for as long as they are kept.
pub async fn event_ranges(
    reader: &LogReader,
    executions: &[(String, Uuid)],
    from: i64,
    rows: usize,
) -> Result<HashMap<Uuid, Result<EventRange>>> {
    let streams = reader.rows().log_streams(StreamKind::Visual, executions).await?;
    let open = executions.iter().filter_map(|key| {
        let stream = streams.get(&key.1)?;
        (from < stream.next_seq && !stream.expired).then(|| Wanted {
            key: key.clone(),
            kind: StreamKind::Visual,
            range: LogRange { from, before: stream.next_seq },
            direction: Direction::Forward,
            levels: None,
            // Each chunk has at least one event.
            chunks: CHUNKS_MAX.min(rows as u64),
            bytes_max: usize::try_from(stream.byte_count).unwrap_or(0),
        })
    });
    let open: Vec<_> = open.take(LOGS_MAX).collect();
    let read = reader.read(&open).await?;
    let mut events: HashMap<Uuid, Vec<Event>> = HashMap::new();
    let mut breather = Breather::default();
    for (wanted, part) in open.iter().zip(&read.parts) {
        let events = events.entry(wanted.key.1).or_default();
        for chunk in &part.chunks {
            for event in Event::decode(chunk) {
                let event = event?;
                if (wanted.range.from..wanted.range.before).contains(&event.seq) && events.len() < rows {
                    events.push(event);
                }
            }
            breather.decoded(chunk).await;
        }
    }
    let ranges = streams.into_iter().map(|(id, stream)| {
        let events = events.remove(&id).unwrap_or_default();
        let next_seq = events.last().map_or(from, |event| event.seq + 1);
        let caught_up = next_seq >= stream.next_seq;
        let range = if stream.expired && !caught_up {
            Err(Error::NotFound { what: expired(StreamKind::Visual) })
        } else {
            Ok(EventRange { events, next_seq, caught_up, ended: stream.ended && caught_up })
        };
        (id, range)
    });
    Ok(ranges.collect())
}
