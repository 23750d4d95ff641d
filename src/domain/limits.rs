//! Every limit, in one place. The unit is the last word of the name, before `MAX`.

use crate::error::{Error, Limit};

/// The largest `first` or `last` of a list.
pub const PAGE_ROWS_MAX: u64 = 200;
/// The length of a page when neither `first` nor `last` is given.
pub const PAGE_ROWS_DEFAULT: u64 = 50;
/// Members of a list in a filter, such as `statuses` or `ids`; also ids in `nodes`.
pub const FILTER_MEMBERS_MAX: usize = 200;
/// A name, a workflow id, a project key and other short texts, in characters.
pub const SHORT_TEXT_CHARS_MAX: usize = 255;
/// `inputs` and `result` of an execution, each, as JSON text.
pub const PAYLOAD_JSON_BYTES_MAX: usize = 1024 * 1024;
/// `error` of an execution.
pub const ERROR_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Executions in one `recordExecutions` or `updateExecutions`.
pub const BATCH_EXECUTIONS_MAX: usize = 1_000;
/// Executions that one `deleteExecutions` removes; more match: narrow the filter.
pub const DELETE_EXECUTIONS_MAX: usize = 10_000;
/// Lines in one `appendLogs`.
pub const APPEND_LINES_MAX: usize = 1_000;
/// `message` of a log line.
pub const LOG_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// `fields` of a log line, as JSON text.
pub const LOG_FIELDS_BYTES_MAX: usize = 64 * 1024;
/// Lines of one execution's log.
pub const LOG_LINES_MAX: i64 = 100_000_000;
/// Lines that `logs(last:)` of a workflow run gives at most.
pub const RUN_LOG_LINES_MAX: u64 = 10_000;
/// Stored bytes that one page of a filtered log looks through; the page ends there and the next one goes on.
pub const LOG_SCAN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Stored bytes that counting the lines of a filtered log looks through.
pub const LOG_COUNT_SCAN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Lines in one batch of a tail.
pub const TAIL_BATCH_LINES_MAX: usize = 500;
/// How long the change feed is kept; a cursor older than that has expired.
pub const FEED_RETENTION_HOURS: i64 = 24;
/// How long open subscriptions can still read an execution that is not kept after it has ended.
pub const DISCARD_GRACE_SECONDS: i64 = 60;

/// Refuses `size` over `max`.
///
/// # Errors
/// `TOO_LARGE` with the limit's name.
pub fn at_most(field: &str, size: usize, name: &'static str, max: usize) -> Result<(), Error> {
    if size <= max {
        return Ok(());
    }
    Err(Error::TooLarge { field: field.to_owned().into(), limit: Limit { name, max: max as u64 } })
}
