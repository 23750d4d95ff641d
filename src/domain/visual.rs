//! Visual events as rrweb records them, and the text in which they are stored, archived and downloaded: JSON lines, one event
//! a line, as it was given. The number of an event is its place.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::limits::{VISUAL_CALL_BYTES_MAX, VISUAL_CALL_EVENTS_MAX, VISUAL_EVENT_BYTES_MAX, at_most};
use super::log::{CHUNK_BYTES_GOAL, NumberedLines};
use crate::error::{Error, Result};

/// The last millisecond of the year 9999.
const TIMESTAMP_MS_MAX: f64 = 253_402_300_799_999.0;

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub seq: i64,
    /// JSON text, without line breaks.
    pub json: String,
}

/// Some time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub first_ms: i64,
    pub last_ms: i64,
}

impl Span {
    /// The time that spans both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { first_ms: self.first_ms.min(other.first_ms), last_ms: self.last_ms.max(other.last_ms) }
    }
}

/// Events that were checked.
#[derive(Debug)]
pub struct EncodedEvents {
    /// JSON text, without line breaks.
    events: Vec<String>,
    /// When each happened.
    times_ms: Vec<i64>,
    bytes: usize,
}

impl EncodedEvents {
    /// Checks events, which are JSON text as [`serde_json`] writes it; `field` is the path of their list, for errors.
    ///
    /// # Errors
    /// `BAD_INPUT` and `TOO_LARGE` with the index of the event.
    pub fn new(field: &str, events: Vec<Option<String>>) -> Result<Self> {
        if events.is_empty() {
            return Err(Error::bad_input(field.to_owned(), "give at least one event"));
        }
        at_most(field, events.len(), VISUAL_CALL_EVENTS_MAX)?;
        let events: Vec<_> = events.into_iter().map(Option::unwrap_or_default).collect();
        let times = events.iter().enumerate().map(|(index, event)| check(&format!("{field}.{index}"), event));
        let times_ms = times.collect::<Result<_>>()?;
        let bytes = events.iter().map(|event| event.len() + 1).sum();
        at_most(field, bytes, VISUAL_CALL_BYTES_MAX)?;
        Ok(Self { events, times_ms, bytes })
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many bytes they come to as they are stored.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// As [`super::log::EncodedLines::number`].
    pub fn number(&self, skip: usize, first_seq: i64) -> Vec<NumberedLines> {
        let mut pieces: Vec<NumberedLines> = Vec::new();
        for (seq, event) in (first_seq..).zip(&self.events[skip..]) {
            if pieces.last().is_none_or(|piece| piece.body.len() >= CHUNK_BYTES_GOAL) {
                pieces.push(NumberedLines { first_seq: seq, ..NumberedLines::default() });
            }
            if let Some(piece) = pieces.last_mut() {
                piece.body.push_str(event);
                piece.body.push('\n');
                piece.last_seq = seq;
            }
        }
        pieces
    }

    /// The time that the events from index `skip` on span.
    pub fn span(&self, skip: usize) -> Option<Span> {
        let times = self.times_ms.get(skip..)?.iter();
        times.map(|time| Span { first_ms: *time, last_ms: *time }).reduce(Span::with)
    }
}

/// What every event of rrweb has.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    _kind: f64,
    timestamp: f64,
}

/// When an event happened, in milliseconds since 1970.
fn check(field: &str, event: &str) -> Result<i64> {
    at_most(field, event.len(), VISUAL_EVENT_BYTES_MAX)?;
    // Of a list, serde would take the first two members.
    let head: Option<Head> = event.starts_with('{').then(|| serde_json::from_str(event).ok()).flatten();
    let time = head.map(|head| head.timestamp).filter(|time| (0.0..=TIMESTAMP_MS_MAX).contains(time));
    time.map(|time| time as i64).ok_or_else(|| {
        Error::bad_input(
            field.to_owned(),
            "an event is an object with a number `type` and a `timestamp` in milliseconds since 1970",
        )
    })
}

/// Reads stored text back, the first event of which has number `first_seq`.
///
/// An item is `INTERNAL` when it is not JSON: answers take it as it is.
pub fn decode(first_seq: i64, body: &str) -> impl Iterator<Item = Result<Event>> {
    (first_seq..).zip(body.split_terminator('\n')).map(|(seq, json)| {
        let _: &RawValue = serde_json::from_str(json).map_err(Error::internal)?;
        Ok(Event { seq, json: json.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(events: &[&str]) -> Result<EncodedEvents> {
        EncodedEvents::new("input.events", events.iter().map(|event| Some((*event).to_owned())).collect())
    }

    #[test]
    fn what_is_no_event_is_refused_by_its_index() {
        let good = r#"{"type":4,"data":{"href":"/"},"timestamp":1700000000000}"#;
        assert!(encode(&[good]).is_ok());
        for bad in [
            "null",
            "1",
            "[1,2]",
            r#""text""#,
            "{}",
            r#"{"type":4}"#,
            r#"{"timestamp":1}"#,
            r#"{"type":"4","timestamp":1}"#,
            r#"{"type":4,"timestamp":"1"}"#,
            r#"{"type":4,"timestamp":null}"#,
            r#"{"type":4,"timestamp":-1}"#,
            r#"{"type":4,"timestamp":1e300}"#,
        ] {
            let error = encode(&[good, bad]).unwrap_err();
            assert!(matches!(&error, Error::BadInput { field, .. } if field == "input.events.1"), "{bad}");
        }
    }

    #[test]
    fn events_read_back_as_they_were_with_their_numbers() {
        let texts: Vec<_> = (0..5)
            .map(|n| format!(r#"{{"type":3,"data":"{}","timestamp":{n}.5}}"#, "x".repeat(100 * 1024)))
            .collect();
        let events = encode(&texts.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let pieces = events.number(1, 7);
        assert_eq!(
            pieces.iter().map(|piece| (piece.first_seq, piece.last_seq)).collect::<Vec<_>>(),
            [(7, 9), (10, 10)]
        );
        let read = pieces.iter().flat_map(|piece| decode(piece.first_seq, &piece.body));
        let read = read.collect::<Result<Vec<_>>>().expect("they are JSON");
        assert_eq!(read.iter().map(|event| event.seq).collect::<Vec<_>>(), [7, 8, 9, 10]);
        assert!(read.iter().map(|event| &event.json).eq(&texts[1..]));
        assert_eq!(
            pieces.iter().map(|piece| piece.body.len()).sum::<usize>() + texts[0].len() + 1,
            events.bytes()
        );
        assert_eq!(events.span(1), Some(Span { first_ms: 1, last_ms: 4 }));
    }
}
