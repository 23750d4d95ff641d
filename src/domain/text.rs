//! Short texts that people and programs choose: names, keys, foreign ids.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_counted_in_characters_and_holds_no_control_characters() {
        let max = SHORT_TEXT_CHARS_MAX.to_usize();
        assert!(short("name", "é".repeat(max)).is_ok());
        for bad in [String::new(), "  ".into(), "a\0b".into(), "a\nb".into(), "é".repeat(max + 1)] {
            assert!(short("name", bad).is_err());
        }
    }
}
