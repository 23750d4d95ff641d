//! What is told of some executions, and of each hour or day of a time.

use super::range::Span;
use super::{Bucket, Figures, start_of};
use crate::clock::Timestamp;
use crate::domain::execution::Mode;

/// The figures of some executions, of both modes together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub figures: Figures,
    pub cloud_runs: i64,
    pub local_runs: i64,
}

/// What one hour or day adds up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub start: Timestamp,
    pub end: Timestamp,
    pub totals: Totals,
}

impl Totals {
    /// Adds figures of executions of one mode.
    pub fn add(&mut self, mode: Mode, figures: &Figures) {
        self.figures.add(figures);
        match mode {
            Mode::CloudRun => self.cloud_runs += figures.executions(),
            Mode::LocalRun => self.local_runs += figures.executions(),
        }
    }

    /// Percent of the completed and failed that completed.
    pub fn success_rate(&self) -> Option<f64> {
        percent(self.figures.completed, self.figures.completed.wrapping_add(self.figures.failed))
    }

    /// Of all executions that have a duration.
    pub fn average_duration_ms(&self) -> Option<f64> {
        ratio(self.figures.duration_ms, self.figures.durations.count())
    }
}

/// `part` of `whole` in percent; `None` when there is no whole.
pub fn percent(part: i64, whole: i64) -> Option<f64> {
    Some(ratio(part, whole)? * 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "a ratio has no more digits")]
fn ratio(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Every bucket of `span`, also those without executions, cut off at its ends. `rows` are what is in it, by when it
/// began.
pub fn series(span: (Timestamp, Timestamp), by: Bucket, rows: &[(Timestamp, Mode, Figures)]) -> Vec<Point> {
    let mut points: Vec<_> =
        cut(span, by).map(|(start, end)| Point { start, end, totals: Totals::default() }).collect();
    for (start, mode, figures) in rows {
        let at = points.partition_point(|point| point.start <= *start);
        // A row of an hour or a day begins before a point that is cut off.
        let point = points.get_mut(at.saturating_sub(1));
        if let Some(point) = point.filter(|point| *start < point.end) {
            point.totals.add(*mode, figures);
        }
    }
    points
}

fn cut((from, to): (Timestamp, Timestamp), by: Bucket) -> impl Iterator<Item = (Timestamp, Timestamp)> {
    let mut start = from;
    std::iter::from_fn(move || {
        let begins = start;
        let end = by.next(start_of(by.into(), begins)).min(to);
        start = end;
        (begins < to).then_some((begins, end))
    })
}

/// How many buckets `span` has, without counting them one by one.
pub fn buckets((from, to): (Timestamp, Timestamp), by: Bucket) -> usize {
    let seconds = match by {
        Bucket::Hour => 3_600,
        Bucket::Day => 24 * 3_600,
    };
    let whole = (to - start_of(by.into(), from)).num_seconds().max(0).div_euclid(seconds) + 1;
    usize::try_from(whole).unwrap_or(usize::MAX)
}

/// What a series is cut out of: from the first bucket that has something, when `span` has no beginning, to `now`, when it
/// has no end. `None` when there is nothing to show.
pub fn shown(
    span: Span,
    first: Option<Timestamp>,
    by: Bucket,
    now: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    let from = span.from.or_else(|| first.map(|first| start_of(by.into(), first)))?;
    let to = span.to.unwrap_or_else(|| by.next(start_of(by.into(), now)));
    (from < to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("it is RFC 3339")
    }

    #[test]
    fn a_series_has_every_bucket_and_is_cut_off_at_its_ends() {
        let (from, to) = (time("2026-01-31T22:30:00Z"), time("2026-02-01T01:15:00Z"));
        let one = Figures { completed: 1, ..Figures::default() };
        let rows = [
            (time("2026-01-31T22:45:00Z"), Mode::CloudRun, one.clone()),
            (time("2026-02-01T00:00:00Z"), Mode::LocalRun, one.clone()),
            (time("2026-02-01T01:00:00Z"), Mode::CloudRun, one),
        ];
        let points = series((from, to), Bucket::Hour, &rows);
        let starts: Vec<_> = points.iter().map(|point| point.start).collect();
        assert_eq!(
            starts,
            [from, time("2026-01-31T23:00:00Z"), time("2026-02-01T00:00:00Z"), time("2026-02-01T01:00:00Z")]
        );
        assert_eq!(points[3].end, to);
        let counts: Vec<_> = points.iter().map(|point| point.totals.figures.executions()).collect();
        assert_eq!(counts, [1, 0, 1, 1]);
        assert_eq!(points[2].totals.local_runs, 1);
        let days = series((from, to), Bucket::Day, &rows);
        assert_eq!(days.iter().map(|point| point.totals.figures.completed).collect::<Vec<_>>(), [1, 2]);
        assert!(buckets((from, to), Bucket::Hour) >= 4 && buckets((from, to), Bucket::Day) >= 2);
    }

    #[test]
    fn there_is_no_rate_without_a_whole() {
        assert_eq!(Totals::default().success_rate(), None);
        assert_eq!(Totals::default().average_duration_ms(), None);
        assert_eq!(percent(1, 4), Some(25.0));
    }
}
