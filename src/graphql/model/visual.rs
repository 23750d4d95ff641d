//! Visual sessions and their events.

use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject};

use super::Download;
use crate::domain::execution::is_final;
use crate::domain::limits::{VISUAL_PAGE_EVENTS_MAX, at_most};
use crate::domain::visual::Event;
use crate::error::Error;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{ApiError, Nullable as _};
use crate::graphql::scalars::{BigInt, Json};
use crate::graphql::siblings::Siblings;
use crate::logs::TailBatch;
use crate::store::{ExecutionRow, VisualTotals};

/// The visual session of an execution.
pub(in crate::graphql) struct VisualStreaming {
    row: ExecutionRow,
    siblings: Arc<Siblings>,
}

impl VisualStreaming {
    pub(super) fn new(row: ExecutionRow, siblings: Arc<Siblings>) -> Self {
        Self { row, siblings }
    }

    /// What the stored events come to by now. At its end the execution has it.
    async fn totals(&self, context: &Context<'_>) -> Result<VisualTotals, Error> {
        let said = VisualTotals {
            events: self.row.visual_events_captured,
            duration_ms: self.row.visual_stream_duration_ms,
        };
        if !self.row.visual_enabled || is_final(self.row.status) {
            return Ok(said);
        }
        let stream = self.siblings.visual_stream(context, self.row.id).await?;
        Ok(stream.as_ref().and_then(VisualTotals::of).unwrap_or(said))
    }
}

/// The visual session of an execution.
#[Object]
impl VisualStreaming {
    /// Whether the execution has a visual session. Appended events make it true.
    fn enabled(&self) -> bool {
        self.row.visual_enabled
    }

    /// Whether it is being streamed now.
    fn streaming(&self) -> bool {
        self.row.visual_streaming
    }

    /// As the runner names it; at most 255 characters.
    fn quality(&self) -> Option<&str> {
        self.row.visual_quality.as_deref()
    }

    /// As the runner names it; at most 255 characters.
    fn session_id(&self) -> Option<&str> {
        self.row.visual_session_id.as_deref()
    }

    /// Events captured so far: those stored here, else as the runner says.
    async fn events_captured(&self, context: &Context<'_>) -> Result<BigInt, ApiError> {
        Ok(BigInt(self.totals(context).await?.events))
    }

    /// Milliseconds streamed so far: from the first to the last event stored here, else as the runner says.
    async fn stream_duration_ms(&self, context: &Context<'_>) -> Result<BigInt, ApiError> {
        Ok(BigInt(self.totals(context).await?.duration_ms))
    }

    /// A link to all events as they are when the link is followed, JSON lines in their order: it works without a token until
    /// it expires, for whoever has it. Null when none was appended, and when they have expired: they are kept as long as logs.
    async fn download(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "From 1 to 604,800: seven days.", default = 3600)] expires_in_seconds: i32,
    ) -> Option<async_graphql::Result<Download>> {
        let link = async {
            let stream = self.siblings.visual_stream(context, self.row.id).await?;
            let Some(stream) = stream.filter(|stream| stream.next_seq > 0 && !stream.expired) else {
                return Ok(None);
            };
            context.service().link_to_log(&stream, expires_in_seconds).map(|link| Some(link.into()))
        };
        link.await.nullable()
    }
}

/// Events of a visual session, and where the reader is.
#[derive(Debug, SimpleObject)]
pub(in crate::graphql) struct VisualEventBatch {
    /// As rrweb recorded them, in order; none when only `nextSeq` or the flags have something to say.
    events: Vec<Json>,
    /// The number to go on from: give it as `fromSeq`.
    next_seq: BigInt,
    /// Whether everything that was stored before has been given.
    caught_up: bool,
    /// Whether the execution has ended and nothing follows.
    ended: bool,
}

impl VisualEventBatch {
    pub(super) async fn load(
        context: &Context<'_>,
        execution: &ExecutionRow,
        siblings: &Siblings,
        from_seq: i64,
        first: i32,
    ) -> Result<Self, ApiError> {
        check_from(from_seq)?;
        let rows =
            usize::try_from(first).map_err(|_| Error::bad_input("first", "first must not be negative"))?;
        at_most("first", rows, VISUAL_PAGE_EVENTS_MAX)?;
        let range = siblings.visual_events(context, from_seq, rows, execution.id).await?;
        let Some(range) = range else {
            // No event was ever appended.
            let ended = is_final(execution.status);
            return Ok(Self { events: Vec::new(), next_seq: BigInt(from_seq), caught_up: true, ended });
        };
        let range = range?;
        context.charge("visualEvents", range.events.iter().map(|event| event.json.len()).sum())?;
        let json = |event: &Event| Json::from_text(event.json.clone());
        Ok(Self {
            events: range.events.iter().map(json).collect(),
            next_seq: BigInt(range.next_seq),
            caught_up: range.caught_up,
            ended: range.ended,
        })
    }
}

impl From<TailBatch<Event>> for VisualEventBatch {
    fn from(batch: TailBatch<Event>) -> Self {
        Self {
            events: batch.lines.iter().map(|event| Json::from_text(event.json.clone())).collect(),
            next_seq: BigInt(batch.next_seq),
            caught_up: batch.caught_up,
            ended: batch.ended,
        }
    }
}

/// Checks the number of the first event that is asked for.
pub(in crate::graphql) fn check_from(from_seq: i64) -> Result<(), Error> {
    if from_seq < 0 {
        return Err(Error::bad_input("fromSeq", "events are numbered from 0"));
    }
    Ok(())
}
