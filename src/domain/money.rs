//! US dollars as whole micro-dollars, written as exact decimals with six places.

/// The largest amount, in micro-dollars: a million dollars, so that sums of millions of the largest fit 64 bits.
pub const COST_MICROUSD_MAX: i64 = 1_000_000_000_000;

const MICROS_PER_DOLLAR: i64 = 1_000_000;
const DECIMALS: usize = 6;

/// Writes micro-dollars as dollars: `4250` is `0.004250`.
pub fn to_decimal(microusd: i64) -> String {
    let mut text = String::with_capacity(16);
    write_decimal(microusd, &mut text);
    text
}

/// The same into a text.
pub fn write_decimal(microusd: i64, text: &mut String) {
    if microusd < 0 {
        text.push('-');
    }
    let (micros, per_dollar) = (microusd.unsigned_abs(), MICROS_PER_DOLLAR.unsigned_abs());
    text.push_str(itoa::Buffer::new().format(micros / per_dollar));
    text.push('.');
    // With a digit before them they have their zeros.
    text.push_str(&itoa::Buffer::new().format(per_dollar + micros % per_dollar)[1..]);
}

/// Reads dollars such as `0.004250`, `3` or `.5`: not negative, at most six decimals, at most [`COST_MICROUSD_MAX`].
pub fn from_decimal(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty())
        || !digits(whole)
        || !digits(fraction)
        || fraction.len() > DECIMALS
    {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: i64 = format!("{fraction:0<DECIMALS$}").parse().ok()?;
    let microusd = whole.checked_mul(MICROS_PER_DOLLAR)?.checked_add(fraction)?;
    (microusd <= COST_MICROUSD_MAX).then_some(microusd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_both_ways() {
        for (text, microusd) in [
            ("0.004250", 4_250),
            ("0", 0),
            ("3", 3_000_000),
            (".5", 500_000),
            ("12.", 12_000_000),
            ("0.000001", 1),
        ] {
            assert_eq!(from_decimal(text), Some(microusd), "{text}");
        }
        assert_eq!(to_decimal(4_250), "0.004250");
        assert_eq!(to_decimal(12_000_001), "12.000001");
        assert_eq!(to_decimal(0), "0.000000");
        assert_eq!(to_decimal(-4_250), "-0.004250");
        assert_eq!(to_decimal(i64::MIN), "-9223372036854.775808");
    }

    #[test]
    fn what_is_not_an_exact_amount_is_refused() {
        for text in [
            "",
            ".",
            "-1",
            "+1",
            "1e3",
            "0.0000001",
            "1,5",
            "NaN",
            " 1",
            "1000000.000001",
            "99999999999999999999",
        ] {
            assert_eq!(from_decimal(text), None, "{text}");
        }
    }
}
