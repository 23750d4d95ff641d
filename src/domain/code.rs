//! Code agents: what is found in their source, and how they are listed.

use serde::{Deserialize, Serialize};

pub use entity::code_publish::Outcome;
pub use entity::code_version::Storage;

/// A place in a source where its parser stumbles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub message: String,
    /// From 1; lines end with a line feed.
    pub line: u32,
    /// From 1, in characters (Unicode scalar values); a byte order mark is none.
    pub column: u32,
}

/// What a parser says about a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validation {
    /// False when there is no parser for the language.
    pub is_checked: bool,
    /// Those that come first in the source.
    pub problems: Vec<Problem>,
}

impl Validation {
    /// Whether nothing is known to be wrong.
    pub fn is_valid(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Which code agents. All conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Exactly this one.
    pub name: Option<String>,
    /// In lower case; each somewhere in the name or the description.
    pub words: Vec<String>,
    /// In lower case.
    pub language: Option<String>,
    /// With any of these; an empty list matches nothing.
    pub tags: Option<Vec<String>>,
}

/// Tags as one text, for a filter to look through: each between line feeds, which no tag contains.
pub fn join_tags(tags: &[String]) -> String {
    tags.iter().fold("\n".to_owned(), |text, tag| text + tag + "\n")
}

/// The tags in a text of [`join_tags`].
pub fn split_tags(text: &str) -> Vec<String> {
    text.split('\n').filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

/// What a search looks through.
pub fn search_text(name: &str, description: Option<&str>) -> String {
    format!("{name}\n{}", description.unwrap_or_default()).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_read_back_as_they_were_joined() {
        for tags in [vec![], vec!["a".to_owned()], vec!["b c".to_owned(), "a".to_owned()]] {
            assert_eq!(split_tags(&join_tags(&tags)), tags);
        }
    }
}
