//! What can be followed. Each resumes after a cut without loss or repeats, from a number or a cursor that it has given.
//!
//! What begins a subscription is in a box: it is large, and its room would be kept for as long as the subscription lasts.

use async_graphql::{Context, ID, Subscription};
use futures_util::{FutureExt as _, Stream, StreamExt as _};

use super::context::{ContextExt as _, uuid};
use super::error::ApiError;
use super::input::{ExecutionFilter, LogFilter, StatsFilter};
use super::model::{
    Execution, ExecutionChange, ExecutionStats, Generation, LogBatch, VisualEventBatch, check_from,
};
use super::scalars::BigInt;
use crate::error::{Error, Result};
use crate::logs::TailStart;

/// What can be followed.
pub struct Subscription;

/// What can be followed.
#[Subscription]
impl Subscription {
    /// The execution as it is now, then after each change; changes that follow each other faster than they can be sent
    /// show as one. Completes after a final status.
    async fn execution_changed(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which execution.")] id: ID,
    ) -> Result<impl Stream<Item = async_graphql::Result<Execution>> + use<>, ApiError> {
        let changes = context.service().follow_execution(context.viewer()?, uuid("id", &id)?).boxed().await?;
        Ok(changes.map(|change| answer(change.map(Execution::one))))
    }

    /// Every change of the viewer's executions that match, in the order of their commits. With `after`, everything since
    /// that cursor first. A deletion is sent whatever the filter says.
    async fn executions_changed(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only executions that match, as they are when the change is sent.")] filter: Option<
            ExecutionFilter,
        >,
        #[graphql(desc = "A cursor of an earlier change, or `changesCursor`, at most 24 hours old.")]
        after: Option<String>,
    ) -> Result<impl Stream<Item = async_graphql::Result<ExecutionChange>> + use<>, ApiError> {
        let filter = filter.unwrap_or_default().check("filter")?;
        let changes =
            context.service().follow_executions(context.viewer()?, filter, after.as_deref()).boxed().await?;
        Ok(changes.map(|change| answer(change.map(ExecutionChange))))
    }

    /// The statistics as they are now, then again when they have changed, at most once a second.
    async fn stats_changed(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only executions that match.")] filter: Option<StatsFilter>,
    ) -> Result<impl Stream<Item = async_graphql::Result<ExecutionStats>> + use<>, ApiError> {
        let query = filter.unwrap_or_default().check("filter")?;
        let changes = context.service().follow_stats(context.viewer()?, query.clone()).boxed().await?;
        Ok(changes.map(move |change| answer(change.map(|found| ExecutionStats::followed(&query, found)))))
    }

    /// The generation as it is now, then after each change of its upload; changes that follow each other faster than they can
    /// be sent show as one. Completes when it is deleted.
    async fn generation_changed(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which generation.")] id: ID,
    ) -> Result<impl Stream<Item = async_graphql::Result<Generation>> + use<>, ApiError> {
        let changes =
            context.service().follow_generation(context.viewer()?, uuid("id", &id)?).boxed().await?;
        Ok(changes.map(|change| answer(change.map(Generation::one))))
    }

    /// Log lines from `fromSeq` on (or the newest `last`), then live, each exactly once and in order. Completes after the
    /// last line of a finished execution, with `ended`; ends with NOT_FOUND when the execution is deleted before.
    async fn log_tail(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Whose lines.")] execution_id: ID,
        #[graphql(
            desc = "The first line to send; after a cut, the last `nextSeq`.",
            default_with = "BigInt(0)"
        )]
        from_seq: BigInt,
        #[graphql(desc = "Begin with this many of the newest lines instead.")] last: Option<i32>,
        #[graphql(desc = "Only lines that pass.")] filter: Option<LogFilter>,
    ) -> Result<impl Stream<Item = async_graphql::Result<LogBatch>> + use<>, ApiError> {
        let execution_id = uuid("executionId", &execution_id)?;
        let start = start(from_seq.0, last)?;
        let filter = filter.unwrap_or_default().check("filter")?;
        let (service, place) = (context.service(), context.tail_place());
        let batches = service.tail_log(context.viewer()?, execution_id, start, filter, place).boxed().await?;
        Ok(batches.map(move |batch| answer(batch.map(|batch| LogBatch { execution_id, batch }))))
    }

    /// The events of a visual session from `fromSeq` on, then live, each exactly once and in order. Completes after the last
    /// event of a finished execution, with `ended`; ends with NOT_FOUND when the execution is deleted before.
    async fn visual_events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Whose events.")] execution_id: ID,
        #[graphql(
            desc = "The first event to send; after a cut, the last `nextSeq`.",
            default_with = "BigInt(0)"
        )]
        from_seq: BigInt,
    ) -> Result<impl Stream<Item = async_graphql::Result<VisualEventBatch>> + use<>, ApiError> {
        let execution_id = uuid("executionId", &execution_id)?;
        check_from(from_seq.0)?;
        let (service, place) = (context.service(), context.tail_place());
        let batches =
            service.follow_visual_events(context.viewer()?, execution_id, from_seq.0, place).boxed().await?;
        Ok(batches.map(|batch| answer(batch.map(VisualEventBatch::from))))
    }
}

fn start(from_seq: i64, last: Option<i32>) -> Result<TailStart> {
    if from_seq < 0 {
        return Err(Error::bad_input("fromSeq", "lines are numbered from 0"));
    }
    match last {
        None => Ok(TailStart::From(from_seq)),
        Some(_) if from_seq > 0 => Err(Error::bad_input("last", "give either fromSeq or last, not both")),
        Some(last) if last < 0 => Err(Error::bad_input("last", "last must not be negative")),
        Some(last) => Ok(TailStart::Last(i64::from(last))),
    }
}

fn answer<T>(result: Result<T>) -> async_graphql::Result<T> {
    result.map_err(|error| ApiError::from(error).into())
}
