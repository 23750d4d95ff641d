//! How many executions match. Most of what lists are asked for is in the statistics, so that a history of any length is counted
//! at once; the rest is counted row by row.

use super::super::Service;
use crate::auth::Viewer;
use crate::domain::execution::{Filter, Range, Status};
use crate::domain::stats::{Figures, Span, Subject};
use crate::error::Result;
use crate::store::{StatsOf, StatsQuery};

impl Service {
    /// How many executions match.
    ///
    /// # Errors
    /// What the store says.
    pub async fn count_executions(&self, viewer: &Viewer, filter: &Filter) -> Result<u64> {
        let query = statistics_of(filter);
        // While they are being counted themselves there are none.
        let Some(query) = query.filter(|_| !matches_nothing(filter)) else {
            return self.store.reader(viewer).count_executions(filter).await;
        };
        let Ok(rows) = self.rows_of_statistics(viewer, &query).await else {
            return self.store.reader(viewer).count_executions(filter).await;
        };
        let is_counted = |mode| filter.modes.as_ref().is_none_or(|modes| modes.contains(&mode));
        let rows = rows.iter().filter(|row| is_counted(row.mode));
        let executions: i64 = rows.map(|row| counted(&row.figures, filter)).sum();
        Ok(executions.max(0).cast_unsigned())
    }
}

/// Which statistics have those that match, whatever their mode and status; `None` if none do.
fn statistics_of(filter: &Filter) -> Option<StatsQuery> {
    let Filter {
        ids: None,
        statuses,
        modes: _,
        code_agent_ids,
        workflow_ids,
        workflow_run_ids: None,
        project_keys,
        owner_ids,
        visual_only,
        created_at: Range { from, to },
        completed_at: Range { from: None, to: None },
        duration_ms: Range { from: None, to: None },
        total_tokens: Range { from: None, to: None },
        cost_microusd: Range { from: None, to: None },
        words: None,
    } = filter
    else {
        return None;
    };
    // They do not tell how many of a status have a visual session.
    let is_told = !(*visual_only && statuses.is_some());
    let subject = Subject {
        owner_id: one_at_most(owner_ids.as_deref())?.cloned(),
        code_agent_id: one_at_most(code_agent_ids.as_deref())?.copied(),
        workflow_id: one_at_most(workflow_ids.as_deref())?.cloned(),
        project_key: one_at_most(project_keys.as_deref())?.cloned(),
    };
    let span = Span { from: *from, to: *to };
    is_told.then_some(StatsQuery { of: StatsOf::Matching(subject), mode: None, span })
}

/// The one value; `None` when there are several, or none that would match.
fn one_at_most<T>(values: Option<&[T]>) -> Option<Option<&T>> {
    match values {
        None => Some(None),
        Some([one]) => Some(Some(one)),
        Some(_) => None,
    }
}

fn matches_nothing(filter: &Filter) -> bool {
    let Range { from, to } = filter.created_at;
    from.zip(to).is_some_and(|(from, to)| from >= to)
}

fn counted(figures: &Figures, filter: &Filter) -> i64 {
    let Some(statuses) = &filter.statuses else {
        return if filter.visual_only { figures.visual_executions } else { figures.executions() };
    };
    let of = |status: Status, executions: i64| if statuses.contains(&status) { executions } else { 0 };
    of(Status::Queued, figures.queued)
        + of(Status::Running, figures.running)
        + of(Status::Completed, figures.completed)
        + of(Status::Failed, figures.failed)
        + of(Status::Cancelled, figures.cancelled)
}
