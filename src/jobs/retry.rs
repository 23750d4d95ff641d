//! How long to wait before trying again.

use std::time::Duration;

use crate::clock::new_id;
use crate::domain::limits::{JOB_RETRY_MILLISECONDS_MIN, JOB_RETRY_SECONDS_MAX};

/// The wait after so many attempts: doubling up to a limit, and cut at random by up to a half, so that what failed
/// together does not come back together.
pub(super) fn wait_after(attempts: i32) -> Duration {
    let doublings = attempts.saturating_sub(1).clamp(0, 20);
    let millis = (JOB_RETRY_MILLISECONDS_MIN << doublings).min(JOB_RETRY_SECONDS_MAX * 1_000);
    // The last bits of a new id are random.
    let random = u64::from(new_id().as_bytes()[15]);
    Duration::from_millis(millis / 2 + millis / 2 * random / 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_limit_and_are_never_none() {
        for attempts in [i32::MIN, 0, 1, 2, 5, 30, i32::MAX] {
            let wait = wait_after(attempts);
            assert!(wait >= Duration::from_millis(JOB_RETRY_MILLISECONDS_MIN / 2), "{attempts}");
            assert!(wait <= Duration::from_secs(JOB_RETRY_SECONDS_MAX), "{attempts}");
        }
        assert!(wait_after(30) >= Duration::from_secs(JOB_RETRY_SECONDS_MAX / 2));
    }
}
