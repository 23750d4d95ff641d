//! The words by which executions are found.
//!
//! Databases split text in ways of their own. Here it is split once, in what is stored as in what is asked, so that both
//! databases give the same answers: a word is a run of letters, digits and the marks upon them, after compatibility
//! composition (NFKC) and case folding. There is no stemming and there are no stop words; diacritics count.

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::limits::{
    SEARCH_TEXT_WORDS_MAX, SEARCH_WORD_CHARS_MAX, SEARCH_WORDS_MAX, SHORT_TEXT_CHARS_MAX, at_most,
};
use crate::error::{Error, Result};

/// The different words of texts, in the order in which they first occur, up to [`SEARCH_TEXT_WORDS_MAX`].
#[derive(Debug, Default)]
pub struct Words {
    seen: HashSet<String>,
    /// With a space between two.
    text: String,
}

impl Words {
    /// Adds the words of a plain text.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        if text.is_ascii() {
            self.add(text.chars());
        } else {
            self.add(text.nfkc());
        }
        self
    }

    /// Adds the words of a JSON text: of its strings and of the names of its fields, without their escapes; its numbers,
    /// `true` and `false`.
    #[must_use]
    pub fn json(mut self, json: &str) -> Self {
        let mut rest = json;
        while !rest.is_empty() && !self.is_full() {
            let (outside, from_string) = rest.split_at(rest.find('"').unwrap_or(rest.len()));
            for literal in outside.split([',', ':', '[', ']', '{', '}']).map(str::trim) {
                if literal != "null" {
                    self = self.text(literal);
                }
            }
            let (string, after) = from_string.split_at(string_end(from_string));
            self = match serde_json::from_str::<String>(string) {
                Ok(unescaped) if string.contains('\\') => self.text(&unescaped),
                _ => self.text(string),
            };
            rest = after;
        }
        self
    }

    /// The words, with a space between two.
    pub fn into_text(self) -> String {
        self.text
    }

    fn is_full(&self) -> bool {
        self.seen.len() as u64 >= SEARCH_TEXT_WORDS_MAX
    }

    fn add(&mut self, characters: impl Iterator<Item = char>) {
        let (mut word, mut length) = (String::new(), 0);
        // A space at the end ends the last word.
        for character in characters.chain([' ']) {
            if !(character.is_alphanumeric() || is_combining_mark(character)) {
                self.add_word(std::mem::take(&mut word));
                length = 0;
                if self.is_full() {
                    return;
                }
            } else if length < SEARCH_WORD_CHARS_MAX {
                // Upper case first: it knows that ς and σ, ß and ss are the same.
                word.extend(character.to_uppercase().flat_map(char::to_lowercase));
                length += 1;
            }
        }
    }

    fn add_word(&mut self, word: String) {
        if word.is_empty() || self.is_full() || self.seen.contains(&word) {
            return;
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(&word);
        self.seen.insert(word);
    }
}

/// The words that are asked for, all of which must be there.
///
/// # Errors
/// `BAD_INPUT` when there is none, `TOO_LARGE` for a long text or many words, about `field`.
pub fn asked(field: &str, text: &str) -> Result<Vec<String>> {
    at_most(field, text.chars().count(), SHORT_TEXT_CHARS_MAX)?;
    let words: Vec<_> = Words::default().text(text).text.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        let message = format!("{field} must have a word: letters or digits");
        return Err(Error::bad_input(field.to_owned(), message));
    }
    at_most(field, words.len(), SEARCH_WORDS_MAX)?;
    Ok(words)
}

/// Where the JSON string at the beginning of `json` ends.
fn string_end(json: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        Words::default().text(text).into_text()
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_without_case() {
        assert_eq!(words("Nightly-build #42: nightly, BUILD_42!"), "nightly build 42");
        assert_eq!(words("Straße ΟΔΟΣ οδος Éa"), "strasse οδοσ éa");
        assert_eq!(words("e\u{301}a \u{fb01}le ２"), "éa file 2", "however it is written");
        assert_eq!(words(" \u{0} '\"*()&|!:<-> "), "");
    }

    #[test]
    fn of_json_what_people_read_is_found() {
        let json = r#"{"Kéy":["a\nb","q\"uote","\u00e9t\u00e9"],"n":-1.5,"flag":true,"none":null}"#;
        assert_eq!(
            Words::default().json(json).into_text(),
            "kéy a b q uote été n 1 5 flag true none",
            "names of fields, too, and no escape is taken for a letter"
        );
        assert_eq!(Words::default().json(r#""null""#).into_text(), "null");
        assert_eq!(Words::default().json(r#""open"#).into_text(), "open", "whatever it is, it ends");
    }

    #[test]
    fn words_have_an_end_and_so_has_their_number() {
        let long = "x".repeat(1_000);
        assert_eq!(words(&long).len(), SEARCH_WORD_CHARS_MAX);
        assert_eq!(asked("f", &long[..200]).unwrap(), [words(&long)], "asked for, it is cut the same");
        let many: String = (0..10_000).map(|number| format!("w{number} ")).collect();
        assert_eq!(words(&many).split(' ').count() as u64, SEARCH_TEXT_WORDS_MAX);
        let of_json = serde_json::to_string(&many).unwrap();
        assert_eq!(Words::default().json(&of_json).into_text(), words(&many));
    }

    #[test]
    fn what_is_asked_for_is_words_and_nothing_else() {
        assert_eq!(asked("f", "NOT a AND* \"b").unwrap(), ["not", "a", "and", "b"]);
        assert!(matches!(asked("f", "-- ()"), Err(Error::BadInput { .. })));
        assert!(matches!(asked("f", &"x".repeat(256)), Err(Error::TooLarge { .. })));
        assert!(matches!(asked("f", "a b c d e f g h i j k"), Err(Error::TooLarge { .. })));
    }
}
