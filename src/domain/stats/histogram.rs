//! How many durations there are of each size, so that any quantile is known within 1 %.
//!
//! This is the idea of DDSketch (Masson, Rim, Lee: "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
//! Relative-Error Guarantees", PVLDB 12, 2019) for whole milliseconds: each bucket reaches from `low` to the largest
//! `high` with `high / low ≤ 1.009 / 0.991`, and stands for `2 · low · high / (low + high)`, which is off by at most
//! `(high − low) / (high + low) ≤ 0.009` of any duration in it; what is left to 1 % is for rounding. The next bucket begins
//! at `high + 1`. Up to 55 ms, a bucket is one duration. The bounds are whole numbers, so that every machine puts a
//! duration into the same bucket: that is what lets a duration be taken out again. Histograms are merged by adding their
//! counts.

use std::collections::BTreeMap;

/// Enough for a duration of 30,000 years; what is longer counts as that.
const BUCKETS: usize = 1_850;
/// The largest duration of each bucket, in milliseconds.
const HIGHEST: [u64; BUCKETS] = highest();

const fn highest() -> [u64; BUCKETS] {
    let mut highest = [0; BUCKETS]; // the first bucket is for 0
    let mut bucket = 1;
    while bucket < BUCKETS {
        highest[bucket] = (highest[bucket - 1] + 1) * 1_009 / 991;
        bucket += 1;
    }
    highest
}

/// How many durations there are of each size. A count may be negative in a difference of two histograms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<u16, i64>);

impl Histogram {
    /// That of one duration in milliseconds.
    pub fn of(duration_ms: i64) -> Self {
        Self(BTreeMap::from([(bucket(duration_ms), 1)]))
    }

    /// How many durations it has.
    pub fn count(&self) -> i64 {
        self.0.values().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// The smallest duration, in milliseconds, that at least the part `quantile` (0 to 1) of all durations do not exceed;
    /// within 1 %. `None` when there are none.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let count = self.count();
        if count <= 0 {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "a rank needs no more"
        )]
        // A product such as 0.07 × 100 is a little more than 7.
        let rank = (quantile * count as f64 - 1e-9).ceil().max(1.0) as i64;
        let mut seen = 0;
        let holds_it = |(_, count): &(&u16, &i64)| {
            seen += **count;
            seen >= rank
        };
        self.0.iter().find(holds_it).map(|(bucket, _)| representative(*bucket))
    }

    pub(super) fn add(&mut self, other: &Self, sign: i64) {
        for (bucket, count) in &other.0 {
            let sum = self.0.entry(*bucket).or_default();
            *sum = sum.wrapping_add(count.wrapping_mul(sign));
            if *sum == 0 {
                self.0.remove(bucket);
            }
        }
    }

    /// The buckets that are not empty, in order.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (u16, i64)> + '_ {
        self.0.iter().map(|(bucket, count)| (*bucket, *count))
    }

    pub(super) fn from_buckets(buckets: impl IntoIterator<Item = (u16, i64)>) -> Self {
        Self(buckets.into_iter().collect())
    }
}

fn bucket(duration_ms: i64) -> u16 {
    let duration = u64::try_from(duration_ms).unwrap_or(0);
    let bucket = HIGHEST.partition_point(|highest| *highest < duration).min(BUCKETS - 1);
    u16::try_from(bucket).unwrap_or(u16::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "far less than a hundredth")]
fn representative(bucket: u16) -> f64 {
    let bucket = usize::from(bucket).min(BUCKETS - 1);
    if bucket == 0 {
        return 0.0;
    }
    let (low, high) = ((HIGHEST[bucket - 1] + 1) as f64, HIGHEST[bucket] as f64);
    2.0 * low * high / (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_within_a_hundredth_of_what_stands_for_it() {
        let mut duration: i64 = 0;
        while duration < 900_000_000_000_000 {
            for duration in [duration, duration * 99 / 98, duration + 1] {
                let found = Histogram::of(duration).quantile(0.5).expect("there is one");
                let error = (found - duration as f64).abs();
                assert!(error <= 0.01 * duration as f64, "{duration} {found}");
            }
            duration = duration * 1_003 / 1_000 + 1;
        }
    }

    #[test]
    fn short_durations_are_exact() {
        for duration in 0..=55 {
            assert_eq!(Histogram::of(duration).quantile(1.0), Some(duration as f64));
        }
    }

    #[test]
    fn the_longest_and_the_impossible_have_a_bucket() {
        for duration in [i64::MAX, i64::MIN, -1] {
            assert!(Histogram::of(duration).quantile(0.5).is_some());
        }
        assert!(HIGHEST[BUCKETS - 1] > 30_000 * 365 * 24 * 3_600 * 1_000);
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut all = Histogram::default();
        for duration in 1..=100 {
            all.add(&Histogram::of(duration), 1);
        }
        assert_eq!(all.count(), 100);
        for (quantile, expected) in
            [(0.0, 1.0), (0.07, 7.0), (0.5, 50.0), (0.501, 51.0), (0.95, 95.0), (1.0, 100.0)]
        {
            let found = all.quantile(quantile).expect("there are some");
            assert!((found - expected).abs() <= 0.01 * expected, "{quantile}: {found}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn what_is_taken_out_leaves_nothing() {
        let mut histogram = Histogram::of(7);
        histogram.add(&Histogram::of(7), -1);
        assert_eq!(histogram, Histogram::default());
    }
}
