//! Every limit of Runledger: its name (the unit is the word before `max`), its value, and why it is there.
//!
//! An error that names a limit (`extensions.limit`) shows the name and the value that stand here.

use std::time::Duration;

use crate::error::{Error, Limit};

// Lists, executions and logs.

/// The largest `first` or `last` of a list.
pub const PAGE_ROWS_MAX: Limit = limit("page_rows_max", 200);
/// The length of a page when neither `first` nor `last` is given.
pub const PAGE_ROWS_DEFAULT: u64 = 50;
/// Members of a list in a filter, such as `statuses` or `ids`; also ids in `nodes`.
pub const FILTER_MEMBERS_MAX: Limit = limit("filter_members_max", 200);
/// A name, a workflow id, a project key and other short texts, in characters.
pub const SHORT_TEXT_CHARS_MAX: Limit = limit("short_text_chars_max", 255);
/// `inputs` and `result` of an execution, each, as JSON text.
pub const PAYLOAD_JSON_BYTES_MAX: Limit = limit("payload_json_bytes_max", 1024 * 1024);
/// All `inputs`, all `result`s or all `error`s of one page together.
pub const LARGE_VALUES_BYTES_MAX: Limit = limit("large_values_bytes_max", 16 * 1024 * 1024);
/// Stored text in one answer: `inputs`, `result`s, `error`s and log lines, each as often as it is asked for.
pub const ANSWER_TEXT_BYTES_MAX: Limit = limit("answer_text_bytes_max", 32 * 1024 * 1024);
/// Nesting of a JSON value.
pub const JSON_DEPTH_MAX: Limit = limit("json_depth_max", 100);
/// `error` of an execution.
pub const ERROR_TEXT_BYTES_MAX: Limit = limit("error_text_bytes_max", 64 * 1024);
/// Executions in one `recordExecutions` or `updateExecutions`.
pub const BATCH_EXECUTIONS_MAX: Limit = limit("batch_executions_max", 1_000);
/// Executions that one `deleteExecutions` removes; more match: narrow the filter.
pub const DELETE_EXECUTIONS_MAX: Limit = limit("delete_executions_max", 10_000);
/// Lines in one `appendLogs`.
pub const APPEND_LINES_MAX: Limit = limit("append_lines_max", 1_000);
/// `message` of a log line.
pub const LOG_MESSAGE_BYTES_MAX: Limit = limit("log_message_bytes_max", 64 * 1024);
/// `fields` of a log line, as JSON text.
pub const LOG_FIELDS_BYTES_MAX: Limit = limit("log_fields_bytes_max", 128 * 1024);
/// Appended text that waits to be stored or is being stored, in the whole process: further calls wait to be let in.
pub const APPEND_WAITING_BYTES_MAX: Limit = limit("append_waiting_bytes_max", 64 * 1024 * 1024);
/// Appended text that one transaction stores, give or take one call: SQLite's other writers wait for it.
pub const APPEND_GROUP_BYTES_MAX: Limit = limit("append_group_bytes_max", 8 * 1024 * 1024);
/// Lines of one execution's log.
pub const LOG_LINES_MAX: Limit = limit("log_lines_max", 100_000_000);
/// Lines that `logs(last:)` of a workflow run or a code agent gives at most.
pub const RUN_LOG_LINES_MAX: Limit = limit("run_log_lines_max", 10_000);
/// Stored bytes that one page of a filtered log looks through; the page ends there and the next one goes on.
pub const LOG_SCAN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Stored bytes that counting the lines of a filtered log looks through.
pub const LOG_COUNT_SCAN_BYTES_MAX: Limit = limit("log_count_scan_bytes_max", 64 * 1024 * 1024);
/// Stored text of one log that one read fetches, beyond its first chunk.
pub const LOG_READ_BYTES_MAX: Limit = limit("log_read_bytes_max", 1024 * 1024);
/// Stored text that one read of many logs fetches together, beyond the first chunk.
pub const LOGS_READ_BYTES_MAX: Limit = limit("logs_read_bytes_max", 8 * 1024 * 1024);
/// Stored text that is being read and decoded at once in the whole process; further reads wait.
pub const LOG_READING_BYTES_MAX: Limit = limit("log_reading_bytes_max", 64 * 1024 * 1024);
/// Text of the lines that one `logs` gives for all executions of a list together, or for a workflow run.
pub const LOG_ANSWER_BYTES_MAX: Limit = limit("log_answer_bytes_max", 64 * 1024 * 1024);
/// Lines in one batch of a tail.
pub const TAIL_BATCH_LINES_MAX: usize = 500;
/// Text in one batch of a tail, but for one line at least.
pub const TAIL_BATCH_BYTES_MAX: Limit = limit("tail_batch_bytes_max", 256 * 1024);
/// Stored text that a tail looks through without a word; then it says where it is, so that a client need not begin
/// again after a cut.
pub const TAIL_SILENT_BYTES_MAX: Limit = limit("tail_silent_bytes_max", 4 * 1024 * 1024);
/// How long the change feed is kept; a cursor older than that has expired.
pub const FEED_RETENTION_HOURS: i64 = 24;
/// How long open subscriptions can still read an execution that is not kept after it has ended.
pub const DISCARD_GRACE_SECONDS: i64 = 60;

// Code agents.

/// The source of a version.
pub const SOURCE_BYTES_MAX: Limit = limit("source_bytes_max", 2 * 1024 * 1024);
/// The sources of one page of versions together, when they are selected.
pub const PAGE_SOURCE_BYTES_MAX: Limit = limit("page_source_bytes_max", 16 * 1024 * 1024);
/// `description` of a code agent.
pub const DESCRIPTION_BYTES_MAX: Limit = limit("description_bytes_max", 16 * 1024);
/// Tags of a code agent.
pub const TAGS_MAX: Limit = limit("tags_max", 50);
/// Words of a search.
pub const SEARCH_WORDS_MAX: Limit = limit("search_words_max", 10);
/// Problems that are told of one source.
pub const SOURCE_PROBLEMS_MAX: usize = 50;
/// Processor time after which a parser gives up; a usual megabyte takes a tenth of it.
pub const SOURCE_PARSE_MILLISECONDS_MAX: i64 = 1_000;
/// Processor time after which a parser that does not give up is killed.
pub const SOURCE_PARSE_CPU_SECONDS_MAX: u64 = 2;
/// Address space of a parser's process; our own allocator sets a gigabyte of it aside that it hardly touches.
pub const SOURCE_PARSE_MEMORY_BYTES_MAX: u64 = 2_560 * 1024 * 1024;
/// Sources that are parsed at once; more wait.
pub const SOURCE_CHECKS_AT_ONCE_MAX: usize = 2;
/// From asking for a check to its answer, waiting included.
pub const SOURCE_CHECK_SECONDS_MAX: Limit = limit("source_check_seconds_max", 20);

// Tokens and the keys that verify them.

/// The longest token that is looked at; a Supabase token with large metadata has a few kilobytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// The longest user or organisation id, in characters.
pub const TOKEN_ID_CHARS_MAX: usize = 255;
/// How far the clock of a token's issuer may be ahead of ours (`nbf`). An expiry has no leeway: sockets end on time.
pub const TOKEN_NOT_BEFORE_LEEWAY_SECONDS: i64 = 5;
/// Verified tokens that are remembered; the oldest are forgotten first.
pub const TOKEN_CACHE_ENTRIES_MAX: usize = 10_000;
/// After this long a remembered token is verified again, so that a withdrawn key stops working.
pub const TOKEN_CACHE_AGE_SECONDS_MAX: i64 = 600;
/// The longest life of a token that `runledger token` makes: ten years.
pub const TOKEN_LIFETIME_SECONDS_MAX: u64 = 10 * 365 * 24 * 3600;
/// The shortest HS256 secret: as long as the hash (RFC 7518, section 3.2).
pub const JWT_SECRET_BYTES_MIN: usize = 32;
/// The largest JWKS document that is read.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// The most keys of one JWKS document that are used.
pub const JWKS_KEYS_MAX: usize = 64;
/// How long fetching a JWKS document may take, connecting included.
pub const JWKS_FETCH_MILLISECONDS_MAX: u64 = 5_000;
/// The shortest time between two fetches of one JWKS document, however many unknown keys are asked for.
pub const JWKS_FETCH_INTERVAL_SECONDS_MIN: i64 = 10;
/// After this long a JWKS document is fetched again, so that withdrawn keys go.
pub const JWKS_AGE_SECONDS_MAX: i64 = 600;

// GraphQL, HTTP and sockets.

/// The size of a GraphQL document, before it is parsed.
pub const GRAPHQL_DOCUMENT_BYTES_MAX: Limit = limit("graphql_document_bytes_max", 32 * 1024);
/// The fields of an operation once its fragments are expanded; also of each fragment.
pub const GRAPHQL_FIELDS_MAX: Limit = limit("graphql_fields_max", 1_000);
/// The aliases of an operation once its fragments are expanded: each one runs a resolver again.
pub const GRAPHQL_ALIASES_MAX: Limit = limit("graphql_aliases_max", 30);
/// The fields at the root of an operation.
pub const GRAPHQL_ROOT_FIELDS_MAX: Limit = limit("graphql_root_fields_max", 20);
/// The nesting of fields, introspection not counted; also the nesting of list types of a variable.
pub const GRAPHQL_DEPTH_MAX: Limit = limit("graphql_depth_max", 15);
/// The nesting of brackets of all kinds in a document.
pub const GRAPHQL_NESTING_MAX: Limit = limit("graphql_nesting_max", 100);
/// The directives of an operation once its fragments are expanded.
pub const GRAPHQL_DIRECTIVES_MAX: Limit = limit("graphql_directives_max", 50);
/// The fragment spreads and inline fragments of an operation, once expanded.
pub const GRAPHQL_SPREADS_MAX: Limit = limit("graphql_spreads_max", 200);
/// The operations and fragments of a document.
pub const GRAPHQL_DEFINITIONS_MAX: Limit = limit("graphql_definitions_max", 50);
/// The variables that an operation declares.
pub const GRAPHQL_VARIABLES_MAX: Limit = limit("graphql_variables_max", 100);
/// The nesting of `fields`, `inputFields`, `interfaces` and `possibleTypes` inside introspection, as graphql-js
/// counts it: each level multiplies the answer by the size of the schema.
pub const GRAPHQL_INTROSPECTION_DEPTH_MAX: Limit = limit("graphql_introspection_depth_max", 2);
/// The errors of one answer; those after it are left out.
pub const GRAPHQL_ERRORS_MAX: Limit = limit("graphql_errors_max", 25);
/// The text of one error that quotes a document.
pub const GRAPHQL_ERROR_MESSAGE_CHARS_MAX: Limit = limit("graphql_error_message_chars_max", 500);

/// From the first resolver to the answer of a query or mutation.
pub const REQUEST_TIME_SECONDS_MAX: Limit = limit("request_time_seconds_max", 30);
/// A request body other than an upload.
pub const HTTP_BODY_BYTES_MAX: Limit = limit("http_body_bytes_max", 8 * 1024 * 1024);
/// Of a body that is not wanted: read all the same, so that the client reads the answer.
pub const HTTP_UNREAD_BODY_BYTES_MAX: Limit = limit("http_unread_body_bytes_max", 32 * 1024 * 1024);
/// A request body without a token: enough for introspection and for the queries that need none.
pub const HTTP_ANONYMOUS_BODY_BYTES_MAX: Limit = limit("http_anonymous_body_bytes_max", 64 * 1024);
/// Values, lists and objects in the JSON of a request: each takes up to a hundred times its text in memory.
pub const REQUEST_VALUES_MAX: Limit = limit("request_values_max", 500_000);
/// From the head of a request to the end of its body, uploads excepted.
pub const HTTP_BODY_TIME_SECONDS_MAX: Limit = limit("http_body_time_seconds_max", 30);

/// One uploaded file.
pub const UPLOAD_FILE_BYTES_MAX: Limit = limit("upload_file_bytes_max", 512 * 1024 * 1024);
/// The files of one request.
pub const UPLOAD_FILES_MAX: Limit = limit("upload_files_max", 10);
/// The `map` part of a multipart request.
pub const UPLOAD_MAP_BYTES_MAX: Limit = limit("upload_map_bytes_max", 64 * 1024);
/// How long an upload may stand still between two pieces.
pub const UPLOAD_IDLE_SECONDS_MAX: Limit = limit("upload_idle_seconds_max", 30);

/// A message of a client on a WebSocket.
pub const SOCKET_MESSAGE_BYTES_MAX: Limit = limit("socket_message_bytes_max", 1024 * 1024);
/// Operations that run on one WebSocket at once.
pub const SOCKET_OPERATIONS_MAX: Limit = limit("socket_operations_max", 100);
/// Frames that wait for a client to read them; operations pause while it is full.
pub const SOCKET_QUEUE_FRAMES_MAX: Limit = limit("socket_queue_frames_max", 64);
/// The reason of a close frame, by RFC 6455.
pub const SOCKET_CLOSE_REASON_BYTES_MAX: Limit = limit("socket_close_reason_bytes_max", 123);

/// Refuses a `size` over the limit.
///
/// # Errors
/// `TOO_LARGE` with the limit's name.
pub fn at_most(field: &str, size: usize, limit: Limit) -> Result<(), Error> {
    if limit.is_passed_by(size) {
        return Err(Error::TooLarge { field: field.to_owned().into(), limit });
    }
    Ok(())
}

const fn limit(name: &'static str, max: u64) -> Limit {
    Limit { name, max }
}

impl Limit {
    /// Whether `count` is more than is allowed.
    pub fn is_passed_by(self, count: usize) -> bool {
        u64::try_from(count).map_or(true, |count| count > self.max)
    }

    /// The value as a size in memory.
    pub fn to_usize(self) -> usize {
        usize::try_from(self.max).unwrap_or(usize::MAX)
    }

    /// The value of a limit in seconds.
    pub const fn to_duration(self) -> Duration {
        Duration::from_secs(self.max)
    }
}
