//! Lists of several values. An index has the rows of each value in the order of the list, as it has those of each status of a
//! value, or of each mode of a status, and these strands are merged: of each part of a sorted union both databases read one row more than they show
//! (<https://sqlite.org/src/file?name=src/select.c>, multiSelectOrderBy;
//! <https://www.postgresql.org/docs/current/runtime-config-query.html>, enable_sort and Merge Append). If there is another condition,
//! that row may be far: then they are merged a stretch at a time.

use entity::execution;
use sea_orm::sea_query::SelectStatement;
use sea_orm::{ColumnTrait as _, Iterable as _};

use super::filter::{By, Part};
use super::order::{bounds_by, reading_order, sort_key_by};
use crate::domain::execution::{Filter, Mode, Order as ListOrder, Status};
use crate::domain::page::{Cursor, Page};
use crate::store::scoped::{Reader, ScopedSelect, merged};

/// So many are merged. To plan each costs PostgreSQL a tenth of a millisecond or two, and each has all values of the other
/// conditions: of twice as many, the largest filter would have more than the 32,766 that SQLite takes.
const STRANDS_MAX: usize = 20;

/// What the key of a list's order is called.
pub(super) const KEY: &str = "key";

impl By {
    /// Whether this index has what is asked for in few strands; `parts` are those of the filter.
    pub(super) fn has_few_strands(self, parts: &[(Part, usize)]) -> bool {
        let values = |part| parts.iter().find(|(of, _)| *of == part).map(|(_, values)| *values);
        let Self::Value(part, _) = self else { return true };
        let split = match self.split_by() {
            Some(Part::Modes) => values(Part::Modes).unwrap_or(Mode::iter().len()),
            Some(_) => values(Part::Statuses).unwrap_or(Status::iter().len()),
            None => 1,
        };
        let values = values(part).unwrap_or(1);
        values * split <= STRANDS_MAX
    }
}

impl Part {
    /// The filter for each of its values of this part.
    fn each_value(self, filter: &Filter) -> Vec<Filter> {
        match self {
            Self::Statuses => each(filter, |filter| &mut filter.statuses),
            Self::Modes => each(filter, |filter| &mut filter.modes),
            Self::CodeAgents => each(filter, |filter| &mut filter.code_agent_ids),
            Self::Workflows => each(filter, |filter| &mut filter.workflow_ids),
            Self::WorkflowRuns => each(filter, |filter| &mut filter.workflow_run_ids),
            Self::Projects => each(filter, |filter| &mut filter.project_keys),
            Self::Owners => each(filter, |filter| &mut filter.owner_ids),
            Self::Visual
            | Self::CreatedAt
            | Self::CompletedAt
            | Self::Duration
            | Self::Tokens
            | Self::Cost
            | Self::Words => vec![filter.clone()],
        }
    }
}

fn each<T: PartialEq>(filter: &Filter, values: fn(&mut Filter) -> &mut Option<Vec<T>>) -> Vec<Filter> {
    let mut rest = filter.clone();
    let all = values(&mut rest).take().unwrap_or_default();
    if all.is_empty() {
        return vec![filter.clone()];
    }
    let mut different = Vec::with_capacity(all.len());
    for value in all {
        if !different.contains(&value) {
            different.push(value);
        }
    }
    let with = |value| {
        let mut filter = rest.clone();
        *values(&mut filter) = Some(vec![value]);
        filter
    };
    different.into_iter().map(with).collect()
}

impl Reader<'_> {
    /// The history that matches, by the strands of an index.
    pub(super) fn history_by(&self, filter: &Filter, by: By) -> Vec<ScopedSelect<'_, '_, execution::Entity>> {
        let strand = |filter: &Filter| {
            let strand = self.history().filter(self.matching_by(filter, by));
            if by == By::Few(Part::Words) { strand.by_its_keys() } else { strand }
        };
        self.strands(filter, by).iter().map(strand).collect()
    }

    /// A filter for each strand of an index; together they are all that the filter is.
    pub(super) fn strands(&self, filter: &Filter, by: By) -> Vec<Filter> {
        let By::Value(part, _) = by else { return vec![filter.clone()] };
        let is_own = part == Part::Owners && self.only_owner().is_some();
        let of_values = if is_own { vec![filter.clone()] } else { part.each_value(filter) };
        let split = |mut filter: Filter| match by.split_by() {
            Some(Part::Modes) => {
                filter.modes.get_or_insert_with(|| Mode::iter().collect());
                Part::Modes.each_value(&filter)
            }
            Some(_) => {
                filter.statuses.get_or_insert_with(|| Status::iter().collect());
                Part::Statuses.each_value(&filter)
            }
            None => vec![filter],
        };
        of_values.into_iter().flat_map(split).collect()
    }

    /// The keys of some strands' rows, in the order in which a page is read: see [`merged`].
    pub(super) fn keys_of(
        &self,
        strands: Vec<ScopedSelect<'_, '_, execution::Entity>>,
        by: By,
        order: ListOrder,
        page: &Page<Cursor>,
    ) -> Option<SelectStatement> {
        use execution::Column as C;
        let direction = reading_order(order, page);
        let (key, id) = (sort_key_by(self.dialect, by, order), C::Id.into_expr());
        let part = |strand: ScopedSelect<'_, '_, execution::Entity>| {
            let bounded = strand.filter(bounds_by(self.dialect, by, order, page));
            // PostgreSQL does not ask an index for its order unless it has to.
            let sorted =
                bounded.order_by(key.clone(), direction.clone()).order_by(id.clone(), direction.clone());
            sorted.part(vec![(KEY, key.clone()), ("tenant_id", C::TenantId.into_expr()), ("id", id.clone())])
        };
        merged(strands.into_iter().map(part), [(KEY, direction.clone()), ("id", direction.clone())])
    }
}
