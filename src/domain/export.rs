//! What an export of executions is made of.

use serde::{Deserialize, Serialize};

use super::execution::{Filter, Order};

/// How the executions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// RFC 4180, for spreadsheets.
    Csv,
    /// One list.
    Json,
    /// An object a line.
    Ndjson,
}

impl Format {
    /// As a file's name ends.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
        }
    }

    /// The format of files whose name ends like this.
    pub fn of_extension(extension: &str) -> Option<Self> {
        [Self::Csv, Self::Json, Self::Ndjson].into_iter().find(|format| format.extension() == extension)
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// The large values that an export has beside the rows of lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeValues {
    pub inputs: bool,
    pub result: bool,
    pub error: bool,
}

impl LargeValues {
    /// Whether there is any.
    pub fn any(self) -> bool {
        self.inputs || self.result || self.error
    }
}

/// Which executions, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    pub filter: Filter,
    /// Of those that never change for an execution: newest or oldest.
    pub order: Order,
    pub format: Format,
    pub with: LargeValues,
}
