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
/// Analytics events that wait to be sent; more are dropped and counted.
pub const ANALYTICS_QUEUE_EVENTS_MAX: usize = 10_000;
/// Analytics events that are sent together.
pub const ANALYTICS_BATCH_EVENTS: usize = 500;
/// Exports that one server writes at once.
pub const EXPORTS_AT_ONCE_MAX: usize = 4;
/// Executions that an export reads at once.
pub const EXPORT_PAGE_ROWS: u64 = 2_000;
/// Large values that an export reads at once, but for those of one execution at least.
pub const EXPORT_VALUES_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The filter of an export, as it stands in its link: some proxies take no longer address than 8 KiB.
pub const EXPORT_FILTER_BYTES_MAX: Limit = limit("export_filter_bytes_max", 5 * 1024);
/// Executions that `deleteExecutions` deletes before it answers; when more match, a job deletes them.
pub const DELETE_AT_ONCE_EXECUTIONS_MAX: u64 = 1_000;
/// Executions that one transaction lists for such a job: others wait for it.
pub const DELETION_LIST_ROWS: u64 = 1_024;
/// How long a caller waits for the list: the job goes on with it after that.
pub const DELETION_LIST_SECONDS_MAX: u64 = 2;
/// So long after its last part the job goes on with a list, should the server that made it have come to its end.
pub const DELETION_HANDOVER_SECONDS: i64 = 15;
/// Executions that one transaction in the background deletes at most.
pub const DELETION_STEP_ROWS_MAX: u64 = 64;
/// And at least, as each transaction costs something by itself.
pub const DELETION_STEP_ROWS_MIN: u64 = 4;
/// How long such a transaction is to take: others wait for it. After some that were fast enough it has twice as many
/// executions, after one that was not half as many, so that the statements for them stay prepared.
pub const DELETION_STEP_MICROSECONDS: u64 = 5_000;
/// So many that were fast enough.
pub const DELETION_FAST_STEPS: u32 = 4;
/// The longest pause between two such transactions, for each execution: with slow disks, too, it ends some day.
pub const DELETION_PAUSE_MICROSECONDS_PER_ROW_MAX: u64 = 100_000;
/// How long such a pause is while nobody is served, for each part of a transaction's own time.
pub const DELETION_QUIET_PAUSE_FACTOR: u32 = 8;
/// The longest pause then: a million go within two hours.
pub const DELETION_QUIET_PAUSE_MICROSECONDS_PER_ROW_MAX: u64 = 3_000;
/// And while nobody has been served for so long,
pub const DELETION_IDLE_MILLISECONDS: u64 = 5_000;
/// the pause is as long as the transaction.
pub const DELETION_IDLE_PAUSE_FACTOR: u32 = 1;
/// The shortest pause.
pub const DELETION_PAUSE_MILLISECONDS_MIN: u64 = 5;
/// The longest pause after a transaction that lists.
pub const DELETION_LIST_PAUSE_MILLISECONDS_MAX: u64 = 2_000;
/// After so long a deletion in the background lets other jobs come first.
pub const DELETION_TURN_SECONDS: u64 = 60;
/// Nobody is served when nobody has asked for anything for so long.
pub const DELETION_QUIET_MILLISECONDS: u64 = 1_000;
/// When what is too old has been so for longer than this, it goes as if nobody were served: it must not grow faster than it
/// goes.
pub const RETENTION_LAG_SECONDS_MAX: i64 = 3_600;
/// How long a step that merges SQLite's index of words is to take: others wait for it.
pub const WORDS_MERGE_STEP_MICROSECONDS: u64 = 4_000;
/// Pages of that index that one step merges at most.
pub const WORDS_MERGE_PAGES_MAX: u32 = 64;
/// How long the pause between two such steps is, for each part of a step's own time.
pub const WORDS_MERGE_PAUSE_FACTOR: u32 = 19;
/// And at least.
pub const WORDS_MERGE_PAUSE_MILLISECONDS_MIN: u64 = 5;
/// The longest silence that an execution may ask for: a year.
pub const STALE_AFTER_SECONDS_MAX: i32 = 365 * 24 * 3_600;
/// Most executions have ended when one is first looked at.
const SILENCE_FIRST_CHECK_SECONDS: i64 = 60;
/// When an execution that may be silent for ever is looked at again: by then the server may have another setting.
pub const SILENCE_RECHECK_SECONDS: i64 = 3_600;

/// When an execution is first looked at for signs of life, in seconds after it began to run.
pub fn first_check_after(stale_after_seconds: Option<i32>) -> i64 {
    stale_after_seconds.map_or(SILENCE_FIRST_CHECK_SECONDS, |own| SILENCE_FIRST_CHECK_SECONDS.min(own.into()))
}
/// Executions that are compared with each other.
pub const COMPARE_EXECUTIONS_MAX: Limit = limit("compare_executions_max", 10);
/// Places where the inputs, or the results, of executions differ that are shown.
pub const COMPARE_DIFFERENCES_MAX: usize = 1_000;
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
/// Text of one execution's log, as it is stored.
pub const LOG_BYTES_MAX: Limit = limit("log_bytes_max", 4 * 1024 * 1024 * 1024);
/// Events in one `appendVisualEvents`.
pub const VISUAL_CALL_EVENTS_MAX: Limit = limit("visual_call_events_max", 1_000);
/// Text of the events in one `appendVisualEvents`.
pub const VISUAL_CALL_BYTES_MAX: Limit = limit("visual_call_bytes_max", 6 * 1024 * 1024);
/// Events that one `Execution.visualEvents` gives.
pub const VISUAL_PAGE_EVENTS_MAX: Limit = limit("visual_page_events_max", 1_000);
/// One visual event, as JSON text: a picture of a whole page is the largest.
pub const VISUAL_EVENT_BYTES_MAX: Limit = limit("visual_event_bytes_max", 4 * 1024 * 1024);
/// Events of one execution's visual session.
pub const VISUAL_EVENTS_MAX: Limit = limit("visual_events_max", 10_000_000);
/// Text of one execution's visual session, as it is stored.
pub const VISUAL_BYTES_MAX: Limit = limit("visual_bytes_max", 4 * 1024 * 1024 * 1024);
/// Waiting lines of one log that are archived at once.
pub const ARCHIVE_AT_ONCE_LINES: i64 = 1_000;
/// Waiting text of one log that is archived at once.
pub const ARCHIVE_AT_ONCE_BYTES: i64 = 1024 * 1024;
/// Text of one log that one write to its object adds, but for one chunk at least.
pub const ARCHIVE_WRITE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Logs that one claim takes.
pub const ARCHIVE_CLAIM_LOGS: u64 = 64;
/// Logs whose objects one server writes at once.
pub const ARCHIVES_AT_ONCE_MAX: usize = 16;
/// How long one write to an object may take: well below the lease, so that no late write of one server meets another's.
pub const ARCHIVE_WRITE_SECONDS_MAX: u64 = 30;
/// How long an archiver is left alone with what it has claimed.
pub const ARCHIVE_LEASE_SECONDS: i64 = 90;
/// What must be left of that when a write has taken all its time: a request that is cut off may be carried out a little
/// later.
pub const ARCHIVE_LEASE_MARGIN_SECONDS: i64 = 20;
/// How long a new log waits for the deletion of the object of an old one with the same id.
pub const ARCHIVE_DOOMED_SECONDS: i64 = 2;
/// So much longer than Runledger does storage keep logs by its own rule, which knows of no open executions.
pub const LOG_RULE_MARGIN_DAYS: u32 = 30;
/// How often an archiver looks for what is due.
pub const ARCHIVE_POLL_MILLISECONDS: u64 = 500;
/// The longest wait after storage has failed.
pub const ARCHIVE_RETRY_SECONDS_MAX: u64 = 30;
/// How long a server that stops goes on archiving.
pub const ARCHIVE_STOP_SECONDS_MAX: u64 = 10;
/// Lines of one entry of a log's index; a call appends no more either.
pub const INDEX_ENTRY_LINES_MAX: i64 = 1_000;
/// Text of one entry of a log's index, but for one chunk at least.
pub const INDEX_ENTRY_BYTES_MAX: i64 = 256 * 1024;
/// Rows of a log's index that one transaction removes.
pub const EXPIRE_CHUNKS_AT_ONCE: u64 = 2_000;
/// Logs that are read from storage at once for one request.
pub const LOG_OBJECT_READS_AT_ONCE_MAX: usize = 8;
/// Lines that `logs(last:)` of a workflow run or a code agent gives at most.
pub const RUN_LOG_LINES_MAX: Limit = limit("run_log_lines_max", 10_000);
/// Stored bytes that one page of a filtered log looks through; the page ends there and the next one goes on.
pub const LOG_SCAN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Calls whose lines a filtered read of many logs looks through.
pub const LOG_SCAN_CALLS_MAX: u64 = 16_384;
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
/// Newest entries of a stream that somebody follows that are kept in memory, so that its followers need not read them.
pub const LIVE_CHUNKS_MAX: usize = 32;
/// Their text: what came faster than a follower reads is read from the database.
pub const LIVE_BYTES_MAX: usize = 32 * 1024;
/// Messages of a shared subscription that wait for the slowest of its followers; one that is slower goes its own way.
pub const SHARED_EVENTS_MAX: usize = 16;
/// Their text, but for one message at least.
pub const SHARED_EVENTS_BYTES_MAX: usize = 1024 * 1024;
/// With so many messages before it a follower is behind; while most are, the shared subscription waits, and gathers.
pub const SHARED_UNREAD_EVENTS_MAX: usize = 2;
/// How long it waits for them.
pub const SHARED_WAIT_MILLISECONDS_MAX: u64 = 50;
/// How long the change feed is kept; a cursor older than that has expired.
pub const FEED_RETENTION_HOURS: i64 = 24;
/// How long open subscriptions can still read an execution that is not kept after it has ended.
pub const DISCARD_GRACE_SECONDS: i64 = 60;

// Finding executions by words.

/// Words of a search.
pub const SEARCH_WORDS_MAX: Limit = limit("search_words_max", 10);
/// A word counts up to here, in what is stored as in what is asked for.
pub const SEARCH_WORD_CHARS_MAX: usize = 64;
/// Different words by which one of an execution's texts is found: name and inputs, result, error.
pub const SEARCH_TEXT_WORDS_MAX: u64 = 2_000;
/// Executions from before there was a search that one transaction makes findable.
pub const SEARCH_FILL_ROWS: u64 = 50;

// Code agents.

/// The source of a version.
pub const SOURCE_BYTES_MAX: Limit = limit("source_bytes_max", 2 * 1024 * 1024);
/// The sources of one page of versions together, when they are selected.
pub const PAGE_SOURCE_BYTES_MAX: Limit = limit("page_source_bytes_max", 16 * 1024 * 1024);
/// `description` of a code agent.
pub const DESCRIPTION_BYTES_MAX: Limit = limit("description_bytes_max", 16 * 1024);
/// Tags of a code agent.
pub const TAGS_MAX: Limit = limit("tags_max", 50);
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

/// A larger source is kept as an object, not in the database.
pub const DATABASE_SOURCE_BYTES_MAX: Limit = limit("database_source_bytes_max", 100 * 1024);
/// Sources that one request reads from storage at once.
pub const SOURCE_READS_AT_ONCE_MAX: usize = 4;

// Statistics.

/// Hours or days of one `series`.
pub const STATS_POINTS_MAX: Limit = limit("stats_points_max", 1_000);
/// Hours or days of one `series` of all code agents or projects of a page together.
pub const STATS_PAGE_POINTS_MAX: Limit = limit("stats_page_points_max", 5_000);
/// How often a follower of statistics hears of them at most.
pub const STATS_CHANGE_MILLISECONDS_MIN: u64 = 1_000;
/// How often the changes that wait to be added to the rows of the statistics are counted.
pub const STATS_FOLD_INTERVAL_MILLISECONDS: u64 = 500;
/// A tenant with so many waiting changes is next: with what comes in the meantime, whoever reads adds some 5,000 at most.
pub const STATS_FOLD_TENANT_CHANGES: u64 = 2_000;
/// How long the changes of everybody else wait: the more of them touch the same row, the less each costs.
pub const STATS_FOLD_WAIT_SECONDS: u64 = 60;
/// So long does nobody change anything before what waits is added at once.
pub const STATS_FOLD_QUIET_MILLISECONDS: u64 = 1_000;
/// Changes of a tenant that are read at once.
pub const STATS_FOLD_EVENTS: u64 = 5_000;
/// Sums of an hour that one transaction adds, more or less, each to its up to four rows: others may wait for it.
pub const STATS_FOLD_CELLS: usize = 128;
/// Executions that a recount reads at once.
pub const STATS_RECOUNT_EXECUTIONS: u64 = 5_000;
/// Sums of an hour that a recount has in memory before it writes them, more or less.
pub const STATS_RECOUNT_CELLS: usize = 50_000;
/// Rows that one transaction of a recount writes.
pub const STATS_RECOUNT_ROWS: usize = 500;
/// How long whoever counts anew is left alone without a word.
pub const STATS_RECOUNT_LEASE_SECONDS: i64 = 60;

// Generations.

/// The path of a file in a project.
pub const PROJECT_PATH_BYTES_MAX: Limit = limit("project_path_bytes_max", 1024);
/// One folder or file name of such a path; file systems take no more.
pub const PROJECT_PATH_NAME_BYTES_MAX: Limit = limit("project_path_name_bytes_max", 255);
/// The names of such a path: its folders and its file.
pub const PROJECT_PATH_NAMES_MAX: Limit = limit("project_path_names_max", 64);
/// The paths of one project together: they are in memory and in the database as a whole.
pub const PROJECT_PATHS_BYTES_MAX: Limit = limit("project_paths_bytes_max", 8 * 1024 * 1024);
/// The files of one project.
pub const PROJECT_FILES_MAX: Limit = limit("project_files_max", 50_000);
/// A project as a tar: its files and what lies between them.
pub const PROJECT_UNPACKED_BYTES_MAX: Limit = limit("project_unpacked_bytes_max", 2 * 1024 * 1024 * 1024);
/// The files and folders of an archive.
pub const ARCHIVE_ENTRIES_MAX: Limit = limit("archive_entries_max", 100_000);
/// Unpacked bytes for each packed one: source has 3 to 30, a bomb has 1,000. It holds after the first
/// [`ARCHIVE_SMALL_BYTES_MAX`], which harm nobody.
pub const ARCHIVE_EXPANSION_RATIO_MAX: Limit = limit("archive_expansion_ratio_max", 200);
/// What an archive may unpack to however small it is.
pub const ARCHIVE_SMALL_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A header of an archive that holds a long path or attributes: it is read into memory.
pub const ARCHIVE_HEADER_BYTES_MAX: Limit = limit("archive_header_bytes_max", 8 * 1024);
/// Each of two texts that are compared line by line.
pub const DIFF_TEXT_BYTES_MAX: Limit = limit("diff_text_bytes_max", 1024 * 1024);
/// How long the shortest difference of two texts is looked for; then any that is right will do.
pub const DIFF_SEARCH_MILLISECONDS_MAX: u64 = 200;
/// `message` of a generation.
pub const GENERATION_MESSAGE_BYTES_MAX: Limit = limit("generation_message_bytes_max", 16 * 1024);
/// Saves whose archives are being written or checked at once; more wait.
pub const SAVES_AT_ONCE_MAX: usize = 4;
/// Archives that are being read at once; more wait.
pub const ARCHIVE_READS_AT_ONCE_MAX: usize = 2;
/// Files in the lists of all generations that one page reads.
pub const PAGE_FILES_MAX: Limit = limit("page_files_max", 100_000);
/// Of the files that one `files` or `compareGenerations` reads out of an archive together.
pub const ARCHIVE_READ_BYTES_MAX: Limit = limit("archive_read_bytes_max", 32 * 1024 * 1024);
/// The longest life of a link to a download: seven days, as S3's.
pub const LINK_SECONDS_MAX: Limit = limit("link_seconds_max", 7 * 24 * 3_600);

// Work in the background.

/// How long whoever is at a piece of work is left alone without a word.
pub const JOB_LEASE_SECONDS: i64 = 60;
/// How often a lease is renewed meanwhile.
pub const JOB_LEASE_RENEWAL_SECONDS: u64 = 20;
/// Pieces of work that one server does at once.
pub const JOBS_AT_ONCE_MAX: u64 = 4;
/// How often a server looks for work by itself, should a wake-up have been lost.
pub const JOB_POLL_SECONDS: u64 = 10;
/// The wait after a first failure; it doubles with each, and is cut at random by up to a half.
pub const JOB_RETRY_MILLISECONDS_MIN: u64 = 1_000;
/// The longest wait after a failure.
pub const JOB_RETRY_SECONDS_MAX: u64 = 300;
/// How often an upload is tried before it is given up: about two hours.
pub const UPLOAD_ATTEMPTS_MAX: i32 = 30;
/// A file without a row that is younger may belong to a save under way.
pub const STRAY_AGE_SECONDS_MIN: u64 = 3_600;

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
/// The shortest token that shows metrics.
pub const METRICS_TOKEN_CHARS_MIN: usize = 16;
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
/// The text of documents that are remembered as valid, together; what was parsed from it takes several times as much.
pub const DOCUMENT_CACHE_BYTES_MAX: usize = 256 * 1024;
/// What each of them counts for at least: there are 512 at most.
pub const DOCUMENT_CACHE_BYTES_MIN: usize = 512;
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
pub const SOCKET_QUEUE_FRAMES_MAX: Limit = limit("socket_queue_frames_max", 16);
/// The reason of a close frame, by RFC 6455.
pub const SOCKET_CLOSE_REASON_BYTES_MAX: Limit = limit("socket_close_reason_bytes_max", 123);

// Storage of objects.

/// How long connecting to a storage may take.
pub const STORAGE_CONNECT_SECONDS_MAX: u64 = 10;
/// How long a storage may neither take nor give a byte.
pub const STORAGE_IDLE_SECONDS_MAX: u64 = 60;
/// How long a connection to a storage is kept for the next request; many close theirs after 20 s.
pub const STORAGE_KEPT_CONNECTION_SECONDS_MAX: u64 = 15;
/// The longest pause that a storage's `Retry-After` asks for and gets.
pub const STORAGE_RETRY_AFTER_SECONDS_MAX: u64 = 3_600;
/// Attempts at one request that fails fast, before the failure is told.
pub const STORAGE_ATTEMPTS_MAX: u32 = 3;
/// The first pause between two such attempts; it doubles.
pub const STORAGE_ATTEMPT_PAUSE_MILLISECONDS_MIN: u64 = 50;
/// An attempt that took longer than this is not repeated at once.
pub const STORAGE_FAST_FAILURE_MILLISECONDS_MAX: u64 = 1_000;
/// An answer of a storage that is read whole: errors, descriptions of buckets, pages of a list.
pub const STORAGE_ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What is told of a storage's own words about an error.
pub const STORAGE_ERROR_MESSAGE_CHARS_MAX: usize = 300;
/// What is read of a file or written to a connection at once.
pub const OBJECT_PIECE_BYTES: usize = 64 * 1024;
/// Parts of a multipart upload to S3; smaller objects are sent by one PUT. Two of them are in memory.
pub const S3_PART_BYTES: usize = 8 * 1024 * 1024;
/// What S3 copies into a part, at least: an object below is sent again as a whole.
pub const S3_COPIED_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// What S3 copies into a part, at most.
pub const S3_COPY_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// An object that is sent again is put together in memory up to this size, else in a temporary file.
pub const REWRITE_MEMORY_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The longest life of a link that S3 signs: a week.
pub const S3_LINK_SECONDS_MAX: u64 = 7 * 24 * 3_600;
/// Objects that one page of Supabase's list has.
pub const SUPABASE_LIST_ROWS: u64 = 1_000;
/// A temporary file of local storage that is older was left by a crash.
pub const TEMPORARY_FILE_SECONDS_MAX: u64 = 3_600;

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
