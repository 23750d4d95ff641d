//! How many executions match. Most of what lists are asked for is in the statistics, so that a history of any length is counted
//! at once; the rest is counted row by row.

use chrono::TimeDelta;

use super::super::Service;
use crate::auth::Viewer;
use crate::clock::Timestamp;
use crate::domain::execution::{Filter, Range, Status};
use crate::domain::stats::{Figures, Span, Subject, Width, start_of};
use crate::error::Result;
use crate::store::{StatsOf, StatsQuery};

impl Service {
    /// How many executions match.
    ///
    /// # Errors
    /// What the store says.
    pub async fn count_executions(&self, viewer: &Viewer, filter: &Filter) -> Result<u64> {
        let reader = self.store.reader(viewer);
        let Some((whole, ends)) = whole_hours(&filter.created_at) else {
            return reader.count_executions(filter).await;
        };
        let Some(query) = statistics_of(filter, whole) else { return reader.count_executions(filter).await };
        // While they are being counted themselves there are none.
        let Ok(rows) = self.rows_of_statistics(viewer, &query).await else {
            return reader.count_executions(filter).await;
        };
        let is_counted = |mode| filter.modes.as_ref().is_none_or(|modes| modes.contains(&mode));
        let rows = rows.iter().filter(|row| is_counted(row.mode));
        let executions: i64 = rows.map(|row| counted(&row.figures, filter)).sum();
        let mut executions = executions.max(0).cast_unsigned();
        // Two at most.
        for end in ends {
            executions += reader.count_executions(&Filter { created_at: end, ..filter.clone() }).await?;
        }
        Ok(executions)
    }
}

/// The hours that are in a range as a whole, and what is left of it before and after them; `None` if there are none.
fn whole_hours(range: &Range<Timestamp>) -> Option<(Span, Vec<Range<Timestamp>>)> {
    let up = |time: Timestamp| {
        let hour = start_of(Width::Hour, time);
        if hour == time { Some(hour) } else { hour.checked_add_signed(TimeDelta::hours(1)) }
    };
    let (from, to) = (range.from.map(up), range.to.map(|to| start_of(Width::Hour, to)));
    let from = match from {
        Some(None) => return None,
        from => from.flatten(),
    };
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return None;
    }
    let before = Range { from: range.from, to: from };
    let after = Range { from: to, to: range.to };
    let is_cut = |range: &Range<Timestamp>| range.from != range.to;
    Some((Span { from, to }, [before, after].into_iter().filter(is_cut).collect()))
}

/// Which statistics have those that match, whatever their mode and status; `None` if none do.
fn statistics_of(filter: &Filter, span: Span) -> Option<StatsQuery> {
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
        created_at: _,
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
