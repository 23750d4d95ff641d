//! PostgreSQL's index of words gives its rows in no order, but it gives few of them fast: it skips in the list of a common
//! word to what a rare one has. So the windows of time in which an execution was created are words, too, and a page is looked
//! for in one span of time after another. They get longer the further they are away, and one that has many hits is looked at
//! in parts: the index lists all hits of a span before it gives the first.

use entity::execution;
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{ColumnTrait as _, Condition, ConnectionTrait as _, Order};
use uuid::Uuid;

use super::spans::{SAMPLES, SECOND_MAX, Span, Towards, from_nearest};
use super::{Hits, Sought};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::store::dialect::{POSTGRES_TERMS, postgres_mark};
use crate::store::executions::{bounds_of, reading_order};
use crate::store::failure::failed;
use crate::store::scoped::{Reader, ScopedSelect, subselect};

/// Hits that are read at once: more than a page of a list shows.
const HITS_MAX: usize = 500;
/// Spans of more of the narrowest windows than this (three days) are sampled first: to look at all hits of such a time would
/// take long.
const UNSAMPLED_WINDOWS_MAX: i64 = 512;
/// More hits than this, as a sample has it, are not looked at together.
const SPAN_HITS_MAX: i64 = 4_096;
/// Hits of a sample that are read. When it has more, it may have nearer ones than these.
const SAMPLE_HITS_MAX: i64 = 4_096;
/// When so many have been found, they tell how many there will be, and no sample is taken where that is far from too many.
const TELLING_HITS: usize = 8;
/// The nearest of so many parts is looked at first when a span has more than [`HITS_MAX`].
const CROWDED_PARTS: i64 = 8;
/// Spans that one search looks at. Who filters common words by what few have asks for more: those hits are found
/// among all that have the words.
const LOOKS_MAX: usize = 80;

/// A span that is still to be looked at.
#[derive(Debug, Clone, Copy)]
struct Pending {
    span: Span,
    /// As a sample has it.
    has_few: bool,
}

/// What some windows of a span have.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// The nearest of its parts in which there are hits.
    nearest_part: i64,
    /// That is known: not only some of the hits were read.
    is_whole: bool,
}

impl Reader<'_> {
    pub(super) async fn hits_in_windows<'r>(
        &'r self,
        select: impl Fn() -> ScopedSelect<'r, 'r, execution::Entity>,
        sought: &Sought<'_>,
    ) -> Result<Option<Hits>> {
        let towards = match reading_order(sought.order, sought.page) {
            Order::Asc => Towards::Future,
            _ => Towards::Past,
        };
        let Some((nearest, furthest)) = self.seconds(sought, towards).await? else {
            return Ok(Some(Hits { among: None, there_are_more: false }));
        };
        // The nearest come last.
        let mut pending: Vec<_> = from_nearest(nearest, towards).into_iter().map(Pending::of).rev().collect();
        // The rest of a span that has many hits, when what is nearer has none: it has them all, and to look at it would cost
        // as much as it has.
        let mut has_the_hits = None;
        // Of the spans with hits: how many these are, and how many windows those.
        let (mut hits_seen, mut windows_seen) = (0, 0);
        let mut found = Vec::new();
        for _ in 0..LOOKS_MAX {
            let next = pending.pop().filter(|next| !next.span.is_beyond(furthest, towards));
            let Some(Pending { mut span, has_few }) = next else {
                return Ok(Some(Hits { among: Some(self.are_among(&found)), there_are_more: false }));
            };
            if has_the_hits == Some(span) && span.windows() > 1 {
                let [nearer, further] = span.cut(span.windows() / 2, towards);
                has_the_hits = Some(further);
                pending.push(Pending::of(further));
                span = nearer;
            }
            let has_few = has_few
                || span.windows() <= UNSAMPLED_WINDOWS_MAX
                || hits_seen >= TELLING_HITS
                    && SAMPLES * hits_seen as i64 * span.windows() <= SPAN_HITS_MAX * windows_seen;
            if !has_few && let Some(sample) = self.sample(sought, span, towards).await? {
                let [nearer, rest] = span.split(sample.nearest_part, towards);
                let [crowded, further] = rest.cut(span.windows() / SAMPLES, towards);
                let nearer = Pending { span: nearer, has_few: sample.is_whole };
                let parts = [Pending::of(further), Pending::of(crowded), nearer];
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
                let ids = select().filter(self.are_among(&hits)).tuples([execution::Column::Id.into_expr()]);
                found.extend(ids.await?.into_iter().map(|(id,): (Uuid,)| id));
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

    /// The second of the first execution that a search comes to, and the one with which it ends at the latest; `None` when
    /// there is nothing.
    async fn seconds(&self, sought: &Sought<'_>, towards: Towards) -> Result<Option<(i64, i64)>> {
        use execution::Column as C;
        let (first, last) = sought.seconds();
        let (first, last) = (first.clamp(0, SECOND_MAX), last.clamp(0, SECOND_MAX));
        let from = Timestamp::from_timestamp(first, 0).filter(|_| first > 0);
        let to = Timestamp::from_timestamp(last + 1, 0).filter(|_| last < SECOND_MAX);
        let nearest = self
            .history()
            .filter(Condition::all().add_option(from.map(|from| C::CreatedAt.gte(from))))
            .filter(Condition::all().add_option(to.map(|to| C::CreatedAt.lt(to))))
            .order_by(C::CreatedAt.into_expr(), towards.order())
            .limit(1);
        let nearest: Vec<(Timestamp,)> = nearest.tuples([C::CreatedAt.into_expr()]).await?;
        let furthest = match towards {
            Towards::Past => first,
            Towards::Future => last,
        };
        Ok(nearest.first().map(|(time,)| (time.timestamp().clamp(0, SECOND_MAX), furthest)))
    }

    /// A sample of a long span, when it has it that there are too many hits to look at. It takes the window of the first
    /// execution of each part: work comes in bursts.
    async fn sample(&self, sought: &Sought<'_>, span: Span, towards: Towards) -> Result<Option<Sample>> {
        use execution::Column as C;
        let [nearest, _] = span.split(1, towards);
        let (from, to) = nearest.seconds();
        let (step, latest_or_earliest) = match towards {
            Towards::Past => (from - to, "max"),
            Towards::Future => (to - from, "min"),
        };
        let in_part = Expr::cust_with_values(
            "execution.created_at >= to_timestamp($1::bigint + $2::bigint * part)
             AND execution.created_at < to_timestamp($3::bigint + $4::bigint * part)",
            [from, step, to, step],
        );
        let first = self.history().filter(in_part).order_by(C::CreatedAt.into_expr(), Order::Asc);
        let parts = Query::select()
            .expr_as(Expr::cust(format!("generate_series(0, {})", SAMPLES - 1)), "part")
            .take();
        let samples =
            Query::select().expr_as(first.first(C::CreatedAt), "at").from_subquery(parts, "parts").take();
        let windows = Query::select()
            .expr(Expr::cust("array_agg((runledger_windows(at))[1]) FILTER (WHERE at IS NOT NULL)"))
            .from_subquery(samples, "sample")
            .take();
        let hits =
            self.hits("created_at", sought, subselect(windows)).limit(SAMPLE_HITS_MAX.cast_unsigned()).take();
        let sample = Query::select()
            .expr(Expr::cust("count(*)"))
            .expr(Expr::cust(format!("{latest_or_earliest}(created_at)")))
            .from_subquery(hits, "hit")
            .take();
        let row = self.connection().query_one(&sample).await.map_err(failed)?;
        let sample = row.map(|row| row.try_get_many_by_index()).transpose().map_err(failed)?;
        let Some((count, Some(time))): Option<(i64, Option<Timestamp>)> = sample else { return Ok(None) };
        let has_many = count >= (SPAN_HITS_MAX * SAMPLES / span.windows()).max(1);
        let nearest_part = span.part_of(time, towards);
        Ok(has_many.then_some(Sample { nearest_part, is_whole: count < SAMPLE_HITS_MAX }))
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
        // Each condition is a key of its own: the index skips from key to key, but looks at all that one word of a key has.
        // Behind sub-selects, so that there is one plan for all values.
        let mut hits = Query::select();
        hits.column(column)
            .from("execution_search")
            .and_where(Expr::cust_with_exprs(format!("{POSTGRES_TERMS} && $1"), [windows]));
        for term in sought.words.iter().cloned().chain(self.tenant_id().map(postgres_mark)) {
            let has_term = format!("{POSTGRES_TERMS} @> (SELECT array_append(CAST('{{}}' AS text[]), $1))");
            hits.and_where(Expr::cust_with_values(has_term, [term]));
        }
        hits
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
        Self { span, has_few: false }
    }
}
