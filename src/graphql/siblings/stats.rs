//! The statistics of the code agents or projects of a page.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::Context;
use tokio::sync::OnceCell;

use crate::domain::stats::Span;
use crate::error::{Error, Result};
use crate::graphql::model::{ExecutionStats, StatsSet};
use crate::service::Stats;
use crate::store::{StatsOf, StatsQuery};

/// What was read of the statistics of a page, by their time: aliases may ask for others.
#[derive(Debug, Default)]
pub(super) struct StatsSiblings(Mutex<HashMap<Span, Arc<LoadedStats>>>);

type LoadedStats = OnceCell<Result<Vec<ExecutionStats>>>;

impl StatsSiblings {
    /// Those of all time have been read.
    pub(super) fn of_all_time(of: StatsOf, stats: Stats) -> Self {
        let span = Span::default();
        let stats = StatsSet::new(StatsQuery { of, mode: None, span }).read(stats);
        Self(Mutex::new(HashMap::from([(span, Arc::new(OnceCell::new_with(Some(Ok(stats)))))])))
    }

    /// Those of one of them, by its place in `of`.
    pub(super) async fn find(
        &self,
        context: &Context<'_>,
        of: impl FnOnce() -> StatsOf,
        span: Span,
        at: Option<usize>,
    ) -> Result<ExecutionStats> {
        let loaded = {
            let mut loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(loads.entry(span).or_default())
        };
        let load = async { StatsSet::new(StatsQuery { of: of(), mode: None, span }).load(context).await };
        let stats = loaded.get_or_init(|| load).await.as_ref().map_err(Error::clone)?;
        at.and_then(|at| stats.get(at).cloned()).ok_or_else(|| Error::internal("a row is not of its page"))
    }
}
