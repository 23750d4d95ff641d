//! The conditions of a list as SQL.

use entity::execution::{Column as C, Entity};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait as _, Condition, EntityName as _, Iden as _};

use crate::domain::execution::{Filter, Order, Range};
use crate::store::scoped::Reader;

/// As the indexes have them.
pub(super) const DURATION: &str = "coalesce(duration_ms, -1)";
const TOKENS: &str = "(input_tokens + output_tokens)";

/// A condition that has an index: those of values go on in the order of creation, and most of them in any order of lists; those of
/// ranges, and of words, do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Statuses,
    Modes,
    CodeAgents,
    Workflows,
    WorkflowRuns,
    Projects,
    Owners,
    Visual,
    CreatedAt,
    CompletedAt,
    Duration,
    Tokens,
    Cost,
    Words,
}

/// By which index rows are found. SQLite is told, as it does not know how many rows a tenant has of what, and would as soon sort
/// all of them as look through all of them. PostgreSQL is told when there are few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Whichever it takes.
    Any,
    /// Their keys, which something else gives.
    Keys,
    /// That of a condition, which few meet; they are sorted.
    Few(Part),
    /// That of a condition on values, in an order in which it goes on after each.
    Value(Part, Order),
    /// That of the list's order.
    Order(Order),
}

impl Part {
    /// Those of a filter, with how many values each has, in the order in which their values differ most.
    pub(super) fn of(filter: &Filter) -> Vec<(Self, usize)> {
        fn values<T>(values: Option<&Vec<T>>) -> usize {
            values.map_or(0, Vec::len)
        }
        fn range<T>(range: &Range<T>) -> usize {
            usize::from(range.from.is_some() || range.to.is_some())
        }
        let parts = [
            (Self::WorkflowRuns, values(filter.workflow_run_ids.as_ref())),
            (Self::CodeAgents, values(filter.code_agent_ids.as_ref())),
            (Self::Workflows, values(filter.workflow_ids.as_ref())),
            (Self::Projects, values(filter.project_keys.as_ref())),
            (Self::Visual, usize::from(filter.visual_only)),
            (Self::Owners, values(filter.owner_ids.as_ref())),
            (Self::Statuses, values(filter.statuses.as_ref())),
            (Self::Modes, values(filter.modes.as_ref())),
            (Self::CreatedAt, range(&filter.created_at)),
            (Self::CompletedAt, range(&filter.completed_at)),
            (Self::Duration, range(&filter.duration_ms)),
            (Self::Tokens, range(&filter.total_tokens)),
            (Self::Cost, range(&filter.cost_microusd)),
            (Self::Words, usize::from(filter.words.is_some())),
        ];
        parts.into_iter().filter(|(_, values)| *values > 0).collect()
    }

    /// A filter of this alone. With the time of creation, where the index goes on in its order.
    pub(super) fn alone(self, filter: &Filter) -> Filter {
        let mut alone = Filter::default();
        self.copy(filter, &mut alone);
        if self.is_of_values() {
            Self::CreatedAt.copy(filter, &mut alone);
        }
        alone
    }

    fn copy(self, from: &Filter, to: &mut Filter) {
        match self {
            Self::Statuses => to.statuses.clone_from(&from.statuses),
            Self::Modes => to.modes.clone_from(&from.modes),
            Self::CodeAgents => to.code_agent_ids.clone_from(&from.code_agent_ids),
            Self::Workflows => to.workflow_ids.clone_from(&from.workflow_ids),
            Self::WorkflowRuns => to.workflow_run_ids.clone_from(&from.workflow_run_ids),
            Self::Projects => to.project_keys.clone_from(&from.project_keys),
            Self::Owners => to.owner_ids.clone_from(&from.owner_ids),
            Self::Visual => to.visual_only = from.visual_only,
            Self::CreatedAt => to.created_at.clone_from(&from.created_at),
            Self::CompletedAt => to.completed_at.clone_from(&from.completed_at),
            Self::Duration => to.duration_ms.clone_from(&from.duration_ms),
            Self::Tokens => to.total_tokens.clone_from(&from.total_tokens),
            Self::Cost => to.cost_microusd.clone_from(&from.cost_microusd),
            Self::Words => to.words.clone_from(&from.words),
        }
    }

    /// The condition on what an order is of.
    fn of_order(order: Order) -> Self {
        match order {
            Order::Newest | Order::Oldest => Self::CreatedAt,
            Order::Longest => Self::Duration,
            Order::Costliest => Self::Cost,
        }
    }

    /// What its index is sorted by after the tenant, and after the value if it is of one.
    pub(super) fn key(self) -> Expr {
        match self {
            Self::CompletedAt => C::CompletedAt.into_expr(),
            Self::Duration => Expr::cust(DURATION),
            Self::Tokens => Expr::cust(TOKENS),
            Self::Cost => C::CostMicrousd.into_expr(),
            _ => C::CreatedAt.into_expr(),
        }
    }

    /// Whether its index goes on in the order of creation.
    pub(super) fn is_of_values(self) -> bool {
        !matches!(
            self,
            Self::CreatedAt | Self::CompletedAt | Self::Duration | Self::Tokens | Self::Cost | Self::Words
        )
    }

    /// Whether its index has all that sorting in this order needs, though not in this order.
    pub(super) fn is_sorted_in_index(self, order: Order) -> bool {
        matches!(self, Self::Duration | Self::Tokens | Self::Cost) && Self::of_order(order) == Self::CreatedAt
    }

    /// Whether it has an index that goes on in this order.
    pub(super) fn goes_on_in(self, order: Order) -> bool {
        let is_of_few = matches!(self, Self::WorkflowRuns | Self::Visual);
        self.is_of_values() && (Self::of_order(order) == Self::CreatedAt || !is_of_few)
    }
}

impl By {
    /// Whether the index has what a condition is about.
    pub(super) fn has(self, part: Part) -> bool {
        match self {
            Self::Any => true,
            Self::Keys => false,
            Self::Few(by) => part == by || (part == Part::CreatedAt && by.is_of_values()),
            Self::Value(by, order) => {
                part == by || part == Part::of_order(order) || self.split_by() == Some(part)
            }
            Self::Order(order) => part == Part::of_order(order),
        }
    }

    /// Whether the index has what all of these are about.
    pub(super) fn has_all(self, parts: &[(Part, usize)]) -> bool {
        parts.iter().all(|(part, _)| self.has(*part))
    }

    /// The condition each of whose values such an index has by itself, too: the executions of one status may all be shorter than
    /// most of the others'.
    pub(super) fn split_by(self) -> Option<Part> {
        match self {
            Self::Value(_, order) if Part::of_order(order) == Part::CreatedAt => None,
            Self::Value(Part::Statuses, _) => Some(Part::Modes),
            Self::Value(..) => Some(Part::Statuses),
            _ => None,
        }
    }

    /// What of a filter the index has, when it is in the order of the list, or has all that sorting needs.
    pub(super) fn alone(self, filter: &Filter) -> Filter {
        match self {
            Self::Any | Self::Keys => filter.clone(),
            Self::Few(part) => {
                let mut alone = part.alone(filter);
                Part::CreatedAt.copy(filter, &mut alone);
                alone
            }
            Self::Value(part, order) => {
                let mut alone = Part::of_order(order).alone(filter);
                part.copy(filter, &mut alone);
                if let Some(part) = self.split_by() {
                    part.copy(filter, &mut alone);
                }
                alone
            }
            Self::Order(order) => Part::of_order(order).alone(filter),
        }
    }

    fn column(self, part: Part, column: C) -> Expr {
        if self.has(part) { column.into_expr() } else { self.expression(part, &qualified(column)) }
    }

    /// With the sign SQLite looks for no index of it: <https://sqlite.org/optoverview.html#uplus>.
    pub(super) fn expression(self, part: Part, sql: &str) -> Expr {
        Expr::cust(if self.has(part) { sql.to_owned() } else { format!("+{sql}") })
    }
}

fn qualified(column: C) -> String {
    format!("{}.{}", Entity.table_name(), column.unquoted())
}

impl Reader<'_> {
    /// The filter as SQL, for those that something else has found.
    pub(super) fn matching_of_keys(&self, filter: &Filter) -> Condition {
        self.matching_by(filter, By::Keys)
    }

    /// The filter as SQL, for all that match: by the condition whose values differ most, and what has the words found once.
    pub(super) fn matching(&self, filter: &Filter) -> Condition {
        if let Some(words) = &filter.words {
            let rest = Filter { words: None, ..Filter::clone(filter) };
            // Of one owner PostgreSQL expects so few that it finds what has the words anew for each.
            let is_asked_of_each = self.dialect.is_postgres() && self.only_owner().is_some();
            let has_words = if is_asked_of_each {
                self.dialect.has_words_itself(self.tenant_id(), words)
            } else {
                self.dialect.has_words(self.tenant_id(), words)
            };
            return self.matching(&rest).add(has_words);
        }
        let by = match Part::of(filter).first() {
            _ if filter.ids.is_some() => By::Keys,
            _ if self.tenant_id().is_none() => By::Any,
            _ if self.only_owner().is_some() => By::Few(Part::Owners),
            Some((part, _)) => By::Few(*part),
            None => By::Any,
        };
        self.matching_by(filter, by)
    }

    /// The filter as SQL, for rows that are found by one index. Each list becomes one `IN`.
    pub(super) fn matching_by(&self, filter: &Filter, by: By) -> Condition {
        let Filter {
            ids,
            statuses,
            modes,
            code_agent_ids,
            workflow_ids,
            workflow_run_ids,
            project_keys,
            owner_ids,
            visual_only,
            created_at,
            completed_at,
            duration_ms,
            total_tokens,
            cost_microusd,
            words,
        } = filter;
        let has_words = |words: &Vec<String>| match by {
            By::Few(Part::Words) => self.dialect.is_hit(self.tenant_id(), words),
            By::Any => self.dialect.has_words(self.tenant_id(), words),
            _ => self.dialect.has_words_itself(self.tenant_id(), words),
        };
        let words = words.as_ref().map(has_words);
        // PostgreSQL takes whichever it thinks best.
        let by = if self.dialect.is_postgres() { By::Any } else { by };
        // Of several indexes SQLite takes any. Rows are next to each other in that which goes on in the order of creation.
        let is_by_creation = match by {
            By::Few(part) => part.is_of_values(),
            By::Value(part, _) => part == Part::Visual,
            _ => false,
        };
        let column = |part, column| by.column(part, column);
        let created = || column(Part::CreatedAt, C::CreatedAt);
        let completed = || column(Part::CompletedAt, C::CompletedAt);
        let duration = || by.expression(Part::Duration, DURATION);
        let tokens = || by.expression(Part::Tokens, TOKENS);
        let cost = || column(Part::Cost, C::CostMicrousd);
        // Those without a duration are left out.
        let shortest = (duration_ms.from.is_some() || duration_ms.to.is_some())
            .then(|| Ord::max(duration_ms.from.unwrap_or_default(), 0));
        Condition::all()
            .add_option(ids.as_ref().map(|ids| self.id_in(C::Id, ids)))
            .add_option(
                statuses.as_ref().map(|all| column(Part::Statuses, C::Status).is_in(all.iter().copied())),
            )
            .add_option(modes.as_ref().map(|all| column(Part::Modes, C::Mode).is_in(all.iter().copied())))
            .add_option(
                code_agent_ids
                    .as_ref()
                    .map(|all| column(Part::CodeAgents, C::CodeAgentId).is_in(all.iter().copied())),
            )
            .add_option(workflow_ids.as_ref().map(|all| column(Part::Workflows, C::WorkflowId).is_in(all)))
            .add_option(
                workflow_run_ids.as_ref().map(|all| column(Part::WorkflowRuns, C::WorkflowRunId).is_in(all)),
            )
            .add_option(project_keys.as_ref().map(|all| column(Part::Projects, C::ProjectKey).is_in(all)))
            .add_option(owner_ids.as_ref().map(|all| column(Part::Owners, C::OwnerId).is_in(all)))
            .add_option(visual_only.then(|| by.expression(Part::Visual, "visual_enabled")))
            .add_option(is_by_creation.then(|| Expr::cust("execution.created_at > ''")))
            .add_option(created_at.from.map(|from| created().gte(from)))
            .add_option(created_at.to.map(|to| created().lt(to)))
            .add_option(completed_at.from.map(|from| completed().gte(from)))
            .add_option(completed_at.to.map(|to| completed().lt(to)))
            .add_option(shortest.map(|shortest| duration().gte(shortest)))
            .add_option(duration_ms.to.map(|to| duration().lte(to)))
            .add_option(total_tokens.from.map(|from| tokens().gte(from)))
            .add_option(total_tokens.to.map(|to| tokens().lte(to)))
            .add_option(cost_microusd.from.map(|from| cost().gte(from)))
            .add_option(cost_microusd.to.map(|to| cost().lte(to)))
            .add_option(words)
    }
}
