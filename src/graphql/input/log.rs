//! Log lines to be appended, and which ones to read.

use async_graphql::{ID, InputObject};
use uuid::Uuid;

use crate::clock::{Timestamp, now};
use crate::domain::limits::{FILTER_MEMBERS_MAX, LOG_MESSAGE_BYTES_MAX, at_most};
use crate::domain::log::{Filter, Levels, NewLine, Search};
use crate::domain::text;
use crate::error::{Error, Result};
use crate::graphql::context::uuid;
use crate::graphql::model::LogLevel;
use crate::graphql::scalars::{BigInt, DateTime, Json};

/// A line to be appended.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct LogLineInput {
    /// When it was written; when it is received, if left out.
    timestamp: Option<DateTime>,
    /// How serious it is.
    #[graphql(default_with = "LogLevel::Info")]
    level: LogLevel,
    /// Where it came from, such as `stdout`; at most 255 characters.
    stream: Option<String>,
    /// Its text, at most 64 KiB.
    message: String,
    /// What a structured logger adds, at most 128 KiB as JSON.
    fields: Option<Json>,
}

/// Lines to be appended: all or none. `firstSeq` makes a retry safe: lines that are already there are skipped; a hole is
/// refused (CONFLICT).
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct AppendLogsInput {
    /// Whose lines they are.
    execution_id: ID,
    /// At least one, at most 1,000.
    lines: Vec<LogLineInput>,
    /// The number that the first line is to have.
    first_seq: Option<BigInt>,
}

/// Which lines. All given conditions hold together.
#[derive(Debug, Default, InputObject)]
pub(in crate::graphql) struct LogFilter {
    /// Of one of these levels.
    levels: Option<Vec<LogLevel>>,
    /// With this text anywhere in the message, upper and lower case alike.
    search: Option<String>,
    /// From this stream.
    stream: Option<String>,
}

/// A checked [`AppendLogsInput`].
pub(in crate::graphql) struct Lines {
    pub execution_id: Uuid,
    pub first_seq: Option<i64>,
    pub lines: Vec<NewLine>,
}

impl AppendLogsInput {
    pub(in crate::graphql) fn check(self) -> Result<Lines> {
        let now = now();
        Ok(Lines {
            execution_id: uuid("input.executionId", &self.execution_id)?,
            first_seq: self.first_seq.map(|seq| seq.0),
            lines: self.lines.into_iter().map(|line| line.check(now)).collect::<Result<_>>()?,
        })
    }
}

impl LogLineInput {
    fn check(self, now: Timestamp) -> Result<NewLine> {
        Ok(NewLine {
            timestamp: self.timestamp.map_or(now, |time| time.0),
            level: self.level.into(),
            stream: self.stream,
            message: self.message,
            fields: self.fields.map(Json::into_text).transpose()?.flatten(),
        })
    }
}

impl LogFilter {
    /// The filter for services; `field` is its path.
    ///
    /// # Errors
    /// `BAD_INPUT`, `TOO_LARGE`.
    pub(in crate::graphql) fn check(self, field: &str) -> Result<Filter> {
        if let Some(levels) = &self.levels {
            at_most(&format!("{field}.levels"), levels.len(), FILTER_MEMBERS_MAX)?;
        }
        if let Some(search) = &self.search {
            let field = format!("{field}.search");
            if search.is_empty() {
                return Err(Error::bad_input(field, "search must not be empty"));
            }
            at_most(&field, search.len(), LOG_MESSAGE_BYTES_MAX)?;
        }
        Ok(Filter {
            levels: self.levels.map(|levels| Levels::of(levels.into_iter().map(Into::into))),
            stream: text::short_optional(&format!("{field}.stream"), self.stream)?,
            search: self.search.as_deref().map(Search::new),
        })
    }
}
