//! What is counted about executions, as one value that can be added, taken away and stored.

use super::Histogram;
use crate::domain::execution::Status;
use crate::error::{Error, Result};

/// What some executions add up to, or the difference that a change makes.
///
/// Sums wrap around instead of failing: a difference can always be taken away again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    pub queued: i64,
    pub running: i64,
    pub completed: i64,
    pub failed: i64,
    pub cancelled: i64,
    /// Executions that name a code agent.
    pub agent_executions: i64,
    /// Those of them that ran a version of it.
    pub version_executions: i64,
    pub input_tokens: i64,
    /// Part of `input_tokens`.
    pub cached_input_tokens: i64,
    pub output_tokens: i64,
    /// Millionths of a US dollar.
    pub cost_microusd: i64,
    /// Of all executions that have a duration, together.
    pub duration_ms: i64,
    /// Executions with a visual session.
    pub visual_executions: i64,
    pub visual_events_captured: i64,
    pub visual_stream_duration_ms: i64,
    pub durations: Histogram,
}

const NUMBERS: usize = 15;

impl Figures {
    /// All executions, whatever their status.
    pub fn executions(&self) -> i64 {
        self.queued + self.running + self.completed + self.failed + self.cancelled
    }

    /// The count of executions in `status`.
    pub fn in_status(&mut self, status: Status) -> &mut i64 {
        match status {
            Status::Queued => &mut self.queued,
            Status::Running => &mut self.running,
            Status::Completed => &mut self.completed,
            Status::Failed => &mut self.failed,
            Status::Cancelled => &mut self.cancelled,
        }
    }

    /// Whether there is nothing.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.add_times(other, 1);
    }

    /// Takes others away.
    pub fn subtract(&mut self, other: &Self) {
        self.add_times(other, -1);
    }

    /// What takes them away when it is added.
    #[must_use]
    pub fn negated(&self) -> Self {
        let mut negated = Self::default();
        negated.subtract(self);
        negated
    }

    fn add_times(&mut self, other: &Self, sign: i64) {
        for (mine, theirs) in self.numbers_mut().into_iter().zip(other.numbers()) {
            *mine = mine.wrapping_add(theirs.wrapping_mul(sign));
        }
        self.durations.add(&other.durations, sign);
    }

    /// As it is stored: equal figures have equal bytes.
    ///
    /// Little-endian base-128 numbers, the signed ones zigzag: a set of bits that says which of the numbers are not zero,
    /// in the order of the fields; those numbers; then for each bucket that is not empty its distance from the one
    /// before, and its count.
    pub fn encode(&self) -> Vec<u8> {
        let numbers = self.numbers();
        let mut bytes = Vec::with_capacity(16);
        let present = (0..NUMBERS).filter(|at| numbers[*at] != 0).fold(0, |bits, at| bits | 1 << at);
        put(&mut bytes, present);
        for number in numbers.into_iter().filter(|number| *number != 0) {
            put(&mut bytes, zigzag(number));
        }
        let mut before = 0;
        for (bucket, count) in self.durations.buckets() {
            put(&mut bytes, u64::from(bucket - before));
            put(&mut bytes, zigzag(count));
            before = bucket;
        }
        bytes
    }

    /// What was stored.
    ///
    /// # Errors
    /// `INTERNAL` for bytes that [`Figures::encode`] has not written.
    pub fn decode(mut bytes: &[u8]) -> Result<Self> {
        let broken = || Error::internal("stored figures cannot be read");
        let mut figures = Self::default();
        let present = take(&mut bytes).ok_or_else(broken)?;
        for (at, number) in figures.numbers_mut().into_iter().enumerate() {
            if present & 1 << at != 0 {
                *number = unzigzag(take(&mut bytes).ok_or_else(broken)?);
            }
        }
        let mut buckets = Vec::new();
        let mut bucket = 0;
        while !bytes.is_empty() {
            let distance =
                take(&mut bytes).and_then(|distance| u16::try_from(distance).ok()).ok_or_else(broken)?;
            bucket = distance.checked_add(bucket).ok_or_else(broken)?;
            buckets.push((bucket, unzigzag(take(&mut bytes).ok_or_else(broken)?)));
        }
        figures.durations = Histogram::from_buckets(buckets);
        Ok(figures)
    }

    fn numbers(&self) -> [i64; NUMBERS] {
        [
            self.queued,
            self.running,
            self.completed,
            self.failed,
            self.cancelled,
            self.agent_executions,
            self.version_executions,
            self.input_tokens,
            self.cached_input_tokens,
            self.output_tokens,
            self.cost_microusd,
            self.duration_ms,
            self.visual_executions,
            self.visual_events_captured,
            self.visual_stream_duration_ms,
        ]
    }

    fn numbers_mut(&mut self) -> [&mut i64; NUMBERS] {
        [
            &mut self.queued,
            &mut self.running,
            &mut self.completed,
            &mut self.failed,
            &mut self.cancelled,
            &mut self.agent_executions,
            &mut self.version_executions,
            &mut self.input_tokens,
            &mut self.cached_input_tokens,
            &mut self.output_tokens,
            &mut self.cost_microusd,
            &mut self.duration_ms,
            &mut self.visual_executions,
            &mut self.visual_events_captured,
            &mut self.visual_stream_duration_ms,
        ]
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(seed: i64) -> Figures {
        let mut figures = Figures { durations: Histogram::of(seed.abs()), ..Figures::default() };
        for (at, number) in figures.numbers_mut().into_iter().enumerate() {
            *number = seed.wrapping_mul([0, 1, -1, i64::MAX, i64::MIN, 300][at % 6]);
        }
        figures
    }

    #[test]
    fn figures_read_back_as_they_were_written() {
        for seed in [0, 1, -1, 127, 128, -12_345_678, i64::MAX, i64::MIN + 1] {
            let mut figures = some(seed);
            figures.add(&some(7));
            figures.subtract(&some(99_999_999));
            assert_eq!(Figures::decode(&figures.encode()).expect("it was written so"), figures);
        }
        assert_eq!(Figures::decode(&Figures::default().encode()).expect("nothing"), Figures::default());
    }

    #[test]
    fn a_change_of_status_takes_few_bytes() {
        let change = Figures { running: -1, completed: 1, ..Figures::default() };
        assert!(change.encode().len() <= 4);
    }

    #[test]
    fn what_was_not_written_so_is_refused() {
        for bytes in [&[][..], &[0x80], &[1], &[0, 1], &[0, 0xff, 0xff, 0xff, 1, 2], &[0xff; 11]] {
            assert!(Figures::decode(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_added_can_be_taken_away_whatever_it_is() {
        let mut figures = some(3);
        for seed in [5, i64::MAX, i64::MIN + 1, -40] {
            figures.add(&some(seed));
        }
        for seed in [5, i64::MAX, i64::MIN + 1, -40] {
            figures.subtract(&some(seed));
        }
        assert_eq!(figures, some(3));
    }
}
