//! Log lines and the text in which they are stored, archived and downloaded: JSON lines, one object a line,
//!
//! ```text
//! {"seq":0,"timestamp":"2026-11-21T09:30:00.125Z","level":"INFO","stream":"stdout","message":"…","fields":{…}}
//! ```
//!
//! `stream` and `fields` are left out when there are none. JSON escapes line breaks, so a line is never torn.

use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::limits::{LOG_FIELDS_BYTES_MAX, LOG_MESSAGE_BYTES_MAX, at_most};
use super::text;
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// A stored piece of a log takes no further line once it has this many bytes.
pub const CHUNK_BYTES_GOAL: usize = 256 * 1024;
/// The largest stored piece: one that lacks a byte, and a line whose every character is escaped in six bytes.
pub const CHUNK_BYTES_MAX: usize =
    CHUNK_BYTES_GOAL + 6 * LOG_MESSAGE_BYTES_MAX.max as usize + LOG_FIELDS_BYTES_MAX.max as usize + 4 * 1024;

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// A set of levels: bit 0 for TRACE to bit 4 for ERROR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Levels(i16);

impl Levels {
    /// The set of these.
    pub fn of(levels: impl IntoIterator<Item = Level>) -> Self {
        Self(levels.into_iter().fold(0, |bits, level| bits | (1 << level as i16)))
    }

    /// As it is stored.
    pub fn bits(self) -> i16 {
        self.0
    }

    fn contains(self, level: Level) -> bool {
        self.0 & (1 << level as i16) != 0
    }
}

/// A line to be appended; it has no number yet.
#[derive(Debug, Clone)]
pub struct NewLine {
    pub timestamp: Timestamp,
    pub level: Level,
    pub stream: Option<String>,
    pub message: String,
    /// JSON text.
    pub fields: Option<String>,
}

/// A line as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    pub seq: i64,
    pub timestamp: Timestamp,
    pub level: Level,
    #[serde(default)]
    pub stream: Option<String>,
    pub message: String,
    #[serde(default)]
    pub fields: Option<Box<RawValue>>,
}

impl Line {
    /// What it holds in memory, but for a few fixed bytes.
    pub fn bytes(&self) -> usize {
        let fields = self.fields.as_ref().map_or(0, |fields| fields.get().len());
        self.message.len() + self.stream.as_ref().map_or(0, String::len) + fields
    }
}

/// Lines that were checked and turned into text, all but their numbers.
#[derive(Debug)]
pub struct EncodedLines {
    /// For each line what follows `{"seq":N,`.
    tails: Vec<String>,
    /// Which level each has.
    levels: Vec<Level>,
    bytes: usize,
}

/// What a number takes in the stored text of its line: `{"seq":N,` and the newline.
const NUMBER_BYTES_MAX: usize = 32;

impl EncodedLines {
    /// Checks and encodes lines; `field` is the path of their list, for errors.
    ///
    /// # Errors
    /// `BAD_INPUT` and `TOO_LARGE` with the index of the line.
    pub fn new(field: &str, lines: Vec<NewLine>) -> Result<Self> {
        let levels = lines.iter().map(|line| line.level).collect();
        let tails = lines
            .into_iter()
            .enumerate()
            .map(|(index, line)| encode_tail(&format!("{field}.{index}"), line))
            .collect::<Result<Vec<_>>>()?;
        let bytes = tails.iter().map(|tail| tail.len() + NUMBER_BYTES_MAX).sum();
        Ok(Self { tails, levels, bytes })
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.tails.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tails.is_empty()
    }

    /// How many bytes they come to as they are stored, at most.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The lines from index `skip` on, the first of which gets number `first_seq`, in pieces that are full once they
    /// pass [`CHUNK_BYTES_GOAL`]: so that whoever reads some pieces knows how much that can be.
    pub fn number(&self, skip: usize, first_seq: i64) -> Vec<NumberedLines> {
        let mut pieces: Vec<NumberedLines> = Vec::new();
        for ((seq, tail), level) in (first_seq..).zip(&self.tails[skip..]).zip(&self.levels[skip..]) {
            match pieces.last_mut() {
                Some(piece) if piece.body.len() < CHUNK_BYTES_GOAL => piece.push(seq, tail, *level),
                _ => {
                    let mut piece = NumberedLines { first_seq: seq, ..NumberedLines::default() };
                    piece.push(seq, tail, *level);
                    pieces.push(piece);
                }
            }
        }
        pieces
    }
}

/// Lines with their numbers, as they are stored.
#[derive(Debug, Default)]
pub struct NumberedLines {
    pub first_seq: i64,
    pub last_seq: i64,
    pub levels: Levels,
    /// JSON lines.
    pub body: String,
}

impl NumberedLines {
    fn push(&mut self, seq: i64, tail: &str, level: Level) {
        self.body.push_str("{\"seq\":");
        self.body.push_str(&seq.to_string());
        self.body.push(',');
        self.body.push_str(tail);
        self.body.push('\n');
        self.levels.0 |= Levels::of([level]).0;
        self.last_seq = seq;
    }
}

#[derive(Serialize)]
struct Tail<'a> {
    timestamp: String,
    level: Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'a RawValue>,
}

fn encode_tail(field: &str, line: NewLine) -> Result<String> {
    at_most(&format!("{field}.message"), line.message.len(), LOG_MESSAGE_BYTES_MAX)?;
    let stream = text::short_optional(&format!("{field}.stream"), line.stream)?;
    let fields = line
        .fields
        .map(|fields| {
            at_most(&format!("{field}.fields"), fields.len(), LOG_FIELDS_BYTES_MAX)?;
            RawValue::from_string(fields).map_err(Error::internal)
        })
        .transpose()?;
    let tail = Tail {
        timestamp: line.timestamp.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        level: line.level,
        stream: stream.as_deref(),
        message: &line.message,
        fields: fields.as_deref(),
    };
    let mut text = serde_json::to_string(&tail).map_err(Error::internal)?;
    text.remove(0); // the opening brace: the number goes before
    Ok(text)
}

/// Reads stored text back, line by line from either end, so that whoever has enough lines pays for no more.
///
/// An item is `INTERNAL` when it is not what [`EncodedLines`] wrote.
pub fn decode(body: &str) -> impl DoubleEndedIterator<Item = Result<Line>> {
    body.split_terminator('\n').map(|line| serde_json::from_str(line).map_err(Error::internal))
}

/// Which lines of a log. All conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    pub levels: Option<Levels>,
    pub stream: Option<String>,
    /// Found anywhere in the message, upper and lower case alike.
    pub search: Option<Search>,
}

impl Filter {
    /// Whether every line passes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this line passes.
    pub fn matches(&self, line: &Line) -> bool {
        self.levels.is_none_or(|levels| levels.contains(line.level))
            && self.stream.as_deref().is_none_or(|stream| line.stream.as_deref() == Some(stream))
            && self.search.as_ref().is_none_or(|search| search.is_in(&line.message))
    }
}

/// A text to be found, without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Search(String);

impl Search {
    /// Looks for `text`.
    pub fn new(text: &str) -> Self {
        Self(folded(text))
    }

    fn is_in(&self, message: &str) -> bool {
        folded(message).contains(&self.0)
    }
}

/// Character by character, so that no neighbour changes what a character becomes, as it does for a final sigma.
fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> NewLine {
        NewLine {
            timestamp: "2026-11-21T09:30:00.125Z".parse().unwrap(),
            level: Level::Info,
            stream: Some("stdout".into()),
            message: message.into(),
            fields: Some(r#"{"z":1,"a":1.0}"#.into()),
        }
    }

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let lines = EncodedLines::new("lines", vec![line("a\nb\0\u{2028}\"é"), line("")]).unwrap();
        let [NumberedLines { first_seq: 41, last_seq: 42, levels, body }] = &lines.number(0, 41)[..] else {
            panic!("they fit one piece")
        };
        assert_eq!(*levels, Levels::of([Level::Info]));
        assert_eq!(
            body.lines().next().unwrap(),
            "{\"seq\":41,\"timestamp\":\"2026-11-21T09:30:00.125Z\",\"level\":\"INFO\",\"stream\":\"stdout\",\
             \"message\":\"a\\nb\\u0000\u{2028}\\\"é\",\"fields\":{\"z\":1,\"a\":1.0}}"
        );
        let read: Vec<_> = decode(body).collect::<Result<_>>().unwrap();
        assert!(body.len() <= lines.bytes());
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].message, "a\nb\0\u{2028}\"é");
        assert_eq!(read[1].seq, 42);
        assert_eq!(read[1].fields.as_ref().unwrap().get(), r#"{"z":1,"a":1.0}"#);
    }

    #[test]
    fn many_lines_make_pieces_of_bounded_size() {
        let long = "x".repeat(LOG_MESSAGE_BYTES_MAX.to_usize());
        let lines = EncodedLines::new("lines", (0..20).map(|_| line(&long)).collect()).unwrap();
        let pieces = lines.number(3, 100);
        assert!(pieces.len() > 1);
        assert!(pieces.iter().all(|piece| piece.body.len() < CHUNK_BYTES_GOAL + 2 * long.len()));
        let seqs: Vec<_> =
            pieces.iter().flat_map(|piece| decode(&piece.body)).map(|line| line.unwrap().seq).collect();
        assert_eq!(seqs, (100..117).collect::<Vec<_>>());
        assert!(pieces.windows(2).all(|pair| pair[0].last_seq + 1 == pair[1].first_seq));
    }

    #[test]
    fn an_error_names_the_line_that_it_is_about() {
        let long = line(&"x".repeat(LOG_MESSAGE_BYTES_MAX.to_usize() + 1));
        let error = EncodedLines::new("input.lines", vec![line("fine"), long]).unwrap_err();
        assert_eq!(error.field(), Some("input.lines.1.message"));
    }
}
