//! How long to wait before another try.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// The longest wait before the first try again.
const WAIT_MIN: Duration = Duration::from_millis(250);
/// The longest wait before any try.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Waits that double up to [`WAIT_MAX`], each shortened at random by up to a half, so that many clients do not come
/// back to a restarted server all at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure; never shorter than what the server asked for, within [`WAIT_MAX`].
    pub(super) fn wait(&mut self, asked: Option<Duration>) -> Duration {
        let longest = WAIT_MIN.saturating_mul(1 << self.failures.min(16)).min(WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        let wait = longest.mul_f64(0.5 + random_fraction() / 2.0);
        wait.max(asked.unwrap_or_default().min(WAIT_MAX))
    }
}

/// From 0 to 1. The standard library seeds each hasher at random, which is enough here without a random generator.
fn random_fraction() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_vary() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..40).map(|_| backoff.wait(None)).collect();
        assert!(waits[0] >= WAIT_MIN / 2 && waits[0] <= WAIT_MIN);
        assert!(waits.iter().all(|wait| *wait <= WAIT_MAX));
        assert!(waits[20..].iter().all(|wait| *wait >= WAIT_MAX / 2));
        assert!(waits[20..].windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn the_servers_wish_is_heard_within_reason() {
        assert_eq!(Backoff::default().wait(Some(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(Backoff::default().wait(Some(Duration::from_secs(3600))), WAIT_MAX);
    }
}
