//! Every limit of Runledger: its name (the unit is the word before `max`), its value, and why it is there.
//!
//! An error that names a limit (`extensions.limit`) shows the name and the value that stand here.

use std::time::Duration;

use crate::error::Limit;

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
