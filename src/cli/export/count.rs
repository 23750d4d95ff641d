//! How many executions went by.

use crate::domain::export::Format;

/// Counts executions in the pieces of an export.
pub(super) struct Count {
    format: Format,
    lines: u64,
    is_quoted: bool,
}

impl Count {
    pub(super) fn new(format: Format) -> Self {
        Self { format, lines: 0, is_quoted: false }
    }

    /// Of these bytes, too.
    pub(super) fn add(&mut self, piece: &[u8]) {
        for byte in piece {
            match byte {
                // A quote within a quoted text is doubled, which turns this twice.
                b'"' if self.format == Format::Csv => self.is_quoted = !self.is_quoted,
                b'\n' if !self.is_quoted => self.lines += 1,
                _ => {}
            }
        }
    }

    /// Executions so far.
    pub(super) fn executions(&self) -> u64 {
        match self.format {
            // An object of a list begins with a new line.
            Format::Ndjson | Format::Json => self.lines,
            // The header is none.
            Format::Csv => self.lines.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(format: Format, pieces: &[&str]) -> u64 {
        let mut count = Count::new(format);
        pieces.iter().for_each(|piece| count.add(piece.as_bytes()));
        count.executions()
    }

    #[test]
    fn lines_within_quotes_are_no_executions() {
        assert_eq!(count(Format::Csv, &["id,name\r\n1,\"a\n\"\"b\"\"", "\nc\"\r\n2,d\r\n"]), 2);
        assert_eq!(count(Format::Csv, &["id,name\r\n"]), 0);
        assert_eq!(count(Format::Ndjson, &["{\"a\":\"\\\"\"}\n{}", "\n"]), 2);
        assert_eq!(count(Format::Json, &["[", "\n{},\n{}"]), 2);
    }
}
