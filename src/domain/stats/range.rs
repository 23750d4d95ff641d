//! How a range of time is put together from rows that cover an hour, a day, a month or all time: the fewest there are.

use chrono::{Datelike as _, DurationRound as _, Months, NaiveTime, TimeDelta};

use super::Width;
use crate::clock::Timestamp;

/// From a time on, up to another one and without it; `None` is without an end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Span {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// What a series is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    Hour,
    Day,
}

/// Rows of one width, one after the other; their starts are in the span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    pub width: Width,
    pub starts: Span,
}

/// What a span consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// Whole hours, as few rows as can be: together they are `hours`.
    pub stretches: Vec<Stretch>,
    /// The whole hours of the span; `None` when there are none.
    pub hours: Option<Span>,
    /// What is left at the ends: each shorter than an hour.
    pub edges: Vec<(Timestamp, Timestamp)>,
}

impl From<Bucket> for Width {
    fn from(bucket: Bucket) -> Self {
        match bucket {
            Bucket::Hour => Self::Hour,
            Bucket::Day => Self::Day,
        }
    }
}

impl Bucket {
    /// The beginning of the bucket after the one that begins at `start`.
    pub fn next(self, start: Timestamp) -> Timestamp {
        next(self.into(), start)
    }
}

/// The beginning of what `time` is in.
pub fn start_of(width: Width, time: Timestamp) -> Timestamp {
    let midnight = |date: chrono::NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    match width {
        Width::Hour => time.duration_trunc(TimeDelta::hours(1)).unwrap_or(time),
        Width::Day => midnight(time.date_naive()),
        Width::Month => midnight(time.date_naive().with_day(1).unwrap_or(time.date_naive())),
        Width::All => Timestamp::UNIX_EPOCH,
    }
}

fn next(width: Width, start: Timestamp) -> Timestamp {
    let next = match width {
        Width::Hour => start.checked_add_signed(TimeDelta::hours(1)),
        Width::Day => start.checked_add_signed(TimeDelta::days(1)),
        Width::Month => start.checked_add_months(Months::new(1)),
        Width::All => None,
    };
    next.unwrap_or(Timestamp::MAX_UTC)
}

/// The first beginning at or after `time`.
fn first_at(width: Width, time: Timestamp) -> Timestamp {
    let start = start_of(width, time);
    if start == time { time } else { next(width, start) }
}

/// What `span` consists of, with no rows that are wider than `widest`.
pub fn parts(span: Span, widest: Width) -> Parts {
    let Span { from, to } = span;
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Parts::default();
    }
    let first = from.map(|from| first_at(Width::Hour, from));
    let last = to.map(|to| start_of(Width::Hour, to));
    if let (Some(from), Some(first), Some(last), Some(to)) = (from, first, last, to)
        && first > last
    {
        return Parts { edges: vec![(from, to)], ..Parts::default() };
    }
    let mut parts = Parts::default();
    parts.edges.extend(from.zip(first).filter(|(from, first)| from < first));
    parts.edges.extend(last.zip(to).filter(|(last, to)| last < to));
    let hours = Span { from: first, to: last };
    if first.is_none() || first != last {
        parts.hours = Some(hours);
        add_stretches(&mut parts.stretches, hours, Width::Hour, widest);
    }
    parts
}

/// Adds what lies in `span`, which begins and ends where rows of `width` do.
fn add_stretches(stretches: &mut Vec<Stretch>, span: Span, width: Width, widest: Width) {
    let wider = match width {
        Width::Hour => Width::Day,
        Width::Day => Width::Month,
        Width::Month | Width::All => Width::All,
    };
    let is_open = span == Span::default();
    if width == widest || (wider == Width::All && !is_open) {
        return stretches.push(Stretch { width, starts: span });
    }
    let inner =
        Span { from: span.from.map(|from| first_at(wider, from)), to: span.to.map(|to| start_of(wider, to)) };
    if let (Some(from), Some(to)) = (inner.from, inner.to)
        && from >= to
    {
        return stretches.push(Stretch { width, starts: span });
    }
    let before = Span { from: span.from, to: inner.from };
    let after = Span { from: inner.to, to: span.to };
    let is_stretch = |ends: &Span| ends.from.is_some() && ends.to.is_some() && ends.from != ends.to;
    stretches.extend([before, after].into_iter().filter(is_stretch).map(|starts| Stretch { width, starts }));
    add_stretches(stretches, inner, wider, widest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("it is RFC 3339")
    }

    /// The hours of a stretch within the year that the tests look at.
    fn hours_of(stretch: &Stretch, year: Span) -> Vec<Timestamp> {
        let mut hours = Vec::new();
        let mut hour = year.from.expect("it has an end");
        while hour < year.to.expect("it has an end") {
            let start = start_of(stretch.width, hour);
            let Span { from, to } = stretch.starts;
            if from.is_none_or(|from| from <= start) && to.is_none_or(|to| start < to) {
                hours.push(hour);
            }
            hour += TimeDelta::hours(1);
        }
        hours
    }

    #[test]
    fn a_span_is_covered_once_by_few_rows() {
        let year = Span { from: Some(time("2025-11-01T00:00:00Z")), to: Some(time("2027-02-01T00:00:00Z")) };
        let times = [
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.000001Z",
            "2026-01-31T23:30:00Z",
            "2026-02-01T00:00:00Z",
            "2026-02-01T05:00:00Z",
            "2026-02-28T13:59:59.999999Z",
            "2026-03-02T00:00:00Z",
            "2026-12-31T23:00:00Z",
        ];
        let ends: Vec<_> = times.into_iter().map(|text| Some(time(text))).chain([None]).collect();
        for (from, to) in ends.iter().flat_map(|from| ends.iter().map(move |to| (*from, *to))) {
            for widest in [Width::All, Width::Day, Width::Hour] {
                let span = Span { from, to };
                let found = parts(span, widest);
                let mut covered: Vec<_> =
                    found.stretches.iter().flat_map(|stretch| hours_of(stretch, year)).collect();
                let count = covered.len();
                covered.sort_unstable();
                covered.dedup();
                assert_eq!(count, covered.len(), "{span:?}: nothing twice");
                let is_in = |time: Timestamp| {
                    covered.binary_search(&start_of(Width::Hour, time)).is_ok()
                        || found.edges.iter().any(|(from, to)| *from <= time && time < *to)
                };
                let mut probe = year.from.expect("it has an end");
                while probe < year.to.expect("it has an end") {
                    let wanted = from.is_none_or(|from| from <= probe) && to.is_none_or(|to| probe < to);
                    assert_eq!(is_in(probe), wanted, "{span:?} {probe}");
                    probe += TimeDelta::microseconds(1_799_999_999);
                }
                assert!(found.stretches.len() <= 5 && found.edges.len() <= 2, "{found:?}");
                assert!(found.edges.iter().all(|(from, to)| *to - *from < TimeDelta::hours(1)));
            }
        }
    }

    #[test]
    fn all_time_is_one_row_and_a_year_is_few() {
        let all = parts(Span::default(), Width::All);
        assert_eq!(all.stretches, [Stretch { width: Width::All, starts: Span::default() }]);
        let year = Span { from: Some(time("2025-03-14T15:09:00Z")), to: Some(time("2026-03-14T15:09:00Z")) };
        let widths: Vec<_> = parts(year, Width::All).stretches.iter().map(|stretch| stretch.width).collect();
        assert_eq!(widths, [Width::Hour, Width::Hour, Width::Day, Width::Day, Width::Month]);
    }
}
