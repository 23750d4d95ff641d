//! From bytes as a program writes them to log lines, independent of how the bytes arrive.
//!
//! A line ends at `\n`, which is not part of it; a `\r` before it is. The last line need not end. The message equals
//! the line byte for byte; a line that is not UTF-8 is shown with replacement characters and carries its exact bytes
//! in `fields.bytesBase64`. A message has at most [`LINE_BYTES_MAX`] bytes: a longer line becomes several, cut between
//! characters, of which all but the first carry `fields.continued`.
//!
//! The work is split in two so that the command is never held up: while it runs, a [`Cutter`] only looks for the last
//! line end in each read and cuts a [`Block`] there, with a single copy; the [`Lines`] in a block are told apart and
//! made into text later, by the sender. Both cut long lines with the same function, so the lines do not depend on the
//! reads.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::SecondsFormat;
use serde::{Serialize, Serializer};

use crate::clock::Timestamp;

/// A message has at most this many bytes of UTF-8.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of U+FFFD, which stands for each invalid sequence.
const REPLACEMENT_BYTES: usize = char::REPLACEMENT_CHARACTER.len_utf8();
/// A character may begin this many bytes before a cut and end after it.
const CHARACTER_BYTES_MAX: usize = 4;

/// Which of the command's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// Its usual name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Whole lines of one stream that were read at one time, or a piece of a line that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub stream: Stream,
    /// When its last byte was read.
    pub at: Timestamp,
    /// Whether its first line is the rest of the last one of the stream's block before.
    pub continued: bool,
    pub bytes: Vec<u8>,
}

/// Cuts the output of one stream into blocks. Keeps at most one line back, and of that no more than a message takes.
pub(super) struct Cutter {
    stream: Stream,
    rest: Vec<u8>,
    continued: bool,
}

impl Cutter {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, rest: Vec::new(), continued: false }
    }

    /// Takes what was read, and gives the blocks that it completes.
    pub(super) fn feed(&mut self, bytes: &[u8], at: Timestamp, mut give: impl FnMut(Block)) {
        let (whole, rest) = match bytes.iter().rposition(|&byte| byte == b'\n') {
            Some(end) => bytes.split_at(end + 1),
            None => (&[][..], bytes),
        };
        if !whole.is_empty() {
            self.rest.extend_from_slice(whole);
            give(self.block(self.rest.len(), at));
            self.continued = false;
        }
        self.rest.extend_from_slice(rest);
        // With this many bytes it is certain where the cut is, whatever follows.
        while self.rest.len() > LINE_BYTES_MAX + CHARACTER_BYTES_MAX {
            give(self.block(piece_len(&self.rest), at));
            self.continued = true;
        }
    }

    /// The last line, when it does not end with `\n`.
    pub(super) fn finish(mut self, at: Timestamp) -> Option<Block> {
        (!self.rest.is_empty()).then(|| self.block(self.rest.len(), at))
    }

    fn block(&mut self, len: usize, at: Timestamp) -> Block {
        let rest = self.rest.split_off(len);
        let bytes = std::mem::replace(&mut self.rest, rest);
        Block { stream: self.stream, at, continued: self.continued, bytes }
    }
}

/// The lines of a block, in order.
pub(super) struct Lines {
    block: Arc<Block>,
    offset: usize,
    continued: bool,
}

impl Lines {
    pub(super) fn new(block: Arc<Block>) -> Self {
        let continued = block.continued;
        Self { block, offset: 0, continued }
    }
}

impl Iterator for Lines {
    type Item = LogLine;

    fn next(&mut self) -> Option<LogLine> {
        let bytes = &self.block.bytes[self.offset..];
        if bytes.is_empty() {
            return None;
        }
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let piece = &line[..piece_len(line)];
        let ended = piece.len() == line.len();
        let line = LogLine::new(&self.block, piece, self.continued);
        self.offset += piece.len() + usize::from(ended && piece.len() < bytes.len());
        self.continued = !ended;
        Some(line)
    }
}

/// The length of the longest beginning of `line` whose text has at most [`LINE_BYTES_MAX`] bytes.
fn piece_len(line: &[u8]) -> usize {
    if line.len() * REPLACEMENT_BYTES <= LINE_BYTES_MAX {
        return line.len();
    }
    let (mut taken, mut text) = (0, 0);
    for chunk in line.utf8_chunks() {
        let valid = chunk.valid();
        if text + valid.len() > LINE_BYTES_MAX {
            return taken + valid.floor_char_boundary(LINE_BYTES_MAX - text);
        }
        taken += valid.len();
        text += valid.len();
        if !chunk.invalid().is_empty() {
            text += REPLACEMENT_BYTES;
            if text > LINE_BYTES_MAX {
                return taken;
            }
            taken += chunk.invalid().len();
        }
    }
    taken
}

/// A log line as `appendLogs` takes it (`LogLineInput`).
///
/// Both streams have level INFO: programs write progress, prompts and banners to stderr, and a WARN for each would
/// bury the real ones. The stream is kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LogLine {
    #[serde(serialize_with = "rfc3339")]
    pub timestamp: Timestamp,
    level: &'static str,
    pub stream: Stream,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Fields>,
}

/// What a line's text alone does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fields {
    /// It goes on where the stream's line before was cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub continued: bool,
    /// The exact bytes, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_base64: Option<String>,
}

impl LogLine {
    fn new(block: &Block, bytes: &[u8], continued: bool) -> Self {
        let (message, bytes_base64) = match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), None),
            Err(_) => (String::from_utf8_lossy(bytes).into_owned(), Some(STANDARD.encode(bytes))),
        };
        let fields = (continued || bytes_base64.is_some()).then_some(Fields { continued, bytes_base64 });
        Self { timestamp: block.at, level: "INFO", stream: block.stream, message, fields }
    }

    /// The bytes that it takes in a request: exact for the text, an upper bound for the rest.
    pub(super) fn request_bytes(&self) -> usize {
        /// `{"timestamp":"2026-11-21T09:30:00.125000Z","level":"INFO","stream":"stdout","message":"",
        /// "fields":{"continued":true,"bytesBase64":""}},`
        const AROUND_BYTES_MAX: usize = 160;
        let escaped: usize = self.message.bytes().map(escaped_bytes).sum();
        let exact =
            self.fields.as_ref().and_then(|fields| fields.bytes_base64.as_ref()).map_or(0, String::len);
        AROUND_BYTES_MAX + escaped + exact
    }
}

/// How many bytes a byte of text takes in a JSON string.
fn escaped_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

/// RFC 3339 in UTC with `Z` and microseconds.
pub(super) fn rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// Small numbers that look random, the same in every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % limit
        }
    }

    fn cut(bytes: &[u8], mut chunk_len: impl FnMut() -> usize) -> Vec<LogLine> {
        let at = clock::now();
        let mut blocks = Vec::new();
        let mut cutter = Cutter::new(Stream::Stdout);
        let mut left = bytes;
        while !left.is_empty() {
            let (chunk, after) = left.split_at(chunk_len().clamp(1, left.len()));
            cutter.feed(chunk, at, |block| blocks.push(block));
            assert!(cutter.rest.len() <= LINE_BYTES_MAX + CHARACTER_BYTES_MAX);
            left = after;
        }
        blocks.extend(cutter.finish(at));
        let mut lines: Vec<_> = blocks.into_iter().flat_map(|block| Lines::new(Arc::new(block))).collect();
        for line in &mut lines {
            line.timestamp = Timestamp::UNIX_EPOCH;
        }
        lines
    }

    /// The bytes that a line stands for.
    fn exact(line: &LogLine) -> Vec<u8> {
        match line.fields.as_ref().and_then(|fields| fields.bytes_base64.as_ref()) {
            Some(base64) => STANDARD.decode(base64).unwrap(),
            None => line.message.clone().into_bytes(),
        }
    }

    fn messages(bytes: &[u8]) -> Vec<String> {
        cut(bytes, || usize::MAX).into_iter().map(|line| line.message).collect()
    }

    /// Text, long lines, binary, empty lines, characters of every length.
    fn sample(dice: &mut Dice) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..dice.below(12) {
            let len = [0, 1, 3, 80, 1000, 30_000, 65_534, 65_535, 65_536, 65_537, 140_000][dice.below(11)];
            let start = bytes.len();
            let alphabet: &[&[u8]] = match dice.below(4) {
                0 => &[b"a", b"b\r"],
                1 => &[b"a", "é".as_bytes(), "€".as_bytes(), "🦀".as_bytes()],
                2 => &[b"\xff", b"\xe2\x82", b"\xf0\x9f", b"a", "🦀".as_bytes()],
                _ => &[b"\0", b"\x1b[0m", b"\x80"],
            };
            while bytes.len() - start < len {
                bytes.extend_from_slice(alphabet[dice.below(alphabet.len())]);
            }
            if dice.below(8) > 0 {
                bytes.push(b'\n');
            }
        }
        bytes
    }

    #[test]
    fn lines_do_not_depend_on_how_the_bytes_arrive() {
        let mut dice = Dice(7);
        for _ in 0..60 {
            let bytes = sample(&mut dice);
            let whole = cut(&bytes, || usize::MAX);
            for most in [1 + dice.below(5), 1 + dice.below(5000), 1 + dice.below(200_000)] {
                assert_eq!(cut(&bytes, || 1 + dice.below(most)), whole);
            }
        }
    }

    #[test]
    fn the_bytes_can_be_put_together_again_and_no_message_is_too_long() {
        let mut dice = Dice(11);
        for _ in 0..200 {
            let bytes = sample(&mut dice);
            let mut joined = Vec::new();
            for (number, line) in cut(&bytes, || 65_536).iter().enumerate() {
                let continued = line.fields.as_ref().is_some_and(|fields| fields.continued);
                if number > 0 && !continued {
                    joined.push(b'\n');
                }
                joined.extend(exact(line));
                assert!(line.message.len() <= LINE_BYTES_MAX);
                let request = serde_json::to_string(line).unwrap();
                assert!(request.len() <= line.request_bytes());
            }
            assert_eq!(joined, bytes.strip_suffix(b"\n").unwrap_or(&bytes));
        }
    }

    #[test]
    fn a_line_ends_at_a_newline_and_nowhere_else() {
        assert_eq!(messages(b""), Vec::<String>::new());
        assert_eq!(messages(b"\n"), [""]);
        assert_eq!(messages(b"a\r\n\nb\rc\0"), ["a\r", "", "b\rc\0"]);
    }

    #[test]
    fn a_line_of_the_largest_size_is_one_line_and_a_byte_more_makes_two() {
        let fits = "x".repeat(LINE_BYTES_MAX);
        assert_eq!(messages(format!("{fits}\ny").as_bytes()), [fits.as_str(), "y"]);

        let lines = cut(format!("{fits}z\ny\n").as_bytes(), || usize::MAX);
        let continued: Vec<_> = lines.iter().map(|line| line.fields.is_some()).collect();
        assert_eq!(continued, [false, true, false]);
        assert_eq!(lines[1].message, "z");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let line = format!("{}🦀", "x".repeat(LINE_BYTES_MAX - 2));
        let lines = cut(line.as_bytes(), || 1);
        assert_eq!(lines[0].message.len(), LINE_BYTES_MAX - 2);
        assert_eq!(lines[1].message, "🦀");
        assert!(lines.iter().all(|line| exact(line) == line.message.as_bytes()));
    }

    #[test]
    fn bytes_that_are_not_text_keep_their_exact_form_beside() {
        let line = &cut(b"caf\xe9\n", || usize::MAX)[0];
        assert_eq!(line.message, "caf\u{fffd}");
        assert_eq!(
            serde_json::to_value(line).unwrap(),
            serde_json::json!({
                "timestamp": "1970-01-01T00:00:00.000000Z", "level": "INFO", "stream": "stdout",
                "message": "caf\u{fffd}", "fields": { "bytesBase64": "Y2Fm6Q==" },
            })
        );
    }
}
