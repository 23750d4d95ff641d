//! SQLite's index of words gives its rows in the order of the seconds in which the executions were created, so that reading
//! ends with the second of a page's last row.
//!
//! Forwards it comes to any second at once; backwards it goes through all that is later, and of each part of its own index
//! through all that is earlier, again and again: <https://sqlite.org/src/file?name=ext/fts5/fts5_index.c>, fts5DlidxLvlPrev. So a
//! page of what is latest is looked for in one span of time after another, each of them read forwards.

use entity::execution;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ConnectionTrait as _, Order, Value};

use super::past::{Past, Seconds};
use super::{Hits, Sought};
use crate::error::{Error, Result};
use crate::store::dialect::sqlite_terms;
use crate::store::executions::reading_order;
use crate::store::failure::failed;
use crate::store::scoped::{Reader, ScopedSelect};

/// The second that a place of SQLite's index of words is in: see the schema change that makes it.
const PLACES_OF_A_SECOND: u32 = 30;
/// The last that has places.
const SECOND_MAX: i64 = (i64::MAX >> PLACES_OF_A_SECOND) - 1;

/// Hits of a span that are read, if a page does not show more: of too many no more than this are counted. To find that something
/// has a rare word and is of the tenant takes ten microseconds.
const HITS_MAX: u64 = 100;
/// The same of a single second, which is not looked at in parts: within it, places are not in the order of time.
const HITS_OF_A_SECOND_MAX: u64 = 10_000;
/// Seconds of which one search looks at more than [`HITS_MAX`].
const CROWDED_SECONDS_MAX: usize = 3;
/// Spans that one search looks at. Who filters common words by what few have asks for more: those are found among all that have
/// the words.
const LOOKS_MAX: usize = 60;

impl Reader<'_> {
    pub(super) async fn hits_in_places<'r>(
        &'r self,
        select: impl Fn() -> ScopedSelect<'r, 'r, execution::Entity>,
        sought: &Sought<'_>,
    ) -> Result<Hits> {
        if reading_order(sought.order, sought.page) == Order::Desc
            && let Some(hits) = self.hits_of_the_past(&select, sought).await?
        {
            return Ok(hits);
        }
        self.hits_in_order(select(), sought).await
    }

    /// `None` when there is too much to look at.
    async fn hits_of_the_past<'r>(
        &'r self,
        select: impl Fn() -> ScopedSelect<'r, 'r, execution::Entity>,
        sought: &Sought<'_>,
    ) -> Result<Option<Hits>> {
        let Some((first, last)) = self.seconds(sought).await? else {
            return Ok(Some(Hits { among: None, there_are_more: false }));
        };
        let mut past = Past::of(Seconds { first, end: last + 1 });
        let mut found = Vec::new();
        let mut crowded_seconds = 0;
        for _ in 0..LOOKS_MAX {
            let Some(span) = past.next() else {
                return Ok(Some(Hits { among: among(&found), there_are_more: false }));
            };
            let hits_max = Ord::max(HITS_MAX, 2 * sought.page.rows);
            let mut places = self.look_forwards(select(), sought, (span, hits_max)).await?;
            if places.is_none() && span.count() == 1 && crowded_seconds < CROWDED_SECONDS_MAX {
                crowded_seconds += 1;
                places = self.look_forwards(select(), sought, (span, HITS_OF_A_SECOND_MAX)).await?;
            }
            match places {
                Some(places) if places.is_empty() => {}
                Some(places) => {
                    past.had_some();
                    found.extend(places);
                }
                None if span.count() > 1 => past.had_too_many(span),
                None => return Ok(None),
            }
            if found.len() as u64 > sought.page.rows {
                return Ok(Some(Hits { among: among(&found), there_are_more: true }));
            }
        }
        Ok(None)
    }

    /// The places of this span that have the words, and are selected; `None` when more than so many have the words.
    async fn look_forwards(
        &self,
        select: ScopedSelect<'_, '_, execution::Entity>,
        sought: &Sought<'_>,
        (span, hits_max): (Seconds, u64),
    ) -> Result<Option<Vec<i64>>> {
        let place = || Expr::cust("execution_words.rowid");
        let hits = Query::select()
            .expr_as(place(), "place")
            .from("execution_words")
            .and_where(Expr::cust_with_values(
                "execution_words MATCH ?",
                [sqlite_terms(self.tenant_id(), sought.words)],
            ))
            .and_where(place().gte(first_place(span.first)))
            .and_where(place().lt(first_place(span.end)))
            .order_by_expr(place(), Order::Asc)
            .limit(hits_max + 1)
            .take();
        let counted = Query::select()
            .column("place")
            .expr_as(Expr::cust("count(*) OVER ()"), "hits")
            .from_subquery(hits, "hit")
            .take();
        let is_selected = select.filter(Expr::cust(is_at("counted.place"))).exists();
        let selected = format!("json_group_array(place) FILTER (WHERE hits <= {hits_max} AND ?)");
        let look = Query::select()
            .expr(Expr::cust("coalesce(max(hits), 0)"))
            .expr(Expr::cust_with_exprs(selected, [is_selected]))
            .from_subquery(counted, "counted")
            .take();
        let row = self.connection().query_one(&look).await.map_err(failed)?;
        let look = row.map(|row| row.try_get_many_by_index()).transpose().map_err(failed)?;
        let (hits, places): (i64, String) = look.unwrap_or_default();
        if hits.cast_unsigned() > hits_max {
            return Ok(None);
        }
        serde_json::from_str(&places).map(Some).map_err(Error::internal)
    }

    async fn hits_in_order(
        &self,
        select: ScopedSelect<'_, '_, execution::Entity>,
        sought: &Sought<'_>,
    ) -> Result<Hits> {
        let &Sought { words, page, order, .. } = sought;
        let place = || Expr::cust("execution_words.rowid");
        let terms = sqlite_terms(self.tenant_id(), words);
        let reading = reading_order(order, page);
        let (first, end) = bounds(sought);
        let query = Query::select()
            .expr_as(place(), "place")
            .from("execution_words")
            .and_where(Expr::cust_with_values("execution_words MATCH ?", [terms.clone()]))
            .and_where(place().gte(first))
            .and_where(place().lt(end))
            .and_where(select.filter(Expr::cust(is_at("execution_words.rowid"))).exists())
            .order_by_expr(place(), reading.clone())
            .limit(page.rows + 1)
            .take();
        let found = self.connection().query_all(&query).await.map_err(failed)?;
        let places: Vec<i64> =
            found.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>().map_err(failed)?;
        let last = places.last().filter(|_| places.len() as u64 > page.rows);
        let Some(last) = last else {
            return Ok(Hits { among: among(&places), there_are_more: false });
        };
        let second = last >> PLACES_OF_A_SECOND;
        let (first, end) = match reading {
            Order::Asc => (first, Ord::min(end, end_of_places(second))),
            _ => (Ord::max(first, first_place(second)), end),
        };
        let between = "(execution.tenant_id, execution.id) IN (
            SELECT execution_search.tenant_id, execution_search.execution_id
            FROM execution_words JOIN execution_search ON execution_search.place = execution_words.rowid
            WHERE execution_words MATCH ? AND execution_words.rowid >= ? AND execution_words.rowid < ?)";
        let values: [Value; 3] = [terms.into(), first.into(), end.into()];
        Ok(Hits { among: Some(Expr::cust_with_values(between, values)), there_are_more: true })
    }
}

/// Whether an execution is the one at a place. Equal to both columns, which is its key: by a list of one, SQLite may prefer to go
/// through all up to a cursor.
fn is_at(place: &str) -> String {
    let column =
        |name| format!("(SELECT found.{name} FROM execution_search AS found WHERE found.place = {place})");
    format!("execution.tenant_id = {} AND execution.id = {}", column("tenant_id"), column("execution_id"))
}

/// Whether an execution is at one of these places; `None` when there is none.
fn among(places: &[i64]) -> Option<Expr> {
    let list = places.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let among = "(execution.tenant_id, execution.id) IN (
        SELECT execution_search.tenant_id, execution_search.execution_id
        FROM execution_search WHERE execution_search.place IN (SELECT value FROM json_each(?)))";
    (!places.is_empty()).then(|| Expr::cust_with_values(among, [format!("[{list}]")]))
}

/// Where the places begin and end that a page may show: those between its cursors, and of its time.
fn bounds(sought: &Sought<'_>) -> (i64, i64) {
    let (first, last) = sought.seconds();
    (first_place(first), end_of_places(last))
}

fn first_place(second: i64) -> i64 {
    // What was before 1970 has the places of its first second.
    Ord::clamp(second, 0, SECOND_MAX) << PLACES_OF_A_SECOND
}

fn end_of_places(second: i64) -> i64 {
    (Ord::clamp(second, 0, SECOND_MAX) + 1) << PLACES_OF_A_SECOND
}
