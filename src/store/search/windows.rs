//! PostgreSQL's index of words gives its rows in no order, but it gives few of them fast: it skips in the list of a common
//! word to what a rare one has. So the windows of time in which an execution was created are words, too, and a page is looked
//! for in one window after another. They get wider the further they are away, and one that has many hits is looked at in parts:
//! the index lists all hits of a window before it gives the first.

use std::ops::RangeInclusive;

use entity::execution;
use sea_orm::sea_query::{Alias, Expr, Query, SelectStatement};
use sea_orm::{ColumnTrait as _, Condition, ConnectionTrait as _, Order};
use uuid::Uuid;

use super::{Hits, Sought};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::store::dialect::{POSTGRES_TERMS, postgres_terms};
use crate::store::executions::{bounds_of, reading_order};
use crate::store::failure::failed;
use crate::store::scoped::{Reader, ScopedSelect};

/// How wide windows are: those of a width have 2 to the power of this many seconds. As the schema change has it that makes
/// words of them.
const WIDTHS: [u32; 7] = [9, 12, 15, 18, 21, 24, 27];
/// The last second of the last of the widest windows, in the year 2242.
const SECOND_MAX: i64 = (1 << 33) - 1;
/// Hits that are read at once: more than a page shows.
const HITS_MAX: usize = 500;
/// Windows of more seconds than this are sampled first: to look at all hits of such a time would take long.
const UNSAMPLED_SECONDS_MAX: i64 = 1 << 16;
/// The narrowest windows of a sample.
const SAMPLES: i64 = 16;
/// More hits than this, as a sample has it, are not looked at together.
const SAMPLED_HITS_MAX: i64 = 4_096;
/// How often one search looks into the index. Who filters common words by what few have asks for more: those hits are found
/// among all that have the words.
const LOOKS_MAX: usize = 80;

/// Windows of one width that lie beside each other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Windows {
    /// Which of [`WIDTHS`].
    width: usize,
    numbers: RangeInclusive<i64>,
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
        let mut pending = from_nearest(nearest, towards);
        pending.reverse();
        // The further half of windows that have many hits, when the nearer half has none: it has them all, and to look at it
        // would cost as much as it has.
        let mut has_the_hits = None;
        let mut found = Vec::new();
        for _ in 0..LOOKS_MAX {
            let next = pending.pop().filter(|windows| !windows.are_beyond(furthest, towards));
            let Some(mut windows) = next else {
                return Ok(Some(Hits { among: Some(self.are_among(&found)), there_are_more: false }));
            };
            if has_the_hits.as_ref() == Some(&windows)
                && let Some([nearer, further]) = windows.parts(towards)
            {
                has_the_hits = Some(further.clone());
                pending.push(further);
                windows = nearer;
            }
            let is_full = self.is_full_of_hits(sought, &windows).await?;
            let hits = if is_full { Vec::new() } else { self.look(sought, &windows, towards).await? };
            let has_more = is_full || hits.len() > HITS_MAX;
            if has_more && let Some([nearer, further]) = windows.parts(towards) {
                has_the_hits = Some(further.clone());
                pending.extend([further, nearer]);
                continue;
            }
            if !hits.is_empty() {
                has_the_hits = None;
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

    /// Whether wide windows have too many hits to look at, as a small sample of them has it.
    async fn is_full_of_hits(&self, sought: &Sought<'_>, windows: &Windows) -> Result<bool> {
        let seconds = windows.seconds();
        if seconds.end() - seconds.start() < UNSAMPLED_SECONDS_MAX {
            return Ok(false);
        }
        let sampled_seconds = SAMPLES << WIDTHS[0];
        let too_many = (SAMPLED_HITS_MAX * sampled_seconds / (seconds.end() - seconds.start())).max(1);
        let hits = self.hits_with_one_of(windows.samples(), sought).limit(too_many.cast_unsigned()).take();
        let hits = self.connection().query_all(&hits).await.map_err(failed)?;
        Ok(hits.len() as i64 == too_many)
    }

    /// Some executions of these windows that have the words, of which nothing else is known. One more than [`HITS_MAX`]
    /// when there are more; of the narrowest windows those that the search comes to first.
    async fn look(&self, sought: &Sought<'_>, windows: &Windows, towards: Towards) -> Result<Vec<Uuid>> {
        let mut hits = self.hits_with_one_of(windows.terms(), sought).limit(HITS_MAX as u64 + 1).take();
        if windows.width == 0 {
            let [key, id] = ["created_at", "execution_id"].map(|name| Expr::col(("execution_search", name)));
            hits.cond_where(bounds_of((key.clone(), id.clone()), sought.order, sought.page))
                .order_by_expr(key, towards.order())
                .order_by_expr(id, towards.order());
        }
        let rows = self.connection().query_all(&hits).await.map_err(failed)?;
        rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>().map_err(failed)
    }

    /// Executions that have the words that are sought, and one of the words of time.
    fn hits_with_one_of(&self, times: String, sought: &Sought<'_>) -> SelectStatement {
        // Behind sub-selects, so that there is one plan for all values, by the index: the ones for the first five took ten times
        // as long.
        let (terms, values) = postgres_terms(self.tenant_id(), sought.words);
        let has_terms = Expr::cust_with_values(format!("{POSTGRES_TERMS} @> (SELECT {terms})"), values);
        let has_time =
            Expr::cust_with_values(format!("{POSTGRES_TERMS} && (SELECT string_to_array($1, ' '))"), [times]);
        Query::select()
            .column(Alias::new("execution_id"))
            .from("execution_search")
            .and_where(has_terms)
            .and_where(has_time)
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

impl Towards {
    fn order(self) -> Order {
        match self {
            Self::Past => Order::Desc,
            Self::Future => Order::Asc,
        }
    }
}

impl Windows {
    /// The words of executions that were created in them: any of these.
    fn terms(&self) -> String {
        let bits = WIDTHS[self.width];
        self.numbers.clone().map(|number| format!("+{bits}:{number}")).collect::<Vec<_>>().join(" ")
    }

    fn seconds(&self) -> RangeInclusive<i64> {
        let bits = WIDTHS[self.width];
        self.numbers.start() << bits..=((self.numbers.end() + 1) << bits) - 1
    }

    /// The words of some of the narrowest windows in them, evenly spread.
    fn samples(&self) -> String {
        let (first, last) = self.seconds().into_inner();
        let step = (last - first) / SAMPLES;
        let bits = WIDTHS[0];
        let samples = (0..SAMPLES).map(|sample| (first + step / 2 + sample * step) >> bits);
        samples.map(|number| format!("+{bits}:{number}")).collect::<Vec<_>>().join(" ")
    }

    /// The same time in two halves, the nearer one first; `None` of one of the narrowest windows.
    fn parts(&self, towards: Towards) -> Option<[Self; 2]> {
        let (width, first, last) = if self.numbers.start() < self.numbers.end() {
            (self.width, *self.numbers.start(), *self.numbers.end())
        } else {
            let narrower = self.width.checked_sub(1)?;
            let bits = WIDTHS[self.width] - WIDTHS[narrower];
            (narrower, self.numbers.start() << bits, ((self.numbers.end() + 1) << bits) - 1)
        };
        let middle = first.midpoint(last);
        let earlier = Self { width, numbers: first..=middle };
        let later = Self { width, numbers: middle + 1..=last };
        Some(match towards {
            Towards::Past => [later, earlier],
            Towards::Future => [earlier, later],
        })
    }

    fn are_beyond(&self, furthest: i64, towards: Towards) -> bool {
        match towards {
            Towards::Past => *self.seconds().end() < furthest,
            Towards::Future => *self.seconds().start() > furthest,
        }
    }
}

/// All time from a second on, its own window first, in windows that get wider.
fn from_nearest(second: i64, towards: Towards) -> Vec<Windows> {
    let mut rows = Vec::new();
    // The first number that is not there yet.
    let mut next = second >> WIDTHS[0];
    for (width, bits) in WIDTHS.into_iter().enumerate() {
        if next < 0 {
            break; // the beginning of time
        }
        // Up to where the next wider ones begin; also when they begin here, so that time gets wider step by step.
        let numbers = match (WIDTHS.get(width + 1), towards) {
            (Some(wider), Towards::Past) => {
                let first = next & !((1 << (wider - bits)) - 1);
                let numbers = first..=next;
                next = (first >> (wider - bits)) - 1;
                numbers
            }
            (Some(wider), Towards::Future) => {
                let last = next | ((1 << (wider - bits)) - 1);
                let numbers = next..=last;
                next = (last + 1) >> (wider - bits);
                numbers
            }
            (None, Towards::Past) => 0..=next,
            (None, Towards::Future) => next..=SECOND_MAX >> bits,
        };
        if !numbers.is_empty() {
            rows.push(Windows { width, numbers });
        }
    }
    rows
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
    fn windows_cover_all_time_from_a_second_on_without_a_gap_or_an_overlap() {
        for second in MOMENTS {
            let past = from_nearest(second, Towards::Past);
            assert!(past[0].seconds().contains(&second), "{second}: {past:?}");
            for pair in past.windows(2) {
                assert_eq!(pair[1].seconds().end() + 1, *pair[0].seconds().start(), "{second}: {past:?}");
            }
            assert_eq!(past.last().map(|windows| *windows.seconds().start()), Some(0), "{second}");
            let future = from_nearest(second, Towards::Future);
            assert!(future[0].seconds().contains(&second), "{second}: {future:?}");
            for pair in future.windows(2) {
                assert_eq!(pair[0].seconds().end() + 1, *pair[1].seconds().start(), "{second}: {future:?}");
            }
            assert_eq!(future.last().map(|windows| *windows.seconds().end()), Some(SECOND_MAX), "{second}");
        }
    }

    #[test]
    fn windows_are_few_and_get_wider_step_by_step() {
        for second in MOMENTS {
            for towards in [Towards::Past, Towards::Future] {
                let rows = from_nearest(second, towards);
                assert!(rows.iter().map(|row| row.width).eq(0..rows.len()), "{rows:?}");
                assert!(rows.iter().all(|row| row.terms().split(' ').count() <= 64), "{rows:?}");
            }
        }
    }

    #[test]
    fn samples_lie_within_their_windows_and_all_over_them() {
        let windows = Windows { width: 5, numbers: 100..=103 };
        let seconds = windows.seconds();
        let samples: Vec<i64> = windows
            .samples()
            .split(' ')
            .map(|word| word.strip_prefix("+9:").and_then(|number| number.parse().ok()).expect("a word"))
            .collect();
        assert_eq!(samples.len(), 16);
        assert!(samples.iter().all(|number| seconds.contains(&(number << 9))));
        let step = (seconds.end() - seconds.start()) >> 13;
        assert!(samples.is_sorted_by(|one, next| (step..=step + 1).contains(&(next - one))), "{samples:?}");
    }

    #[test]
    fn the_parts_of_windows_are_the_same_time_nearer_half_first() {
        let windows = Windows { width: 2, numbers: 7..=7 };
        let [nearer, further] = windows.parts(Towards::Past).expect("there are narrower ones");
        assert_eq!((nearer.width, nearer.numbers.clone()), (1, 60..=63));
        assert_eq!((further.width, further.numbers.clone()), (1, 56..=59));
        let [nearer, _] = nearer.parts(Towards::Future).expect("they are several");
        assert_eq!(nearer.numbers, 60..=61);
        assert_eq!(Windows { width: 0, numbers: 3..=3 }.parts(Towards::Past), None);
    }
}
