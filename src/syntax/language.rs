//! The languages that can be checked, and their parsers.

use serde::{Deserialize, Serialize};

/// A language with a parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Bash,
    Go,
    JavaScript,
    Json,
    Python,
    Rust,
    Sql,
    TypeScript,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Bash,
        Self::Go,
        Self::JavaScript,
        Self::Json,
        Self::Python,
        Self::Rust,
        Self::Sql,
        Self::TypeScript,
    ];

    /// The language that a name in lower case means, if it can be checked.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "bash" | "sh" | "shell" => Self::Bash,
            "go" | "golang" => Self::Go,
            "javascript" | "js" | "jsx" | "node" | "nodejs" => Self::JavaScript,
            "json" => Self::Json,
            "python" | "py" | "python3" => Self::Python,
            "rust" | "rs" => Self::Rust,
            "sql" => Self::Sql,
            "typescript" | "ts" | "tsx" => Self::TypeScript,
            _ => return None,
        })
    }

    /// Its name: one that [`Language::named`] knows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Go => "go",
            Self::JavaScript => "javascript",
            Self::Json => "json",
            Self::Python => "python",
            Self::Rust => "rust",
            Self::Sql => "sql",
            Self::TypeScript => "typescript",
        }
    }

    /// Its grammars: a source is fine when one of them reads it.
    pub(super) fn grammars(self) -> Vec<tree_sitter::Language> {
        match self {
            Self::Bash => vec![tree_sitter_bash::LANGUAGE.into()],
            Self::Go => vec![tree_sitter_go::LANGUAGE.into()],
            Self::JavaScript => vec![tree_sitter_javascript::LANGUAGE.into()],
            Self::Json => vec![tree_sitter_json::LANGUAGE.into()],
            Self::Python => vec![tree_sitter_python::LANGUAGE.into()],
            Self::Rust => vec![tree_sitter_rust::LANGUAGE.into()],
            Self::Sql => vec![tree_sitter_sequel::LANGUAGE.into()],
            // `<T>x` is a cast in the first and an element in the second.
            Self::TypeScript => vec![
                tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
                tree_sitter_typescript::LANGUAGE_TSX.into(),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_its_own_name() {
        for language in Language::ALL {
            assert_eq!(Language::named(language.name()), Some(language));
        }
        assert_eq!(Language::named("cobol"), None);
    }
}
