//! Spans of time from the latest second to the earliest, as wide as what has been found in those before tells.

/// How many seconds the first span has when all time together has too many hits.
const FIRST_SECONDS: i64 = 512;
/// The next is so many times as wide.
const WIDER: i64 = 16;

/// From a second on, up to before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seconds {
    pub(super) first: i64,
    pub(super) end: i64,
}

impl Seconds {
    pub(super) fn count(self) -> i64 {
        self.end - self.first
    }

    fn halves(self) -> [Self; 2] {
        self.cut(self.count() / 2)
    }

    /// So many that are the latest, and the others before them.
    fn cut(self, latest: i64) -> [Self; 2] {
        let between = self.end - latest;
        [Self { first: between, end: self.end }, Self { first: self.first, end: between }]
    }
}

/// The spans that are still to be looked at.
#[derive(Debug)]
pub(super) struct Past {
    /// The latest comes last.
    pending: Vec<Seconds>,
    /// What is before those.
    rest: Seconds,
    next_count: i64,
    /// It has too many hits, if what is later has none.
    crowded: Option<Seconds>,
}

impl Past {
    /// All of it first: it may have few hits.
    pub(super) fn of(all: Seconds) -> Self {
        Self { pending: vec![all], rest: Seconds { end: all.first, ..all }, next_count: 0, crowded: None }
    }

    /// The one to look at next; `None` when there is nothing left.
    pub(super) fn next(&mut self) -> Option<Seconds> {
        let next = self.pending.pop().or_else(|| self.next_of_rest())?;
        if self.crowded != Some(next) || next.count() == 1 {
            return Some(next);
        }
        // To look at it would tell nothing new.
        let [later, earlier] = next.halves();
        self.pending.push(earlier);
        self.crowded = Some(earlier);
        Some(later)
    }

    fn next_of_rest(&mut self) -> Option<Seconds> {
        let count = self.next_count.min(self.rest.count());
        let [next, rest] = self.rest.cut(count);
        (self.rest, self.next_count) = (rest, self.next_count * WIDER);
        (count > 0).then_some(next)
    }

    /// One that was looked at has some hits, but not too many.
    pub(super) fn had_some(&mut self) {
        self.crowded = None;
    }

    /// One that was looked at, of more than a second, has too many.
    pub(super) fn had_too_many(&mut self, span: Seconds) {
        if self.next_count == 0 {
            (self.rest, self.next_count) = (span, FIRST_SECONDS);
            return;
        }
        let [later, earlier] = span.halves();
        self.pending.extend([earlier, later]);
        self.crowded = Some(earlier);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of the past is looked at, when each of these seconds has a hit, and more than `max` are too many.
    fn looked_at(all: Seconds, hits: &[i64], max: usize) -> Vec<Seconds> {
        let mut past = Past::of(all);
        let mut looked_at = Vec::new();
        while let Some(span) = past.next() {
            let found = hits.iter().filter(|second| (span.first..span.end).contains(second)).count();
            if found > max && span.count() > 1 {
                past.had_too_many(span);
                continue;
            }
            if found > 0 {
                past.had_some();
            }
            looked_at.push(span);
        }
        looked_at
    }

    #[test]
    fn all_time_is_looked_at_from_the_latest_on_without_a_gap_or_an_overlap() {
        let all = Seconds { first: 3, end: 100_000_000 };
        let every_day: Vec<_> = (0..1_000).map(|day| 5 + day * 86_400).collect();
        let of_long_ago: Vec<_> = (0..500).map(|number| 7_000_000 + number * 20).collect();
        let at_once = vec![4_711; 50];
        for hits in [every_day, of_long_ago, at_once, Vec::new()] {
            let looked_at = looked_at(all, &hits, 20);
            assert_eq!(looked_at.first().map(|span| span.end), Some(all.end));
            for pair in looked_at.windows(2) {
                assert_eq!(pair[1].end, pair[0].first, "{looked_at:?}");
            }
            assert_eq!(looked_at.last().map(|span| span.first), Some(all.first));
            assert!(looked_at.iter().all(|span| span.count() > 0), "{looked_at:?}");
        }
    }

    #[test]
    fn few_hits_are_looked_at_together() {
        let all = Seconds { first: 0, end: 1_000_000_000 };
        assert_eq!(looked_at(all, &[1, 2, 999_999_999], 20), [all]);
    }

    #[test]
    fn old_hits_are_come_to_in_few_steps() {
        let all = Seconds { first: 0, end: 1_800_000_000 };
        let old: Vec<_> = (0..1_000_000).map(|number| 1_600_000_000 + number * 4).collect();
        let mut past = Past::of(all);
        let mut steps = 0;
        while let Some(span) = past.next() {
            steps += 1;
            let found = old.iter().filter(|second| (span.first..span.end).contains(second)).count();
            match found {
                0 => {}
                1..=500 => break,
                _ => past.had_too_many(span),
            }
        }
        assert!(steps <= 26, "{steps}");
    }
}
