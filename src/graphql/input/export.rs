//! How executions are exported.

use async_graphql::Enum;

use crate::domain::export::{Format, LargeValues};

/// How an export writes executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Format")]
pub(in crate::graphql) enum ExportFormat {
    /// CSV by RFC 4180, in UTF-8 with a byte order mark, with a header. Texts that a spreadsheet would calculate begin with
    /// an apostrophe.
    Csv,
    /// One JSON list of objects.
    Json,
    /// A JSON object a line.
    Ndjson,
}

/// A large value, which an export has only when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(in crate::graphql) enum ExportedValue {
    /// What the execution was started with.
    Inputs,
    /// What it gave.
    Result,
    /// What went wrong.
    Error,
}

/// Which large values an export has.
pub(in crate::graphql) fn large_values(include: &[ExportedValue]) -> LargeValues {
    LargeValues {
        inputs: include.contains(&ExportedValue::Inputs),
        result: include.contains(&ExportedValue::Result),
        error: include.contains(&ExportedValue::Error),
    }
}
