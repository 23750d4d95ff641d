//! PostgreSQL's index of words gives its rows in no order, but it gives few of them fast: it skips in the list of a common
//! word to what a rare one has. So the windows of time in which an execution was created are words, too, and a page is looked
//! for in one span of time after another. They get longer the further they are away, and one that has many hits is looked at
//! in parts: the index lists all hits of a span before it gives the first.

use entity::execution;
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, JoinType, Order};
use uuid::Uuid;

use super::spans::{SAMPLES, Span, Towards, from_nearest, windows_of};
use super::{Hits, Sought};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::store::dialect::{POSTGRES_TERMS, postgres_hits};
use crate::store::executions::{bounds_of, reading_order};
use crate::store::failure::failed;
use crate::store::scoped::{Reader, ScopedSelect, subselect};

/// Hits that are read at once: more than a page of a list shows.
const HITS_MAX: usize = 500;
/// Spans of more of the narrowest windows than this (three days) are sampled first: to look at all hits of such a time would
/// take long.
const UNSAMPLED_WINDOWS_MAX: i64 = 512;
/// More hits than this, as a sample has it, are not looked at together: each of those that have several words costs ten
/// microseconds.
const SPAN_HITS_MAX: i64 = 1_024;
/// Hits of a sample that are read. When it has more, it may have nearer ones than these.
const SAMPLE_HITS_MAX: i64 = 4_096;
/// Hits of a sample's narrow windows that tell nothing: each of them was taken where something happened.
const SPARSE_HITS_MAX: i64 = 2 * SAMPLES;
/// So many hits of a sample tell that there is work all the time, so that the nearest part has too many, too.
const DENSE_HITS: i64 = 128;
/// When so many have been found, they tell how many there will be, and no sample is taken
const TELLING_HITS: usize = 8;
/// where these are not more than so many.
const TOLD_HITS_MAX: i64 = 256;
/// The nearest of so many parts is looked at first when a span has more than [`HITS_MAX`].
const CROWDED_PARTS: i64 = 8;
/// Spans that one search looks at. Who filters common words by what few have asks for more: those hits are found
/// among all that have the words.
const LOOKS_MAX: usize = 80;

/// A span that is still to be looked at.
#[derive(Debug, Clone, Copy)]
struct Pending {
    span: Span,
    expected: Expected,
}

/// How many hits a span has, as a sample has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Unknown,
    Few,
    Many,
}

/// What some windows of a span have.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// The nearest of its parts in which there are hits.
    nearest_part: i64,
    /// That is known: not only some of the hits were read.
    is_whole: bool,
    /// There are so many hits that the nearest part will have too many, too.
    is_dense: bool,
}

/// Hits of a sample's narrow windows, when the nearest of them was created, and the same of its wide ones.
type SampleRow = (i64, Option<Timestamp>, i64, Option<Timestamp>);

impl Reader<'_> {
    pub(super) async fn hits_in_windows<'r>(
        &'r self,
        select: impl Fn() -> ScopedSelect<'r, 'r, execution::Entity>,
        sought: &Sought<'_>,
    ) -> Result<Option<Hits>> {
        let Some((first, last)) = self.seconds(sought).await? else {
            return Ok(Some(Hits { among: None, there_are_more: false }));
        };
        let (towards, nearest, furthest) = match reading_order(sought.order, sought.page) {
            Order::Asc => (Towards::Future, first, last),
            _ => (Towards::Past, last, first),
        };
        // The nearest come last.
        let spans = from_nearest(nearest, furthest, towards);
        let mut pending: Vec<_> = spans.into_iter().map(Pending::of).rev().collect();
        // The rest of a span that has many hits, when what is nearer has none: it has them all, and to look at it would cost
        // as much as it has.
        let mut has_the_hits = None;
        // Of the spans with hits: how many these are, and how many windows those.
        let (mut hits_seen, mut windows_seen) = (0, 0);
        let mut found = Vec::new();
        for _ in 0..LOOKS_MAX {
            let Some(Pending { mut span, expected }) = pending.pop() else {
                return Ok(Some(Hits { among: Some(self.are_among(&found)), there_are_more: false }));
            };
            if has_the_hits == Some(span) && span.windows() > 1 {
                let [nearer, further] = span.cut(span.windows() / 2, towards);
                has_the_hits = Some(further);
                pending.push(Pending::of(further));
                span = nearer;
            }
            let is_told = hits_seen >= TELLING_HITS
                && hits_seen as i64 * span.windows() <= TOLD_HITS_MAX * windows_seen;
            let is_sampled = match expected {
                Expected::Unknown => span.windows() > UNSAMPLED_WINDOWS_MAX && !is_told,
                Expected::Few => false,
                Expected::Many => span.windows() >= SAMPLES,
            };
            if is_sampled && let Some(sample) = self.sample(sought, span, towards).await? {
                let [nearer, rest] = span.split(sample.nearest_part, towards);
                let [crowded, further] = rest.cut(span.windows() / SAMPLES, towards);
                let in_crowded = if sample.is_dense { Expected::Many } else { Expected::Unknown };
                let in_nearer = if sample.is_whole { Expected::Few } else { Expected::Unknown };
                let parts = [
                    Pending::of(further),
                    Pending { span: crowded, expected: in_crowded },
                    Pending { span: nearer, expected: in_nearer },
                ];
                pending.extend(parts.into_iter().filter(|part| part.span.windows() > 0));
                continue;
            }
            let hits = self.look(sought, span, towards).await?;
            let has_more = hits.len() > HITS_MAX;
            if has_more && span.windows() > 1 {
                let [nearer, further] = span.cut((span.windows() / CROWDED_PARTS).max(1), towards);
                has_the_hits = Some(further);
                (hits_seen, windows_seen) = (0, 0); // they did not tell
                pending.extend([further, nearer].map(Pending::of));
                continue;
            }
            if !hits.is_empty() {
                has_the_hits = None;
                hits_seen += hits.len();
                windows_seen += span.windows();
                let [key, id] =
                    [execution::Column::CreatedAt, execution::Column::Id].map(|column| column.into_expr());
                let nearest = select()
                    .filter(self.are_among(&hits))
                    .order_by(key, towards.order())
                    .order_by(id.clone(), towards.order())
                    .limit(sought.page.rows + 1);
                found.extend(nearest.tuples([id]).await?.into_iter().map(|(id,): (Uuid,)| id));
            }
            if found.len() as u64 > sought.page.rows {
                return Ok(Some(Hits { among: Some(self.are_among(&found)), there_are_more: true }));
            }
            if has_more {
                return Ok(None); // so many at one moment, and what else is asked for few of them have
            }
        }
        Ok(None)
    }

    /// A sample of a span, when it has it that there are too many hits to look at. It takes the window of the first execution of
    /// each part, as work comes in bursts. When these have hardly more than that one, it takes what wider windows have besides:
    /// what is rare may still be too much in a long time.
    async fn sample(&self, sought: &Sought<'_>, span: Span, towards: Towards) -> Result<Option<Sample>> {
        let sampled = |width| {
            let windows = self.sampled_windows(span, towards, width);
            self.hits("created_at", sought, subselect(windows)).limit(SAMPLE_HITS_MAX.cast_unsigned()).take()
        };
        let latest_or_earliest = match towards {
            Towards::Past => "max(created_at)",
            Towards::Future => "min(created_at)",
        };
        let summed = |hits| {
            Query::select()
                .expr_as(Expr::cust("count(*)"), "hits")
                .expr_as(Expr::cust(latest_or_earliest), "nearest")
                .from_subquery(hits, "hit")
                .take()
        };
        let narrow = summed(sampled(0));
        let wide =
            summed(sampled(1).and_where(Expr::cust(format!("narrow.hits <= {SPARSE_HITS_MAX}"))).take());
        let both = Query::select()
            .expr(Expr::cust("narrow.hits, narrow.nearest, wide.hits, wide.nearest"))
            .from_subquery(narrow, "narrow")
            .join_lateral(JoinType::InnerJoin, wide, "wide", Expr::cust("TRUE"))
            .take();
        let row = self.connection().query_one(&both).await.map_err(failed)?;
        let both = row.map(|row| row.try_get_many_by_index()).transpose().map_err(failed)?;
        let (narrow_hits, narrow_nearest, wide_hits, wide_nearest): SampleRow = both.unwrap_or_default();
        let (hits, nearest, windows) = if narrow_hits > SPARSE_HITS_MAX {
            (narrow_hits, narrow_nearest, SAMPLES)
        } else {
            (wide_hits - narrow_hits, wide_nearest, SAMPLES * (windows_of(1) - 1))
        };
        let has_many = hits * span.windows() > SPAN_HITS_MAX * windows;
        Ok(nearest.filter(|_| has_many).map(|nearest| Sample {
            nearest_part: span.part_of(nearest, towards),
            is_whole: narrow_hits.max(wide_hits) < SAMPLE_HITS_MAX,
            is_dense: hits >= DENSE_HITS,
        }))
    }

    /// The words of the windows that a sample of a span takes, of a width by its index.
    fn sampled_windows(&self, span: Span, towards: Towards, width: usize) -> SelectStatement {
        use execution::Column as C;
        let [nearest, _] = span.split(1, towards);
        let (from, to) = nearest.seconds();
        let step = match towards {
            Towards::Past => from - to,
            Towards::Future => to - from,
        };
        let in_part = Expr::cust_with_values(
            "execution.created_at >= to_timestamp((SELECT $1::bigint) + (SELECT $2::bigint) * part)
             AND execution.created_at < to_timestamp((SELECT $3::bigint) + (SELECT $4::bigint) * part)",
            [from, step, to, step],
        );
        let first = self.history().filter(in_part).value(C::CreatedAt.min());
        let parts = Query::select()
            .expr_as(Expr::cust(format!("generate_series(0, {})", SAMPLES - 1)), "part")
            .take();
        let firsts = Query::select().expr_as(first, "at").from_subquery(parts, "parts").take();
        let window = format!("(runledger_windows(at))[{}]", width + 1);
        Query::select()
            .expr(Expr::cust(format!("array_agg({window}) FILTER (WHERE at IS NOT NULL)")))
            .from_subquery(firsts, "sample")
            .take()
    }

    /// Some executions of this span that have the words, of which nothing else is known. One more than [`HITS_MAX`]
    /// when there are more; of one of the narrowest windows those that the search comes to first.
    async fn look(&self, sought: &Sought<'_>, span: Span, towards: Towards) -> Result<Vec<Uuid>> {
        let windows = Expr::cust_with_values("(SELECT string_to_array($1, ' '))", [span.terms()]);
        let mut hits = self.hits("execution_id", sought, windows).limit(HITS_MAX as u64 + 1).take();
        if span.windows() == 1 {
            let [key, id] = ["created_at", "execution_id"].map(|name| Expr::col(("execution_search", name)));
            hits.cond_where(bounds_of((key.clone(), id.clone()), sought.order, sought.page))
                .order_by_expr(key, towards.order())
                .order_by_expr(id, towards.order());
        }
        let rows = self.connection().query_all(&hits).await.map_err(failed)?;
        rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>().map_err(failed)
    }

    /// A column of the executions that have the words that are sought, and were created in one of some windows.
    fn hits(&self, column: &'static str, sought: &Sought<'_>, windows: Expr) -> SelectStatement {
        // Behind a sub-select, so that there is one plan for all values.
        postgres_hits(self.tenant_id(), sought.words)
            .column(column)
            .and_where(Expr::cust_with_exprs(format!("{POSTGRES_TERMS} && $1"), [windows]))
            .take()
    }

    fn are_among(&self, ids: &[Uuid]) -> Expr {
        let list = ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",");
        // Ids are unique across tenants by an index of their own; a tenant's are found by its key. The list is a query of its
        // own so that it is read once, not for each row, in whatever plan there is.
        let ids = if self.tenant_id().is_some() {
            "execution.id = ANY ((SELECT string_to_array($1, ',')::uuid[])::uuid[])"
        } else {
            "execution.id::text = ANY ((SELECT string_to_array($1, ','))::text[])"
        };
        Expr::cust_with_values(ids, [list])
    }
}

impl Pending {
    fn of(span: Span) -> Self {
        Self { span, expected: Expected::Unknown }
    }
}
