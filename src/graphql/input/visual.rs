//! Visual events to be appended.

use async_graphql::{ID, InputObject};
use uuid::Uuid;

use crate::error::Result;
use crate::graphql::context::uuid;
use crate::graphql::scalars::{BigInt, Json};

/// Events to be appended: all or none. `firstSeq` makes a retry safe: events that are already there are skipped; a hole is
/// refused (CONFLICT).
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct AppendVisualEventsInput {
    /// Whose events they are.
    execution_id: ID,
    /// As rrweb emits them: objects with a number `type` and a `timestamp` in milliseconds since 1970. At least one, at most
    /// 1,000; each at most 4 MiB, together 6 MiB.
    events: Vec<Json>,
    /// The number that the first event is to have.
    first_seq: Option<BigInt>,
}

/// A checked [`AppendVisualEventsInput`].
pub(in crate::graphql) struct Events {
    pub execution_id: Uuid,
    pub first_seq: Option<i64>,
    /// JSON text; `None` for null.
    pub events: Vec<Option<String>>,
}

impl AppendVisualEventsInput {
    pub(in crate::graphql) fn check(self) -> Result<Events> {
        Ok(Events {
            execution_id: uuid("input.executionId", &self.execution_id)?,
            first_seq: self.first_seq.map(|seq| seq.0),
            events: self.events.into_iter().map(Json::into_text).collect::<Result<_>>()?,
        })
    }
}
