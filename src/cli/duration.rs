//! Durations as people write them.

use chrono::TimeDelta;

use crate::domain::limits::TOKEN_LIFETIME_SECONDS_MAX;

/// Reads `30s`, `15m`, `1h` or `7d`; for clap.
pub(super) fn parse(value: &str) -> Result<TimeDelta, String> {
    let unit_at = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(unit_at);
    let unit_seconds = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(24 * 3600),
        _ => None,
    };
    let seconds = number.parse().ok().zip(unit_seconds).and_then(|(n, unit): (u64, u64)| n.checked_mul(unit));
    seconds
        .filter(|seconds| (1..=TOKEN_LIFETIME_SECONDS_MAX).contains(seconds))
        .and_then(|seconds| TimeDelta::try_seconds(seconds.try_into().ok()?))
        .ok_or_else(|| "a number with s, m, h or d, such as 30s, 15m, 1h or 7d, up to ten years".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, seconds) in
            [("30s", 30), ("15m", 900), ("1h", 3600), ("7d", 604_800), ("3650d", 315_360_000)]
        {
            assert_eq!(parse(text), Ok(TimeDelta::seconds(seconds)), "{text}");
        }
        for text in ["", "s", "1", "0s", "-1s", "1.5h", "1 h", "1w", "1hh", "3651d", "99999999999999999999d"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
