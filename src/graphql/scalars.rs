//! The scalars of the contract.

use async_graphql::{InputValueError, InputValueResult, Name, Number, Scalar, ScalarType, Value};
use async_graphql_value::RAW_VALUE_TOKEN;
use chrono::SecondsFormat;

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

    /// A time with a four-digit year: what RFC 3339 can write and both databases keep.
    pub fn from_micros(micros: i64) -> Option<Self> {
        let time = Timestamp::from_timestamp_micros(micros)?;
        (0..=9999).contains(&chrono::Datelike::year(&time)).then_some(Self(time))
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
