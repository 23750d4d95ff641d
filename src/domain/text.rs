//! Short texts that people and programs choose: names, keys, foreign ids.

use std::fmt::Write as _;

use super::limits::{SHORT_TEXT_CHARS_MAX, at_most};
use crate::error::{Error, Limit};

/// Checks a short text: not empty, at most [`SHORT_TEXT_CHARS_MAX`] characters, no control characters.
///
/// # Errors
/// `BAD_INPUT` or `TOO_LARGE` about `field`.
pub fn short(field: &str, text: String) -> Result<String, Error> {
    if text.trim().is_empty() {
        return Err(Error::bad_input(field.to_owned(), format!("{field} must not be empty")));
    }
    at_most(field, text.chars().count(), SHORT_TEXT_CHARS_MAX)?;
    if text.chars().any(char::is_control) {
        return Err(Error::bad_input(
            field.to_owned(),
            format!("{field} must not contain control characters"),
        ));
    }
    Ok(text)
}

/// [`short`] for a text that may be absent.
///
/// # Errors
/// As [`short`].
pub fn short_optional(field: &str, text: Option<String>) -> Result<Option<String>, Error> {
    text.map(|text| short(field, text)).transpose()
}

/// Checks a longer text that a database keeps as it is: no NUL, which PostgreSQL cannot store, and no more bytes than `limit`.
///
/// # Errors
/// `BAD_INPUT` or `TOO_LARGE` about `field`.
pub fn long(field: &str, text: String, limit: Limit) -> Result<String, Error> {
    at_most(field, text.len(), limit)?;
    if text.contains('\0') {
        return Err(Error::bad_input(field.to_owned(), format!("{field} must not contain NUL characters")));
    }
    Ok(text)
}

/// The characters of a foreign name that a message shows.
const SHOWN_CHARS_MAX: usize = 100;

/// A name that somebody else chose, for a message: in quotes, with an end, and with nothing that a terminal obeys.
pub fn shown(name: impl AsRef<[u8]>) -> String {
    let name = String::from_utf8_lossy(name.as_ref());
    let mut characters = name.chars();
    let mut text = String::from('"');
    for character in characters.by_ref().take(SHOWN_CHARS_MAX) {
        match character {
            '"' | '\'' => text.push(character),
            _ => text.extend(character.escape_debug()),
        }
    }
    text.push('"');
    if characters.next().is_some() {
        text.push('…');
    }
    text
}

/// Bytes in hexadecimal, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_name_is_shown_without_control_characters_and_not_at_length() {
        assert_eq!(shown("../x"), r#""../x""#);
        assert_eq!(shown(b"a\0\x1b[31m\xff\xe2\x80\xae"), "\"a\\0\\u{1b}[31m\u{fffd}\\u{202e}\"");
        assert!(shown("é".repeat(100_000)).len() < 300);
    }

    #[test]
    fn hexadecimal_has_two_digits_a_byte() {
        assert_eq!(hex(&[0, 15, 255]), "000fff");
    }

    #[test]
    fn a_short_text_is_counted_in_characters_and_holds_no_control_characters() {
        let max = SHORT_TEXT_CHARS_MAX.to_usize();
        assert!(short("name", "é".repeat(max)).is_ok());
        for bad in [String::new(), "  ".into(), "a\0b".into(), "a\nb".into(), "é".repeat(max + 1)] {
            assert!(short("name", bad).is_err());
        }
    }
}
