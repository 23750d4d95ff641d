//! Log lines.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::PageInfo;
use crate::domain::limits::{RUN_LOG_LINES_MAX, at_most};
use crate::domain::log::{Filter, Level, Line};
use crate::domain::page::PageArgs;
use crate::error::Error;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::ApiError;
use crate::graphql::input::LogFilter;
use crate::graphql::scalars::{BigInt, DateTime, Json};
use crate::graphql::siblings::Siblings;
use crate::logs::{LogPage, TailBatch};
use crate::store::ExecutionRow;

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Level")]
pub(in crate::graphql) enum LogLevel {
    /// Steps of a program, one by one.
    Trace,
    /// For whoever looks for a mistake.
    Debug,
    /// What happens.
    Info,
    /// What may be a problem.
    Warn,
    /// What is one.
    Error,
}

/// A line of an execution's log.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct LogLine {
    execution_id: Uuid,
    line: Arc<Line>,
}

impl LogLine {
    pub(in crate::graphql) fn new(execution_id: Uuid, line: Arc<Line>) -> Self {
        Self { execution_id, line }
    }
}

/// A line of an execution's log.
#[Object]
impl LogLine {
    /// Whose line it is.
    fn execution_id(&self) -> ID {
        self.execution_id.into()
    }

    /// Its number in the execution's log: from 0, without holes, final.
    fn seq(&self) -> BigInt {
        BigInt(self.line.seq)
    }

    /// When it was written, as the runner says, else when it was received.
    fn timestamp(&self) -> DateTime {
        DateTime(self.line.timestamp)
    }

    /// How serious it is.
    fn level(&self) -> LogLevel {
        self.line.level.into()
    }

    /// Where it came from, such as `stdout`; at most 255 characters.
    fn stream(&self) -> Option<&str> {
        self.line.stream.as_deref()
    }

    /// Its text, at most 64 KiB.
    fn message(&self) -> &str {
        &self.line.message
    }

    /// What a structured logger added, at most 128 KiB as JSON.
    fn fields(&self) -> Option<Json> {
        self.line.fields.as_ref().map(|fields| Json::from_text(fields.get().to_owned()))
    }
}

/// Lines of a tail, and where the tail is.
pub(in crate::graphql) struct LogBatch {
    pub execution_id: Uuid,
    pub batch: TailBatch<Line>,
}

/// Lines of a tail, and where the tail is.
#[Object]
impl LogBatch {
    /// At most 500 lines, in order, and about 256 KiB of text; none when only `nextSeq` or the flags have something to
    /// say.
    fn lines(&self) -> Vec<LogLine> {
        self.batch.lines.iter().map(|line| LogLine::new(self.execution_id, Arc::clone(line))).collect()
    }

    /// The number to resume from: give it as `fromSeq` after a cut.
    fn next_seq(&self) -> BigInt {
        BigInt(self.batch.next_seq)
    }

    /// Whether everything that was stored before the subscription has been sent.
    fn caught_up(&self) -> bool {
        self.batch.caught_up
    }

    /// Whether the execution has ended and this was its last line; nothing follows.
    fn ended(&self) -> bool {
        self.batch.ended
    }
}

/// A page of lines, by number.
pub(in crate::graphql) struct LogConnection {
    execution: (String, Uuid),
    filter: Filter,
    page: Arc<LogPage>,
}

impl LogConnection {
    pub(super) async fn load(
        context: &Context<'_>,
        execution: &ExecutionRow,
        siblings: &Siblings,
        filter: LogFilter,
        args: PageArgs,
    ) -> Result<Self, ApiError> {
        let filter = filter.check("filter")?;
        let page = siblings.logs(context, &filter, args.check(decode)?, execution.id).await?;
        let page = page.ok_or(Error::NotFound { what: "execution" })?;
        Ok(Self { execution: (execution.tenant_id.clone(), execution.id), filter, page })
    }

    fn lines(&self) -> impl Iterator<Item = LogLine> {
        self.page.lines.iter().map(|line| LogLine::new(self.execution.1, Arc::clone(line)))
    }
}

/// A page of lines, by number.
#[Object]
impl LogConnection {
    /// The lines with their cursors.
    fn edges(&self) -> Vec<LogEdge> {
        self.lines().map(|node| LogEdge { cursor: encode(node.line.seq), node }).collect()
    }

    /// The lines without their cursors.
    fn nodes(&self) -> Vec<LogLine> {
        self.lines().collect()
    }

    /// Where the page stands. With a filter, its cursors are of the first and last line that were looked at.
    fn page_info(&self) -> PageInfo {
        PageInfo {
            has_next_page: self.page.has_next_page,
            has_previous_page: self.page.has_previous_page,
            start_cursor: self.page.start.map(encode),
            end_cursor: self.page.end.map(encode),
        }
    }

    /// Whether the lines were kept for as long as lines are kept, and are gone.
    fn expired(&self) -> bool {
        self.page.expired
    }

    /// How many lines pass the filter, whatever the page. Costs nothing unless selected; with a filter it looks through
    /// the log, up to 64 MiB of it, and is TOO_LARGE beyond.
    async fn total_count(&self, context: &Context<'_>) -> Result<BigInt, ApiError> {
        if self.filter.is_empty() {
            return Ok(BigInt(self.page.log_lines));
        }
        Ok(BigInt(context.service().log_count(context.viewer()?, &self.execution, &self.filter).await?))
    }
}

/// A line in a page.
#[derive(SimpleObject)]
pub(in crate::graphql) struct LogEdge {
    /// To be given as `after` or `before`.
    cursor: String,
    /// The line.
    node: LogLine,
}

fn encode(seq: i64) -> String {
    URL_SAFE_NO_PAD.encode(format!("S{seq}"))
}

fn decode(cursor: &str) -> Option<i64> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    text.strip_prefix('S')?.parse().ok().filter(|seq| *seq >= 0)
}

/// How many lines are asked for, by the argument `field`.
pub(in crate::graphql) fn lines(field: &'static str, count: i32) -> Result<usize, Error> {
    let count = usize::try_from(count)
        .map_err(|_| Error::bad_input(field, format!("{field} must not be negative")))?;
    at_most(field, count, RUN_LOG_LINES_MAX)?;
    Ok(count)
}
