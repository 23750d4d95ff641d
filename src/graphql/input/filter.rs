//! Which executions, in which order.

use async_graphql::{Enum, ID, InputObject};
use uuid::Uuid;

use crate::domain::execution::{Filter, Order, Range};
use crate::domain::limits::{FILTER_MEMBERS_MAX, at_most};
use crate::domain::search;
use crate::error::Result;
use crate::graphql::context::uuid;
use crate::graphql::model::{ExecutionMode, ExecutionStatus};
use crate::graphql::scalars::{BigInt, DateTime, Decimal};

/// Which executions. All given conditions hold together; a list means any of its members, at most 200; an empty list
/// matches nothing.
#[derive(Debug, Default, InputObject)]
pub(in crate::graphql) struct ExecutionFilter {
    /// With one of these ids.
    ids: Option<Vec<ID>>,
    /// In one of these statuses.
    statuses: Option<Vec<ExecutionStatus>>,
    /// In one of these modes.
    modes: Option<Vec<ExecutionMode>>,
    /// Of one of these code agents, also of those that are deleted by now.
    code_agent_ids: Option<Vec<ID>>,
    /// Of one of these workflows.
    workflow_ids: Option<Vec<String>>,
    /// Of one of these workflow runs.
    workflow_run_ids: Option<Vec<String>>,
    /// Of one of these projects.
    project_keys: Option<Vec<String>>,
    /// Of one of these owners.
    owner_ids: Option<Vec<String>>,
    /// With true, only those with a visual session.
    visual_only: Option<bool>,
    /// Created in this time.
    created_at: Option<DateTimeRange>,
    /// Completed in this time; those that have not are left out.
    completed_at: Option<DateTimeRange>,
    /// Milliseconds; those without a duration are left out.
    duration_ms: Option<BigIntRange>,
    /// Input and output tokens together.
    total_tokens: Option<BigIntRange>,
    /// US dollars.
    cost_usd: Option<DecimalRange>,
    /// With all of these words in its name, inputs, result or error, in any order: at most 10 words and 255 characters.
    ///
    /// A word is a run of letters and digits; everything else separates words and means nothing. Whole words are found, of
    /// JSON also the names of fields. Case does not count, diacritics do. The first 64 characters of a word count, and the
    /// first 2,000 different words of name and inputs, of result, and of error.
    search: Option<String>,
}

/// A range of time.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct DateTimeRange {
    /// The first moment, inclusive.
    from: Option<DateTime>,
    /// The moment after the last: exclusive.
    to: Option<DateTime>,
}

/// A range of whole numbers.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct BigIntRange {
    /// The smallest, inclusive.
    min: Option<BigInt>,
    /// The largest, inclusive.
    max: Option<BigInt>,
}

/// A range of decimals.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct DecimalRange {
    /// The smallest, inclusive.
    min: Option<Decimal>,
    /// The largest, inclusive.
    max: Option<Decimal>,
}

/// What a list of executions is sorted by; ties are settled by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Order")]
pub(in crate::graphql) enum ExecutionOrder {
    /// The newest `createdAt` first. The default.
    Newest,
    /// The oldest `createdAt` first.
    Oldest,
    /// The longest `durationMs` first, those without one last.
    Longest,
    /// The highest `costUsd` first.
    Costliest,
}

impl ExecutionFilter {
    /// The filter for services; `field` is its path.
    ///
    /// # Errors
    /// `BAD_INPUT` for an id that is no UUID; `TOO_LARGE` for a list that is too long.
    pub(in crate::graphql) fn check(self, field: &str) -> Result<Filter> {
        let statuses = checked_list(field, "statuses", self.statuses)?;
        let modes = checked_list(field, "modes", self.modes)?;
        Ok(Filter {
            ids: checked_ids(field, "ids", self.ids)?,
            code_agent_ids: checked_ids(field, "codeAgentIds", self.code_agent_ids)?,
            statuses: statuses.map(|statuses| statuses.into_iter().map(Into::into).collect()),
            modes: modes.map(|modes| modes.into_iter().map(Into::into).collect()),
            workflow_ids: checked_texts(field, "workflowIds", self.workflow_ids)?,
            workflow_run_ids: checked_texts(field, "workflowRunIds", self.workflow_run_ids)?,
            project_keys: checked_texts(field, "projectKeys", self.project_keys)?,
            owner_ids: checked_texts(field, "ownerIds", self.owner_ids)?,
            visual_only: self.visual_only.unwrap_or(false),
            created_at: time_range(self.created_at),
            completed_at: time_range(self.completed_at),
            duration_ms: number_range(self.duration_ms),
            total_tokens: number_range(self.total_tokens),
            cost_microusd: self.cost_usd.map_or_else(Range::default, |range| Range {
                from: range.min.map(|min| min.micros),
                to: range.max.map(|max| max.micros),
            }),
            words: self.search.map(|text| search::asked(&format!("{field}.search"), &text)).transpose()?,
        })
    }
}

fn checked_list<T>(field: &str, name: &str, list: Option<Vec<T>>) -> Result<Option<Vec<T>>> {
    if let Some(list) = &list {
        at_most(&format!("{field}.{name}"), list.len(), FILTER_MEMBERS_MAX)?;
    }
    Ok(list)
}

fn checked_ids(field: &str, name: &str, list: Option<Vec<ID>>) -> Result<Option<Vec<Uuid>>> {
    let Some(list) = checked_list(field, name, list)? else { return Ok(None) };
    let list = list.iter().enumerate();
    list.map(|(index, id)| uuid(&format!("{field}.{name}.{index}"), id)).collect::<Result<_>>().map(Some)
}

pub(super) fn checked_texts(
    field: &str,
    name: &str,
    list: Option<Vec<String>>,
) -> Result<Option<Vec<String>>> {
    let Some(list) = checked_list(field, name, list)? else { return Ok(None) };
    let list = list.into_iter().enumerate();
    list.map(|(index, text)| crate::domain::text::short(&format!("{field}.{name}.{index}"), text))
        .collect::<Result<_>>()
        .map(Some)
}

fn time_range(range: Option<DateTimeRange>) -> Range<crate::clock::Timestamp> {
    range.map_or_else(Range::default, |range| Range {
        from: range.from.map(|from| from.0),
        to: range.to.map(|to| to.0),
    })
}

fn number_range(range: Option<BigIntRange>) -> Range<i64> {
    range.map_or_else(Range::default, |range| Range {
        from: range.min.map(|min| min.0),
        to: range.max.map(|max| max.0),
    })
}
