//! PostgreSQL's index of words gives its rows in no order, but it gives few of them fast: it skips in the list of a common
//! word to what a rare one has. So the windows of time in which an execution was created are words, too, and a page is looked
//! for in one span of time after another. They get longer the further they are away, and one that has many hits is looked at
//! in parts: the index lists all hits of a span before it gives the first.

use entity::execution;
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{ColumnTrait as _, Condition, ConnectionTrait as _, Order};
use uuid::Uuid;

use super::{Hits, Sought};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::store::dialect::{POSTGRES_TERMS, postgres_mark};
use crate::store::executions::{bounds_of, reading_order};
use crate::store::failure::failed;
use crate::store::scoped::{Reader, ScopedSelect, subselect};

/// How wide windows are: those of a width have 2 to the power of this many seconds. As the schema change has it that makes
/// words of them.
const WIDTHS: [u32; 7] = [9, 12, 15, 18, 21, 24, 27];
/// The last second of the last of the widest windows, in the year 2242.
const SECOND_MAX: i64 = (1 << 33) - 1;
/// Hits that are read at once: more than a page of a list shows.
const HITS_MAX: usize = 500;
/// Spans of more of the narrowest windows than this (three days) are sampled first: to look at all hits of such a time would
/// take long.
const UNSAMPLED_WINDOWS_MAX: i64 = 512;
/// Parts of a span from which a sample takes a window each.
const SAMPLES: i64 = 16;
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

/// A span of time: the first and the last of the narrowest windows in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: i64,
    last: i64,
}

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

/// Which way a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Towards {
    Past,
    Future,
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
        let ((from, to), step) = (nearest.seconds(), nearest.windows() << WIDTHS[0]);
        let (step, latest_or_earliest) = match towards {
            Towards::Past => (-step, "max"),
            Towards::Future => (step, "min"),
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

impl Towards {
    fn order(self) -> Order {
        match self {
            Self::Past => Order::Desc,
            Self::Future => Order::Asc,
        }
    }
}

impl Pending {
    fn of(span: Span) -> Self {
        Self { span, has_few: false }
    }
}

impl Span {
    /// How many of the narrowest windows it has.
    fn windows(self) -> i64 {
        self.last - self.first + 1
    }

    /// Its first second, and the first one after it.
    fn seconds(self) -> (i64, i64) {
        (self.first << WIDTHS[0], (self.last + 1) << WIDTHS[0])
    }

    /// The words of executions that were created in it: any of these. As few as there can be.
    fn terms(self) -> String {
        let mut terms = Vec::new();
        let (mut first, mut last) = (self.first, self.last);
        for (index, bits) in WIDTHS.iter().enumerate() {
            let to_wider = WIDTHS.get(index + 1).map(|wider| 1 << (wider - bits));
            let is_wider = |number: i64| to_wider.is_some_and(|windows| number % windows == 0);
            while first <= last && !is_wider(first) {
                terms.push(format!("+{bits}:{first}"));
                first += 1;
            }
            while first <= last && !is_wider(last + 1) {
                terms.push(format!("+{bits}:{last}"));
                last -= 1;
            }
            if first > last {
                break;
            }
            let windows = to_wider.unwrap_or(1);
            (first, last) = (first / windows, (last + 1) / windows - 1);
        }
        terms.join(" ")
    }

    /// So many of its [`SAMPLES`] parts that are the nearest, and the others.
    fn split(self, parts: i64, towards: Towards) -> [Self; 2] {
        self.cut(self.windows() / SAMPLES * parts, towards)
    }

    /// In which of its parts a moment is, from the nearest on.
    fn part_of(self, time: Timestamp, towards: Towards) -> i64 {
        let window = time.timestamp() >> WIDTHS[0];
        let windows = match towards {
            Towards::Past => self.last - window,
            Towards::Future => window - self.first,
        };
        (windows / (self.windows() / SAMPLES)).clamp(0, SAMPLES - 1)
    }

    /// So many windows that are the nearest, and the others.
    fn cut(self, windows: i64, towards: Towards) -> [Self; 2] {
        let Self { first, last } = self;
        match towards {
            Towards::Past => [Self { first: last - windows + 1, last }, Self { first, last: last - windows }],
            Towards::Future => {
                [Self { first, last: first + windows - 1 }, Self { first: first + windows, last }]
            }
        }
    }

    fn is_beyond(self, furthest: i64, towards: Towards) -> bool {
        let (first, after) = self.seconds();
        match towards {
            Towards::Past => after <= furthest,
            Towards::Future => first > furthest,
        }
    }
}

/// All time from a second on, its own window first, in spans that get longer: each up to where the next wider windows begin.
fn from_nearest(second: i64, towards: Towards) -> Vec<Span> {
    let all = SECOND_MAX >> WIDTHS[0];
    let mut spans = Vec::new();
    // The first window that is not there yet.
    let mut next = second >> WIDTHS[0];
    for wider in &WIDTHS[1..] {
        let aligned = 1 << (wider - WIDTHS[0]);
        let span = match towards {
            Towards::Past => Span { first: next & !(aligned - 1), last: next },
            Towards::Future => Span { first: next, last: next | (aligned - 1) },
        };
        spans.push(span);
        next = match towards {
            Towards::Past => span.first - 1,
            Towards::Future => span.last + 1,
        };
        if !(0..=all).contains(&next) {
            return spans; // the beginning or the end of time
        }
    }
    spans.push(match towards {
        Towards::Past => Span { first: 0, last: next },
        Towards::Future => Span { first: next, last: all },
    });
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENTS: [i64; 8] = [
        0,
        1,
        511,
        512,
        4_096,
        1_795_292_724,
        (1_795_292_724 >> 27) << 27,
        ((1_795_292_724 >> 12) << 12) - 1,
    ];

    #[test]
    fn spans_cover_all_time_from_a_second_on_without_a_gap_or_an_overlap() {
        for second in MOMENTS {
            let past = from_nearest(second, Towards::Past);
            assert_eq!(past[0].last, second >> 9, "{second}: {past:?}");
            for pair in past.windows(2) {
                assert_eq!(pair[1].last + 1, pair[0].first, "{second}: {past:?}");
            }
            assert_eq!(past.last().map(|span| span.first), Some(0), "{second}");
            let future = from_nearest(second, Towards::Future);
            assert_eq!(future[0].first, second >> 9, "{second}: {future:?}");
            for pair in future.windows(2) {
                assert_eq!(pair[0].last + 1, pair[1].first, "{second}: {future:?}");
            }
            assert_eq!(future.last().map(|span| span.last), Some(SECOND_MAX >> 9), "{second}");
        }
    }

    #[test]
    fn spans_are_few_and_get_longer_step_by_step() {
        for second in MOMENTS {
            for towards in [Towards::Past, Towards::Future] {
                let spans = from_nearest(second, towards);
                for (span, width) in spans.iter().zip(1..) {
                    let longest = WIDTHS.get(width).map_or(i64::MAX, |bits| 1 << (bits - WIDTHS[0]));
                    assert!((1..=longest).contains(&span.windows()), "{spans:?}");
                    assert!(span.terms().split(' ').count() <= 64, "{spans:?}");
                }
                assert!(spans.len() <= WIDTHS.len(), "{spans:?}");
            }
        }
    }

    #[test]
    fn the_words_of_a_span_are_those_of_its_windows_and_of_no_others() {
        for (first, last) in [(0, 0), (0, 7), (1, 8), (5, 700), (64, 127), (3_506_528, 3_900_000)] {
            let terms = Span { first, last }.terms();
            let mut covered: Vec<_> = terms
                .split(' ')
                .map(|term| {
                    let (bits, number) =
                        term.strip_prefix('+').and_then(|term| term.split_once(':')).expect(term);
                    let bits = bits.parse::<u32>().expect(term) - WIDTHS[0];
                    let number = number.parse::<i64>().expect(term);
                    (number << bits, ((number + 1) << bits) - 1)
                })
                .collect();
            covered.sort_unstable();
            assert_eq!((covered[0].0, covered[covered.len() - 1].1), (first, last), "{terms}");
            assert!(covered.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{terms}");
            assert!(covered.len() <= 80, "{terms}");
        }
    }

    #[test]
    fn the_parts_of_a_span_are_the_same_time_nearer_part_first() {
        let span = Span { first: 100, last: 260 };
        assert_eq!(
            span.cut(80, Towards::Past),
            [Span { first: 181, last: 260 }, Span { first: 100, last: 180 }]
        );
        assert_eq!(
            span.split(3, Towards::Future),
            [Span { first: 100, last: 129 }, Span { first: 130, last: 260 }]
        );
        let at = |window: i64| Timestamp::from_timestamp(window << 9, 0).expect("it is a moment");
        assert_eq!(
            [100, 129, 130, 260].map(|window| span.part_of(at(window), Towards::Future)),
            [0, 2, 3, 15]
        );
        assert_eq!([260, 251, 250, 100].map(|window| span.part_of(at(window), Towards::Past)), [0, 0, 1, 15]);
    }
}
