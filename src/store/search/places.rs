//! SQLite's index of words gives its rows in the order of the seconds in which the executions were created, so that reading
//! ends with the second of a page's last row.

use entity::execution;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ConnectionTrait as _, Order, Value};

use super::{Hits, Sought};
use crate::error::Result;
use crate::store::dialect::sqlite_terms;
use crate::store::executions::reading_order;
use crate::store::failure::failed;
use crate::store::scoped::{Reader, ScopedSelect};

/// The second that a place of SQLite's index of words is in: see the schema change that makes it.
const PLACES_OF_A_SECOND: u32 = 30;
/// The last that has places.
const SECOND_MAX: i64 = (i64::MAX >> PLACES_OF_A_SECOND) - 1;

impl Reader<'_> {
    pub(super) async fn hits_in_places(
        &self,
        select: ScopedSelect<'_, '_, execution::Entity>,
        sought: &Sought<'_>,
    ) -> Result<Hits> {
        let &Sought { words, page, order, .. } = sought;
        let place = || Expr::cust("execution_words.rowid");
        let terms = sqlite_terms(self.tenant_id(), words);
        // Equal to both, which is its key: by a list of one, SQLite may prefer to go through all up to a cursor.
        let at_place = "execution.tenant_id = (
                SELECT found.tenant_id FROM execution_search AS found WHERE found.place = execution_words.rowid)
            AND execution.id = (
                SELECT found.execution_id FROM execution_search AS found WHERE found.place = execution_words.rowid)";
        let reading = reading_order(order, page);
        let (first, end) = bounds(sought);
        let query = Query::select()
            .expr_as(place(), "place")
            .from("execution_words")
            .and_where(Expr::cust_with_values("execution_words MATCH ?", [terms.clone()]))
            .and_where(place().gte(first))
            .and_where(place().lt(end))
            .and_where(select.filter(Expr::cust(at_place)).exists())
            .order_by_expr(place(), reading.clone())
            .limit(page.rows + 1)
            .take();
        let found = self.connection().query_all(&query).await.map_err(failed)?;
        let places: Vec<i64> =
            found.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>().map_err(failed)?;
        let last = places.last().filter(|_| places.len() as u64 > page.rows);
        let Some(last) = last else {
            if places.is_empty() {
                return Ok(Hits { among: None, there_are_more: false });
            }
            let among = Expr::cust_with_values(
                format!(
                    "(execution.tenant_id, execution.id) IN (
                         SELECT execution_search.tenant_id, execution_search.execution_id
                         FROM execution_search WHERE execution_search.place IN ({}))",
                    vec!["?"; places.len()].join(", ")
                ),
                places,
            );
            return Ok(Hits { among: Some(among), there_are_more: false });
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
