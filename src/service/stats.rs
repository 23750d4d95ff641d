//! Statistics: of executions, over time, live, and of the registry of code agents.

use std::time::Duration;

use futures_util::Stream;
use uuid::Uuid;

use super::Service;
use crate::auth::{Role, Viewer};
use crate::clock::{Timestamp, now};
use crate::domain::execution::Mode;
use crate::domain::limits::{
    STATS_CHANGE_MILLISECONDS_MIN, STATS_PAGE_POINTS_MAX, STATS_POINTS_MAX, at_most,
};
use crate::domain::stats::{
    self, Bucket, Figures, Point, Span, Subject, Totals, Width, buckets, percent, shown,
};
use crate::error::{Error, Result};
use crate::event::Topic;
use crate::store::{CodeAgentRow, RegistryCounts, StatsOf, StatsQuery, StatsRow};

/// Statistics of each of those that were asked for.
#[derive(Debug, Clone)]
pub struct Stats {
    pub as_of: Timestamp,
    /// In the order of the query.
    pub totals: Vec<Totals>,
}

impl Stats {
    fn of(as_of: Timestamp, how_many: usize, rows: &[StatsRow]) -> Self {
        let mut totals = vec![Totals::default(); how_many];
        for row in rows {
            totals[row.of].add(row.mode, &row.figures);
        }
        Self { as_of, totals }
    }
}

/// The registry of code agents in numbers.
#[derive(Debug, Clone)]
pub struct Registry {
    pub counts: RegistryCounts,
    /// Executions that name a code agent.
    pub agent_executions: i64,
    /// Those of them that ran a version of it.
    pub version_executions: i64,
}

impl Registry {
    /// Percent of all attempts to publish whose source did not validate.
    pub fn validation_failure_rate(&self) -> Option<f64> {
        percent(self.counts.validation_failures, self.counts.publishes)
    }

    /// Percent of the agent executions that ran a version, and were not the first to run it.
    pub fn reuse_rate(&self) -> Option<f64> {
        percent(self.version_executions - self.counts.first_runs, self.agent_executions)
    }
}

impl Service {
    /// Statistics as they are now.
    ///
    /// # Errors
    /// `UNAVAILABLE` while the executions from before an upgrade are being counted.
    pub async fn stats(&self, viewer: &Viewer, query: &StatsQuery) -> Result<Stats> {
        let as_of = now();
        let rows = self.rows_of_statistics(viewer, query).await?;
        Ok(Stats::of(as_of, how_many(query), &rows))
    }

    /// The rows that the statistics add up from.
    pub(super) async fn rows_of_statistics(
        &self,
        viewer: &Viewer,
        query: &StatsQuery,
    ) -> Result<Vec<StatsRow>> {
        self.require_statistics().await?;
        self.store.reader(viewer).statistics(query, Width::All).await
    }

    /// A code agent with its statistics of all time, where one read gives both.
    ///
    /// # Errors
    /// What the store says.
    pub async fn find_code_agent_with_stats(
        &self,
        viewer: &Viewer,
        id: Uuid,
    ) -> Result<Option<(CodeAgentRow, Option<Stats>)>> {
        // Who asks for the statistics is told what the matter is with them; the agent is there.
        if self.require_statistics().await.is_err() {
            return Ok(self.store.find_code_agent(viewer, id).await?.map(|agent| (agent, None)));
        }
        let as_of = now();
        let found = self.store.find_counted_code_agent(viewer, id).await?;
        Ok(found.map(|(agent, rows)| (agent, rows.map(|rows| Stats::of(as_of, 1, &rows)))))
    }

    /// Statistics of every hour or day of the query's time, for each of those that were asked for. Without a beginning,
    /// that of each is its first hour or day that has executions; without an end, it is the hour or day of now.
    ///
    /// # Errors
    /// `TOO_LARGE` for more than [`STATS_POINTS_MAX`] of them, or [`STATS_PAGE_POINTS_MAX`] together; as
    /// [`Service::stats`].
    pub async fn stats_series(
        &self,
        viewer: &Viewer,
        query: &StatsQuery,
        by: Bucket,
    ) -> Result<Vec<Vec<Point>>> {
        self.require_statistics().await?;
        let reader = self.store.reader(viewer);
        let first = match query.span.from {
            Some(_) => None,
            None => reader.first_day_of_statistics(query).await?,
        };
        let Some((from, to)) = shown(query.span, first, by, now()) else {
            return Ok(vec![Vec::new(); how_many(query)]);
        };
        let points = buckets((from, to), by);
        at_most("by", points, STATS_POINTS_MAX)?;
        at_most("by", points.saturating_mul(how_many(query)), STATS_PAGE_POINTS_MAX)?;
        let within = StatsQuery { span: Span { from: Some(from), to: Some(to) }, ..query.clone() };
        let mut rows: Vec<Vec<(Timestamp, Mode, Figures)>> = vec![Vec::new(); how_many(query)];
        for row in reader.statistics(&within, by.into()).await? {
            rows[row.of].push((row.start, row.mode, row.figures));
        }
        let series = rows.iter().map(|rows| {
            let mut points = stats::series((from, to), by, rows);
            if query.span.from.is_none() {
                let is_empty = |point: &Point| point.totals == Totals::default();
                points.drain(..points.iter().take_while(|point| is_empty(point)).count());
            }
            points
        });
        Ok(series.collect())
    }

    /// Statistics of matching executions as they are now, then again when they have changed, at most once a second.
    ///
    /// # Errors
    /// As [`Service::stats`].
    pub async fn follow_stats(
        &self,
        viewer: &Viewer,
        query: StatsQuery,
    ) -> Result<impl Stream<Item = Result<(Timestamp, Totals)>> + use<>> {
        let topic = match viewer.role() {
            Role::Service => Topic::EveryTenant,
            Role::Admin | Role::Member => Topic::Tenant(viewer.tenant_id().to_owned()),
        };
        let mut wakeup = self.wakeups.follow(topic); // before reading, so that nothing falls between
        let (service, viewer) = (self.clone(), viewer.clone());
        let mut told = one(service.stats(&viewer, &query).await?)?;
        Ok(async_stream::try_stream! {
            yield told.clone();
            loop {
                tokio::time::sleep(Duration::from_millis(STATS_CHANGE_MILLISECONDS_MIN)).await;
                wakeup.wait().await;
                let found = one(service.stats(&viewer, &query).await?)?;
                if found.1 != told.1 {
                    told = found;
                    yield told.clone();
                }
            }
        })
    }

    /// The registry of code agents in numbers.
    ///
    /// # Errors
    /// As [`Service::stats`].
    pub async fn registry_stats(&self, viewer: &Viewer, span: Span) -> Result<Registry> {
        let query = StatsQuery { of: StatsOf::Matching(Subject::default()), mode: None, span };
        let (_, totals) = one(self.stats(viewer, &query).await?)?;
        let counts = self.store.reader(viewer).registry_counts(span).await?;
        let Figures { agent_executions, version_executions, .. } = totals.figures;
        Ok(Registry { counts, agent_executions, version_executions })
    }

    async fn require_statistics(&self) -> Result<()> {
        if self.store.has_statistics().await? {
            return Ok(());
        }
        Err(Error::Unavailable {
            message: "the executions from before this version are being counted; try again in a while".into(),
            cause: None,
        })
    }
}

fn how_many(query: &StatsQuery) -> usize {
    match &query.of {
        StatsOf::Matching(_) => 1,
        StatsOf::CodeAgents(keys) => keys.len(),
        StatsOf::Projects(keys) => keys.len(),
    }
}

fn one(stats: Stats) -> Result<(Timestamp, Totals)> {
    let totals = stats.totals.into_iter().next();
    Ok((stats.as_of, totals.ok_or_else(|| Error::internal("a query gave no statistics"))?))
}
