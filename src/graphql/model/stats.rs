//! Statistics.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object, SimpleObject};
use tokio::sync::OnceCell;

use super::{ExecutionMode, TokenUsage};
use crate::clock::Timestamp;
use crate::domain::stats::{Bucket, Point, Totals};
use crate::error::{Error, Result};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::ApiError;
use crate::graphql::scalars::{BigInt, DateTime, Decimal};
use crate::service;
use crate::store::StatsQuery;

/// What a series is cut into, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Bucket")]
pub(in crate::graphql) enum TimeBucket {
    /// Each hour.
    Hour,
    /// Each day.
    Day,
}

/// Statistics that were read together, and their series.
#[derive(Debug)]
pub(in crate::graphql) struct StatsSet {
    query: StatsQuery,
    hours: OnceCell<Result<Vec<Vec<Point>>>>,
    days: OnceCell<Result<Vec<Vec<Point>>>>,
}

impl StatsSet {
    pub(in crate::graphql) fn new(query: StatsQuery) -> Arc<Self> {
        Arc::new(Self { query, hours: OnceCell::new(), days: OnceCell::new() })
    }

    /// All statistics of it, in the order of the query.
    pub(in crate::graphql) async fn load(
        self: &Arc<Self>,
        context: &Context<'_>,
    ) -> Result<Vec<ExecutionStats>> {
        Ok(self.read(context.service().stats(context.viewer()?, &self.query).await?))
    }

    /// All statistics of it, when they have been read.
    pub(in crate::graphql) fn read(self: &Arc<Self>, stats: service::Stats) -> Vec<ExecutionStats> {
        let of = |(at, totals)| ExecutionStats {
            totals,
            as_of: stats.as_of,
            within: Within::All { set: Arc::clone(self), at },
        };
        stats.totals.into_iter().enumerate().map(of).collect()
    }

    async fn series(&self, context: &Context<'_>, at: usize, by: Bucket) -> Result<&[Point]> {
        let loaded = match by {
            Bucket::Hour => &self.hours,
            Bucket::Day => &self.days,
        };
        let load = async { context.service().stats_series(context.viewer()?, &self.query, by).await };
        let series = loaded.get_or_init(|| load).await.as_ref().map_err(Error::clone)?;
        Ok(series.get(at).map_or(&[][..], Vec::as_slice))
    }
}

/// What executions add up to: those that are in the history, by when they were created. Counts and sums are exact.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct ExecutionStats {
    totals: Totals,
    as_of: Timestamp,
    within: Within,
}

/// What a series of statistics is cut out of.
#[derive(Debug, Clone)]
enum Within {
    All { set: Arc<StatsSet>, at: usize },
    Point { set: Arc<StatsSet>, at: usize, by: Bucket, start: Timestamp, end: Timestamp },
}

impl ExecutionStats {
    /// Statistics that are told again and again.
    pub(in crate::graphql) fn followed(query: &StatsQuery, (as_of, totals): (Timestamp, Totals)) -> Self {
        // Each time with series of its own.
        Self { totals, as_of, within: Within::All { set: StatsSet::new(query.clone()), at: 0 } }
    }

    async fn points(&self, context: &Context<'_>, by: Bucket) -> Result<Vec<StatsPoint>> {
        let (set, at, points) = match &self.within {
            Within::All { set, at } => (set, *at, set.series(context, *at, by).await?.to_vec()),
            // A day has hours, and they were read together; nothing else has smaller parts.
            Within::Point { set, at, by: Bucket::Day, start, end } if by == Bucket::Hour => {
                let hours = set.series(context, *at, by).await?.iter();
                let of_day = |point: &&Point| *start <= point.start && point.start < *end;
                (set, *at, hours.filter(of_day).cloned().collect())
            }
            Within::Point { set, at, start, end, .. } => {
                let whole = Point { start: *start, end: *end, totals: self.totals.clone() };
                (set, *at, vec![whole])
            }
        };
        let point = |Point { start, end, totals }| StatsPoint {
            start: DateTime(start),
            end: DateTime(end),
            stats: Self {
                totals,
                as_of: self.as_of,
                within: Within::Point { set: Arc::clone(set), at, by, start, end },
            },
        };
        Ok(points.into_iter().map(point).collect())
    }
}

/// What executions add up to: those that are in the history, by when they were created. Counts and sums are exact.
#[Object]
impl ExecutionStats {
    /// Executions of every status.
    async fn total_executions(&self) -> BigInt {
        BigInt(self.totals.figures.executions())
    }

    /// Those that wait.
    async fn queued(&self) -> BigInt {
        BigInt(self.totals.figures.queued)
    }

    /// Those that run.
    async fn running(&self) -> BigInt {
        BigInt(self.totals.figures.running)
    }

    /// Those that ended well.
    async fn completed(&self) -> BigInt {
        BigInt(self.totals.figures.completed)
    }

    /// Those that ended with an error.
    async fn failed(&self) -> BigInt {
        BigInt(self.totals.figures.failed)
    }

    /// Those that ended because somebody asked for it.
    async fn cancelled(&self) -> BigInt {
        BigInt(self.totals.figures.cancelled)
    }

    /// The same as `failed`: an execution has at most one error.
    async fn total_errors(&self) -> BigInt {
        BigInt(self.totals.figures.failed)
    }

    /// Percent of completed and failed that completed, 0 to 100; null when there are none.
    async fn success_rate(&self) -> Option<f64> {
        self.totals.success_rate()
    }

    /// Of all executions that have a duration: those that ran and have ended. Null when there are none.
    async fn avg_duration_ms(&self) -> Option<f64> {
        self.totals.average_duration_ms()
    }

    /// The smallest duration that this part of them does not exceed, within 1 %; 0.5 is the median. Null when there are
    /// none.
    async fn duration_ms(
        &self,
        #[graphql(desc = "From 0 to 1; 0.95 for what 95 % do not exceed.")] quantile: f64,
    ) -> Result<Option<f64>, ApiError> {
        if !(0.0..=1.0).contains(&quantile) {
            return Err(Error::bad_input("quantile", "a quantile is between 0 and 1").into());
        }
        Ok(self.totals.figures.durations.quantile(quantile))
    }

    /// The tokens of all of them.
    async fn tokens(&self) -> TokenUsage {
        let figures = &self.totals.figures;
        TokenUsage::new(figures.input_tokens, figures.cached_input_tokens, figures.output_tokens)
    }

    /// The cost of all of them.
    async fn total_cost_usd(&self) -> Decimal {
        Decimal { micros: self.totals.figures.cost_microusd }
    }

    /// Executions of each mode, also of those that have none.
    async fn by_mode(&self) -> [ModeUsage; 2] {
        [
            ModeUsage { mode: ExecutionMode::CloudRun, executions: BigInt(self.totals.cloud_runs) },
            ModeUsage { mode: ExecutionMode::LocalRun, executions: BigInt(self.totals.local_runs) },
        ]
    }

    /// Their visual sessions.
    async fn visual(&self) -> VisualUsage {
        let figures = &self.totals.figures;
        VisualUsage {
            executions: BigInt(figures.visual_executions),
            events_captured: BigInt(figures.visual_events_captured),
            stream_duration_ms: BigInt(figures.visual_stream_duration_ms),
        }
    }

    /// The same for each hour or day, empty ones included, oldest first; at most 1,000. Without `from` it begins with the
    /// first that has executions, without `to` it ends with that of now. The first and the last are cut off at `from` and
    /// `to`.
    async fn series(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "What it is cut into.")] by: TimeBucket,
    ) -> Result<Vec<StatsPoint>, ApiError> {
        Ok(self.points(context, by.into()).await?)
    }

    /// When they were read.
    async fn as_of(&self) -> DateTime {
        DateTime(self.as_of)
    }
}

/// How much a mode is used.
#[derive(Debug, SimpleObject)]
pub(in crate::graphql) struct ModeUsage {
    /// Where they run.
    mode: ExecutionMode,
    /// How many.
    executions: BigInt,
}

/// How much visual streaming is used.
#[derive(Debug, SimpleObject)]
pub(in crate::graphql) struct VisualUsage {
    /// Executions that have a visual session.
    executions: BigInt,
    /// Events that were captured in all of them.
    events_captured: BigInt,
    /// How long all of them were streamed, in milliseconds.
    stream_duration_ms: BigInt,
}

/// Statistics of one hour or day.
#[derive(Debug, SimpleObject)]
pub(in crate::graphql) struct StatsPoint {
    /// Inclusive.
    start: DateTime,
    /// Exclusive.
    end: DateTime,
    /// Of the executions that were created in between.
    stats: ExecutionStats,
}

/// The code agents, versions and publishes of a time, and how agents are used.
#[derive(Debug, SimpleObject)]
pub(in crate::graphql) struct RegistryStats {
    /// Agents that there are, of those that were created in that time.
    code_agents: BigInt,
    /// Versions that there are, of those that were published in that time.
    versions: BigInt,
    /// Attempts to publish source, whatever became of them: also those that made no version.
    publishes: BigInt,
    /// Those of them whose source did not validate, whether it was refused or kept.
    validation_failures: BigInt,
    /// `validationFailures` in percent of `publishes`, 0 to 100; null when there are none.
    validation_failure_rate: Option<f64>,
    /// Executions that name a code agent, of those in the history that were created in that time.
    agent_executions: BigInt,
    /// Percent of `agentExecutions` that ran a version which some earlier execution had run, 0 to 100; null when there are
    /// none. Earlier executions count also when they were before that time, or have been deleted since.
    reuse_rate: Option<f64>,
}

impl From<service::Registry> for RegistryStats {
    fn from(registry: service::Registry) -> Self {
        Self {
            code_agents: BigInt(registry.counts.code_agents),
            versions: BigInt(registry.counts.versions),
            publishes: BigInt(registry.counts.publishes),
            validation_failures: BigInt(registry.counts.validation_failures),
            validation_failure_rate: registry.validation_failure_rate(),
            agent_executions: BigInt(registry.agent_executions),
            reuse_rate: registry.reuse_rate(),
        }
    }
}
