//! The object of a log.

use async_graphql::{Context, Object};

use super::Download;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::Nullable as _;
use crate::graphql::scalars::{BigInt, DateTime};
use crate::store::LogStream;

/// The one object that the lines of an execution's log are moved to: 20 seconds after they were appended (the operator may
/// set another time), when many wait, and when the execution ends. JSON lines, one object a line, with `seq`, `timestamp`,
/// `level`, `stream`, `message` and `fields`.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct LogObject(pub LogStream);

/// The one object that the lines of an execution's log are moved to: 20 seconds after they were appended (the operator may
/// set another time), when many wait, and when the execution ends. JSON lines, one object a line, with `seq`, `timestamp`,
/// `level`, `stream`, `message` and `fields`.
#[Object]
impl LogObject {
    /// Its key in the bucket of logs.
    fn key(&self, context: &Context<'_>) -> String {
        context.service().log_key(&self.0)
    }

    /// Lines of the log, archived or not.
    fn line_count(&self) -> BigInt {
        BigInt(self.0.next_seq)
    }

    /// Bytes of all lines, archived or not.
    fn size_bytes(&self) -> BigInt {
        BigInt(self.0.byte_count)
    }

    /// Lines that the object has: the log's first ones.
    fn archived_line_count(&self) -> BigInt {
        BigInt(self.0.archived_seq)
    }

    /// When the log is removed: some days (7, unless the operator has set another number) after its last line. Null while the
    /// execution has not ended, for a log without lines, and when logs are kept for ever.
    fn expires_at(&self, context: &Context<'_>) -> Option<DateTime> {
        context.service().log_expires_at(&self.0).map(DateTime)
    }

    /// Whether the lines were kept for as long as lines are kept, and are gone.
    fn expired(&self) -> bool {
        self.0.expired
    }

    /// A link to the whole log as it is when the link is followed, archived lines and those that wait: it works without a
    /// token until it expires, for whoever has it. Null when the log has expired.
    async fn download(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "From 1 to 604,800: seven days.", default = 3600)] expires_in_seconds: i32,
    ) -> Option<async_graphql::Result<Download>> {
        if self.0.expired {
            return None;
        }
        context.service().link_to_log(&self.0, expires_in_seconds).map(|link| Some(link.into())).nullable()
    }
}
