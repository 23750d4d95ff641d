//! Spans of time, and the words of PostgreSQL's index that stand for them: see [`super::windows`].

use sea_orm::Order;

use crate::clock::Timestamp;

/// How wide windows are: those of a width have 2 to the power of this many seconds. As the schema change has it that makes
/// words of them.
const WIDTHS: [u32; 7] = [9, 12, 15, 18, 21, 24, 27];
/// The last second of the last of the widest windows, in the year 2242.
pub(super) const SECOND_MAX: i64 = (1 << 33) - 1;
/// Parts of a span from which a sample takes a window each.
pub(super) const SAMPLES: i64 = 16;

/// A span of time: the first and the last of the narrowest windows in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    first: i64,
    last: i64,
}

/// Which way a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Towards {
    Past,
    Future,
}

impl Towards {
    pub(super) fn order(self) -> Order {
        match self {
            Self::Past => Order::Desc,
            Self::Future => Order::Asc,
        }
    }
}

impl Span {
    /// How many of the narrowest windows it has.
    pub(super) fn windows(self) -> i64 {
        self.last - self.first + 1
    }

    /// Its first second, and the first one after it.
    pub(super) fn seconds(self) -> (i64, i64) {
        (self.first << WIDTHS[0], (self.last + 1) << WIDTHS[0])
    }

    /// The words of executions that were created in it: any of these. As few as there can be.
    pub(super) fn terms(self) -> String {
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
    pub(super) fn split(self, parts: i64, towards: Towards) -> [Self; 2] {
        self.cut(self.windows() / SAMPLES * parts, towards)
    }

    /// In which of its parts a moment is, from the nearest on.
    pub(super) fn part_of(self, time: Timestamp, towards: Towards) -> i64 {
        let window = time.timestamp() >> WIDTHS[0];
        let windows = match towards {
            Towards::Past => self.last - window,
            Towards::Future => window - self.first,
        };
        (windows / (self.windows() / SAMPLES)).clamp(0, SAMPLES - 1)
    }

    /// So many windows that are the nearest, and the others.
    pub(super) fn cut(self, windows: i64, towards: Towards) -> [Self; 2] {
        let Self { first, last } = self;
        match towards {
            Towards::Past => [Self { first: last - windows + 1, last }, Self { first, last: last - windows }],
            Towards::Future => {
                [Self { first, last: first + windows - 1 }, Self { first: first + windows, last }]
            }
        }
    }

    /// The part of it up to a window; `None` when all of it is beyond.
    fn up_to(self, furthest: i64, towards: Towards) -> Option<Self> {
        let Self { first, last } = self;
        let span = match towards {
            Towards::Past => Self { first: first.max(furthest), last },
            Towards::Future => Self { first, last: last.min(furthest) },
        };
        (span.windows() > 0).then_some(span)
    }
}

/// How many of the narrowest windows one of the others has, of a width by its index.
pub(super) fn windows_of(width: usize) -> i64 {
    1 << (WIDTHS[width] - WIDTHS[0])
}

/// The time from a second to another, in spans that get longer.
pub(super) fn from_nearest(nearest: i64, furthest: i64, towards: Towards) -> Vec<Span> {
    let up_to_furthest = |span: Span| span.up_to(furthest >> WIDTHS[0], towards);
    all_from(nearest, towards).into_iter().filter_map(up_to_furthest).collect()
}

/// All time from a second on, its own window first, in spans that get longer: each up to where the next wider windows begin.
fn all_from(second: i64, towards: Towards) -> Vec<Span> {
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
            let past = all_from(second, Towards::Past);
            assert_eq!(past[0].last, second >> 9, "{second}: {past:?}");
            for pair in past.windows(2) {
                assert_eq!(pair[1].last + 1, pair[0].first, "{second}: {past:?}");
            }
            assert_eq!(past.last().map(|span| span.first), Some(0), "{second}");
            let future = all_from(second, Towards::Future);
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
                let spans = all_from(second, towards);
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

    #[test]
    fn spans_end_with_the_window_of_the_furthest_second() {
        for (nearest, furthest, towards) in [
            (1_795_292_724, 1_763_000_000, Towards::Past),
            (1_763_000_000, 1_795_292_724, Towards::Future),
            (1_000, 1_000, Towards::Past),
            (1_000, 1_000, Towards::Future),
        ] {
            let spans = from_nearest(nearest, furthest, towards);
            let ends = spans.last().map(|span| match towards {
                Towards::Past => span.first,
                Towards::Future => span.last,
            });
            assert_eq!(ends, Some(furthest >> 9), "{spans:?}");
            assert_eq!(spans[..spans.len() - 1], all_from(nearest, towards)[..spans.len() - 1]);
        }
    }
}
