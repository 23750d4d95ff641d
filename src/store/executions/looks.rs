//! Pages of a list with conditions.
//!
//! Where no index has both the conditions and the order, a page is found either in the order of the list, which is long when few
//! rows match, or by a condition, which is long when many meet it. SQLite does not know how many do; PostgreSQL has an
//! estimate, but not of where they are. So it is looked at what is near in the order, and then, if that is not enough,
//! counted how many meet each condition, both only so far.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::Datelike as _;
use entity::execution;
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{Condition, ConnectionTrait as _, Order};

use super::ExecutionRow;
use super::filter::{By, Part};
use super::order::{Place, beside, bounds_by, is_of_creation, reading_order};
use super::strands::KEY;
use crate::clock::Timestamp;
use crate::domain::execution::{Filter, Order as ListOrder, Range};
use crate::domain::page::{Cursor, Page, Rows};
use crate::error::Result;
use crate::store::dialect::Exceeding;
use crate::store::failure::failed;
use crate::store::rows::Columns;
use crate::store::scoped::{Reader, subselect};

/// Rows next in the order of the list that are looked through first, if a page is not larger.
const NEAR_ROWS: u64 = 2_000;
/// The same for those of which each is asked whether it has the words: that takes ten times as long.
const NEAR_ROWS_OF_WORDS: u64 = 300;
/// How many times as many are looked through next, when a page's part of [`SOON_FULL`] was among those.
const NEXT_ROWS: u64 = 10;
const SOON_FULL: u64 = 5;
/// After this most have completed; those that took longer have an index.
const SOON_SECONDS: i64 = 3_600;
/// So many rows are sooner sorted than looked for in the order of the list.
const FEW_ROWS: u64 = 7_000;
/// The same for those that were created one after the other, which are next to each other.
const FEW_NEIGHBOURS: u64 = 30_000;
/// The same for those that have words.
const FEW_HITS: u64 = 20_000;
/// The same in the order of creation for those that have an index with it: of most, that is all that is read.
const FEW_IN_INDEX: u64 = 20_000;

/// How far a page is looked for in the order of the list.
#[derive(Debug, Clone, Copy)]
struct Looks {
    first_rows: u64,
    looks_max: usize,
    only_while_soon_full: bool,
}

const NEARBY: Looks = Looks { first_rows: NEAR_ROWS, looks_max: 2, only_while_soon_full: true };
const NEARBY_OF_WORDS: Looks = Looks { first_rows: NEAR_ROWS_OF_WORDS, ..NEARBY };
const TO_THE_END: Looks = Looks { looks_max: usize::MAX, only_while_soon_full: false, ..NEARBY };

impl Reader<'_> {
    /// A page of those that match.
    pub(super) async fn page_of_matching(
        &self,
        filter: &Filter,
        order: ListOrder,
        page: &Page<Cursor>,
        columns: Columns,
    ) -> Result<Rows<Arc<ExecutionRow>>> {
        let parts = Part::of(filter);
        let nearest = self.by_nearest(filter, order);
        let is_counted =
            self.tenant_id().is_some() && (self.only_owner().is_none() || filter.words.is_some());
        if !is_counted || filter.ids.is_some() || nearest.has_all(&parts) {
            return self.page_by(nearest, filter, order, page, columns).await;
        }
        let looks = if filter.words.is_some() { NEARBY_OF_WORDS } else { NEARBY };
        if let Some(rows) = self.page_nearby(filter, (nearest, looks), order, page, columns).await? {
            return Ok(rows);
        }
        let by = self.by_fewest(nearest, filter, order, page).await?;
        if matches!(by, By::Few(part) if part.is_sorted_in_index(order)) {
            let looks = Looks { first_rows: 0, ..looks };
            if let Some(rows) = self.page_nearby(filter, (by, looks), order, page, columns).await? {
                return Ok(rows);
            }
        }
        self.page_by(by, filter, order, page, columns).await
    }

    /// A page of those that match, by an index, however far it is.
    async fn page_by(
        &self,
        by: By,
        filter: &Filter,
        order: ListOrder,
        page: &Page<Cursor>,
        columns: Columns,
    ) -> Result<Rows<Arc<ExecutionRow>>> {
        let strands = self.history_by(filter, by);
        // A strand of which nothing is shown would be read to its end before any of the others is.
        if strands.len() > 1
            && !by.has_all(&Part::of(filter))
            && let Some(rows) = self.page_nearby(filter, (by, TO_THE_END), order, page, columns).await?
        {
            return Ok(rows);
        }
        self.page(strands, by, order, page, columns).await
    }

    /// A page from among so many rows, or some more, that are next of those of an index; `None` when it would take far more.
    async fn page_nearby(
        &self,
        filter: &Filter,
        (by, looks): (By, Looks),
        order: ListOrder,
        page: &Page<Cursor>,
        columns: Columns,
    ) -> Result<Option<Rows<Arc<ExecutionRow>>>> {
        let reading = reading_order(order, page);
        let beside = |far: &Place, is_nearer| beside(self.dialect, by, (order, &reading), (*far, is_nearer));
        let mut found: Vec<Arc<ExecutionRow>> = Vec::new();
        let mut looked_to: Option<Place> = None;
        let mut near_rows = Ord::max(looks.first_rows, 4 * page.rows);
        for _ in 0..looks.looks_max {
            let far = self.place_after(near_rows, by, filter, order, page).await?;
            let bounds = looked_to.iter().map(|far| beside(far, false));
            let bounds = bounds.chain(far.iter().map(|far| beside(far, true)));
            let bounds = bounds.fold(Condition::all(), Condition::add);
            let strands = self.history_by(filter, by).into_iter().map(|strand| strand.filter(bounds.clone()));
            let missing = page.rows + 1 - found.len() as u64;
            let more = self.read(strands.collect(), (by, missing), order, page, columns).await?;
            if more.iter().any(|row| found.iter().any(|found| found.id == row.id)) {
                // It has changed meanwhile, and its place with it.
                return Ok(None);
            }
            found.extend(more);
            let is_full = found.len() as u64 > page.rows;
            if is_full || far.is_none() {
                return Ok(Some(Rows::from_read(found, page)));
            }
            if looks.only_while_soon_full
                && (found.is_empty() || (found.len() as u64) < page.rows / SOON_FULL)
            {
                break;
            }
            looked_to = far;
            near_rows *= NEXT_ROWS;
        }
        Ok(None)
    }

    /// The index in the order of the list that has a condition, too, if there is one.
    pub(super) fn by_nearest(&self, filter: &Filter, order: ListOrder) -> By {
        if filter.ids.is_some() {
            return By::Keys;
        }
        if self.tenant_id().is_none() {
            return By::Any;
        }
        let parts = Part::of(filter);
        if self.only_owner().is_some() {
            return By::Value(Part::Owners, order);
        }
        let has_all = sorted_of(&parts, order).find(|by| by.has_all(&parts));
        has_all.or_else(|| sorted_of(&parts, order).next()).unwrap_or(By::Order(order))
    }

    /// The place in the order of the list that comes after so many rows of an index; `None` when there are no more.
    async fn place_after(
        &self,
        rows: u64,
        by: By,
        filter: &Filter,
        order: ListOrder,
        page: &Page<Cursor>,
    ) -> Result<Option<Place>> {
        let Some(far) = self.far(rows, by, filter, order, page) else { return Ok(None) };
        let Some(row) = self.connection().query_one(&far).await.map_err(failed)? else { return Ok(None) };
        let key = if is_of_creation(order) {
            row.try_get::<Timestamp>("", KEY).map(|time| time.timestamp_micros())
        } else {
            row.try_get("", KEY)
        };
        Ok(Some(Place { key: key.map_err(failed)?, id: row.try_get("", "id").map_err(failed)? }))
    }

    /// The row that comes after so many of an index, as [`Self::keys_of`] has it.
    fn far(
        &self,
        rows: u64,
        by: By,
        filter: &Filter,
        order: ListOrder,
        page: &Page<Cursor>,
    ) -> Option<SelectStatement> {
        let strand = |alone: &Filter| self.select::<execution::Entity>().filter(self.matching_by(alone, by));
        let strands = self.strands(&by.alone(filter), by).iter().map(strand).collect();
        let mut keys = self.keys_of(strands, by, order, page)?;
        Some(keys.offset(rows).limit(1).take())
    }

    /// The index of the condition that few meet. If many meet each, that in which a page's rows are nearest together.
    async fn by_fewest(
        &self,
        nearest: By,
        filter: &Filter,
        order: ListOrder,
        page: &Page<Cursor>,
    ) -> Result<By> {
        let count = |(part, values): &(Part, usize)| {
            if let (Part::Words, Some(words)) = (part, &filter.words) {
                return self.dialect.count_of_hits(self.tenant_id(), words, few(*part, order));
            }
            let by = By::Few(*part);
            let meet = self.select::<execution::Entity>().filter(self.matching_by(&part.alone(filter), by));
            let has_bounds = part.is_of_values() && is_of_creation(order);
            let meet = if has_bounds { meet.filter(bounds_by(self.dialect, by, order, page)) } else { meet };
            // In the order of its index, so that PostgreSQL does not go through the table instead.
            let ordered = (*values == 1).then(|| part.key());
            let meet = ordered.into_iter().fold(meet, |meet, key| meet.order_by(key, Order::Asc));
            meet.counted_to(few(*part, order))
        };
        // The order's own is counted by going through it, and so are one owner's others.
        let is_counted = |(part, _): &(Part, usize)| {
            !By::Order(order).has(*part) && (self.only_owner().is_none() || *part == Part::Words)
        };
        let counted: Vec<_> = Part::of(filter).into_iter().filter(is_counted).collect();
        let counts: Vec<i64> = self.values(counted.iter().map(count)).await?;
        let few =
            counted.iter().zip(counts).filter(|((part, _), count)| count.cast_unsigned() < few(*part, order));
        if let Some(((part, _), _)) = few.min_by_key(|(_, count)| *count) {
            return Ok(By::Few(*part));
        }
        let sorted: Vec<_> = sorted_of(&counted, order).collect();
        // The index in which so many rows reach the furthest has the fewest of other kinds among them.
        let far = sorted.iter().filter_map(|by| self.far(NEAR_ROWS, *by, filter, order, page));
        let reaches = far.map(|far| subselect(Query::select().column(KEY).from_subquery(far, "far").take()));
        let reading = reading_order(order, page);
        let furthest = if is_of_creation(order) {
            furthest(&self.values::<Option<Timestamp>>(reaches).await?, &reading)
        } else {
            furthest(&self.values::<Option<i64>>(reaches).await?, &reading)
        };
        Ok(furthest.map_or(nearest, |place| sorted[place]))
    }

    /// Some values, read by one statement.
    async fn values<T: sea_orm::TryGetable>(&self, values: impl Iterator<Item = Expr>) -> Result<Vec<T>> {
        let mut select = Query::select();
        let mut places = 0;
        for value in values {
            select.expr(value);
            places += 1;
        }
        if places == 0 {
            return Ok(Vec::new());
        }
        let Some(row) = self.connection().query_one(&select).await.map_err(failed)? else {
            return Ok(Vec::new());
        };
        (0..places).map(|place| row.try_get_by_index(place)).collect::<Result<_, _>>().map_err(failed)
    }

    /// The filter, with bounds of the time of creation if it has bounds of that of completion: an execution is created before
    /// it completes, and completes soon, but for what Runledger was told of late, and for what took long, and how much is
    /// known.
    pub(super) async fn with_creation_bounded<'f>(&self, filter: &'f Filter) -> Result<Cow<'f, Filter>> {
        let Range { from, to } = &filter.completed_at;
        // What is late or long is known of each tenant.
        if (from.is_none() && to.is_none()) || self.tenant_id().is_none() {
            return Ok(Cow::Borrowed(filter));
        }
        let longest = |times, seconds| {
            let Exceeding { time, is_long, seconds } = self.dialect.exceeding(times, seconds);
            let long = self.select::<execution::Entity>().filter(Expr::cust(is_long));
            long.order_by(Expr::cust(time), Order::Desc).limit(1).value(Expr::cust(seconds))
        };
        let late = longest(("completed_at", "created_at"), 0);
        let long = longest(("created_at", "completed_at"), SOON_SECONDS);
        let exceptions: Vec<Option<i64>> = self.values([late, long].into_iter()).await?;
        let seconds = |place: usize, at_least: i64| {
            let longest = exceptions.get(place).copied().flatten().unwrap_or(at_least);
            // They were rounded.
            chrono::TimeDelta::try_seconds(longest.saturating_add(1)).unwrap_or(chrono::TimeDelta::MAX)
        };
        // Of other years one database has no times, and the other no order of theirs.
        let is_told = |time: &Timestamp| (0..=9_999).contains(&time.year());
        let created_from = from.and_then(|from| from.checked_sub_signed(seconds(1, SOON_SECONDS)));
        let created_from = created_from.filter(is_told);
        let created_to = to.and_then(|to| to.checked_add_signed(seconds(0, 0))).filter(is_told);
        let mut bounded = filter.clone();
        let Range { from, to } = filter.created_at;
        bounded.created_at.from = from.into_iter().chain(created_from).reduce(Ord::max);
        bounded.created_at.to = to.into_iter().chain(created_to).reduce(Ord::min);
        Ok(Cow::Owned(bounded))
    }
}

/// The indexes of these conditions that have few strands in the order of the list.
fn sorted_of(parts: &[(Part, usize)], order: ListOrder) -> impl Iterator<Item = By> + Clone {
    let parts_in_order = parts.iter().filter(move |(part, _)| part.goes_on_in(order));
    parts_in_order.map(move |(part, _)| By::Value(*part, order)).filter(|by| by.has_few_strands(parts))
}

/// The place of the first one that comes furthest; nothing comes further than one that has come to the end.
fn furthest<T: Copy + Ord>(reaches: &[Option<T>], reading: &Order) -> Option<usize> {
    let places = reaches.iter().enumerate();
    let furthest = match reading {
        Order::Asc => places.rev().max_by_key(|(_, reach)| (reach.is_none(), **reach)),
        _ => places.min_by_key(|(_, reach)| **reach),
    };
    furthest.map(|(place, _)| place)
}

fn few(part: Part, order: ListOrder) -> u64 {
    match part {
        Part::CreatedAt => FEW_NEIGHBOURS,
        Part::Words => FEW_HITS,
        _ if part.is_sorted_in_index(order) => FEW_IN_INDEX,
        _ => FEW_ROWS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_those_that_come_equally_far_is_taken_in_both_directions() {
        assert_eq!(furthest(&[Some(5), Some(3), Some(3)], &Order::Desc), Some(1));
        assert_eq!(furthest(&[Some(3), Some(5), Some(5)], &Order::Asc), Some(1));
        assert_eq!(furthest::<i64>(&[], &Order::Asc), None);
    }

    #[test]
    fn nothing_comes_further_than_the_end() {
        for reading in [Order::Asc, Order::Desc] {
            assert_eq!(furthest(&[Some(i64::MIN), None, Some(i64::MAX)], &reading), Some(1));
        }
    }
}
