//! The scalars of the contract.

use async_graphql::{InputValueError, InputValueResult, Name, Number, Scalar, ScalarType, Value};
use async_graphql_value::RAW_VALUE_TOKEN;
use chrono::{Datelike as _, SecondsFormat, Timelike as _};

use crate::clock::Timestamp;
use crate::domain::limits::JSON_DEPTH_MAX;
use crate::domain::money;
use crate::error::{Error, Result};

/// A point in time: RFC 3339, UTC, e.g. `2026-11-21T09:30:00.125Z`. Kept in microseconds. Input may have another offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime(pub Timestamp);

/// A point in time: RFC 3339, UTC, e.g. `2026-11-21T09:30:00.125Z`. Kept in microseconds. Input may have another offset.
#[Scalar(name = "DateTime", specified_by_url = "https://scalars.graphql.org/andimarek/date-time")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let time: Timestamp =
            text.parse().map_err(|_| "a DateTime is RFC 3339, such as 2026-11-21T09:30:00.125Z")?;
        // Whole microseconds, and no leap second, which would not read back.
        Self::from_micros(time.timestamp_micros())
            .ok_or_else(|| "a DateTime is between the years 0 and 9999".into())
    }

    fn to_value(&self) -> Value {
        Value::String(self.to_text())
    }
}

impl DateTime {
    /// As it is written.
    pub fn to_text(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }

    /// The same into a text. chrono's writer had 3 % of the time of a list, which has hundreds of times.
    pub fn write_to(self, text: &mut String) {
        let Self(time) = self;
        let (year, micros) = (time.year(), time.nanosecond() / 1_000);
        let is_usual = (0..=9_999).contains(&year) && micros < 1_000_000 && time.nanosecond() % 1_000 == 0;
        if !is_usual {
            return text.push_str(&self.to_text());
        }
        // With a digit before them they have their zeros.
        let mut digits = itoa::Buffer::new();
        let date =
            digits.format(100_000_000 + year.unsigned_abs() * 10_000 + time.month() * 100 + time.day());
        let (year, month, day) = (&date[1..5], &date[5..7], &date[7..]);
        for part in [year, "-", month, "-", day, "T"] {
            text.push_str(part);
        }
        let clock = digits.format(1_000_000 + time.hour() * 10_000 + time.minute() * 100 + time.second());
        for part in [&clock[1..3], ":", &clock[3..5], ":", &clock[5..]] {
            text.push_str(part);
        }
        if micros > 0 {
            let fraction = digits.format(1_000_000 + micros);
            let fraction = if micros.is_multiple_of(1_000) { &fraction[1..4] } else { &fraction[1..] };
            text.push('.');
            text.push_str(fraction);
        }
        text.push('Z');
    }

    /// A time with a four-digit year: what RFC 3339 can write and both databases keep.
    pub fn from_micros(micros: i64) -> Option<Self> {
        let time = Timestamp::from_timestamp_micros(micros)?;
        (0..=9999).contains(&time.year()).then_some(Self(time))
    }
}

/// A 64-bit signed integer, as a JSON number. In JavaScript, numbers beyond 2^53 lose digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BigInt(pub i64);

/// A 64-bit signed integer, as a JSON number. In JavaScript, numbers beyond 2^53 lose digits.
#[Scalar(name = "BigInt")]
impl ScalarType for BigInt {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => {
                number.as_i64().map(Self).ok_or_else(|| "a BigInt is a whole number of 64 bits".into())
            }
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::Number(Number::from(self.0))
    }
}

/// An exact decimal as a string, e.g. `"0.004250"`: not negative, at most six decimals. Input may also be a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    /// Millionths.
    pub micros: i64,
}

/// An exact decimal as a string, e.g. `"0.004250"`: not negative, at most six decimals. Input may also be a whole number.
#[Scalar(name = "Decimal")]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        let micros = match &value {
            Value::String(text) => money::from_decimal(text),
            Value::Number(number) => {
                number.as_i64().and_then(|whole| money::from_decimal(&whole.to_string()))
            }
            _ => return Err(InputValueError::expected_type(value)),
        };
        micros.map(|micros| Self { micros }).ok_or_else(|| {
            "a Decimal is a string such as \"0.004250\": not negative, at most six decimals, at most 1000000".into()
        })
    }

    fn to_value(&self) -> Value {
        Value::String(self.to_text())
    }
}

impl Decimal {
    /// As it is written.
    pub fn to_text(self) -> String {
        money::to_decimal(self.micros)
    }

    /// The same into a text.
    pub fn write_to(self, text: &mut String) {
        money::write_decimal(self.micros, text);
    }
}

/// Any JSON value, nested at most 100 levels deep. It reads back as it was given, the order of keys included. No object
/// in it may have the key `$serde_json::private::RawValue`.
#[derive(Debug, Clone, PartialEq)]
pub struct Json(Value);

/// Any JSON value, nested at most 100 levels deep. It reads back as it was given, the order of keys included. No object
/// in it may have the key `$serde_json::private::RawValue`.
#[Scalar(name = "JSON", specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        if has_raw_text(&value) {
            return Err(format!("an object in JSON cannot have the key {RAW_VALUE_TOKEN:?}").into());
        }
        if JSON_DEPTH_MAX.is_passed_by(depth(&value)) {
            return Err(format!(
                "the value is nested too deep: {} is {}",
                JSON_DEPTH_MAX.name, JSON_DEPTH_MAX.max
            )
            .into());
        }
        Ok(Self(value))
    }

    fn to_value(&self) -> Value {
        self.0.clone()
    }
}

impl Json {
    /// Stored text, which goes into the answer as it is.
    pub fn from_text(text: String) -> Self {
        Self(Value::Object([(Name::new(RAW_VALUE_TOKEN), Value::String(text))].into_iter().collect()))
    }

    /// As it stands in an answer.
    pub fn into_value(self) -> Value {
        self.0
    }

    /// The text to be stored; `null` is no value.
    ///
    /// # Errors
    /// `INTERNAL` when it cannot be written.
    pub fn into_text(self) -> Result<Option<String>> {
        match self.0 {
            Value::Null => Ok(None),
            value => serde_json::to_string(&value).map(Some).map_err(Error::internal),
        }
    }
}

/// Whether async-graphql would take a text within it for JSON, and write it without quotes.
fn has_raw_text(value: &Value) -> bool {
    match value {
        Value::List(items) => items.iter().any(has_raw_text),
        Value::Object(fields) => fields.contains_key(RAW_VALUE_TOKEN) || fields.values().any(has_raw_text),
        _ => false,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_into_a_text_as_it_is_by_itself() {
        let seconds = [-62_167_219_200, -1, 0, 951_782_400, 1_785_000_000, 253_402_300_799, 253_402_300_800];
        let nanos = [0, 1_000, 125_000_000, 120_000, 999_999_000, 7, 1_500_000_000];
        for time in seconds.iter().flat_map(|seconds| nanos.map(|nanos| (*seconds, nanos))) {
            let Some(time) = Timestamp::from_timestamp(time.0, time.1).map(DateTime) else { continue };
            let mut text = String::new();
            time.write_to(&mut text);
            assert_eq!(text, time.to_text());
        }
    }
}
