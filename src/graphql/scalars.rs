//! The scalars of the contract.

use async_graphql::{InputValueError, InputValueResult, Number, Scalar, ScalarType, Value};
use chrono::{SecondsFormat, SubsecRound as _};

use crate::clock::Timestamp;
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
        // Four-digit years: what RFC 3339 can write and both databases keep.
        if !(0..=9999).contains(&chrono::Datelike::year(&time)) {
            return Err("a DateTime is between the years 0 and 9999".into());
        }
        Ok(Self(time.trunc_subsecs(6)))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
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
            "a Decimal is a string such as \"0.004250\": not negative, at most six decimals, at most 9000000000".into()
        })
    }

    fn to_value(&self) -> Value {
        Value::String(money::to_decimal(self.micros))
    }
}

/// Any JSON value. It reads back as it was given, the order of keys included.
#[derive(Debug, Clone, PartialEq)]
pub struct Json(pub Value);

/// Any JSON value. It reads back as it was given, the order of keys included.
#[Scalar(name = "JSON", specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value))
    }

    fn to_value(&self) -> Value {
        self.0.clone()
    }
}

impl Json {
    /// Reads stored text.
    ///
    /// # Errors
    /// `INTERNAL` when it is not JSON.
    pub fn from_text(text: &str) -> Result<Self> {
        serde_json::from_str(text).map(Self).map_err(Error::internal)
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
