//! Parts that several inputs share, and their rules.

use crate::domain::execution::DURATION_MS_MAX;
use crate::domain::limits::{ERROR_TEXT_BYTES_MAX, PAYLOAD_JSON_BYTES_MAX, at_most};
use crate::domain::money::COST_MICROUSD_MAX;
use crate::domain::text;
use crate::error::{Error, Result};
use crate::store::ExecutionRow;

/// The largest count of tokens, so that sums of millions of the largest fit 64 bits.
const TOKENS_MAX: i64 = 1_000_000_000_000;
const VISUAL_EVENTS_MAX: i64 = 1_000_000_000_000;

/// Token usage.
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    pub input: i64,
    /// Part of `input`.
    pub cached_input: i64,
    pub output: i64,
}

/// What is to change about visual streaming; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct VisualChange {
    pub enabled: Option<bool>,
    pub streaming: Option<bool>,
    pub quality: Option<String>,
    pub session_id: Option<String>,
    pub events_captured: Option<i64>,
    pub stream_duration_ms: Option<i64>,
}

impl Tokens {
    pub(super) fn apply(self, at: &str, row: &mut ExecutionRow) -> Result<()> {
        for (name, count) in
            [("input", self.input), ("cachedInput", self.cached_input), ("output", self.output)]
        {
            in_range(&format!("{at}.tokens.{name}"), count, TOKENS_MAX)?;
        }
        if self.cached_input > self.input {
            return Err(Error::bad_input(
                format!("{at}.tokens.cachedInput"),
                "cachedInput is part of input and cannot be more than it",
            ));
        }
        row.input_tokens = self.input;
        row.cached_input_tokens = self.cached_input;
        row.output_tokens = self.output;
        Ok(())
    }
}

impl VisualChange {
    pub(super) fn apply(self, at: &str, row: &mut ExecutionRow) -> Result<()> {
        if let Some(enabled) = self.enabled {
            row.visual_enabled = enabled;
        }
        if let Some(streaming) = self.streaming {
            row.visual_streaming = streaming;
        }
        if let Some(quality) = text::short_optional(&format!("{at}.visual.quality"), self.quality)? {
            row.visual_quality = Some(quality);
        }
        if let Some(session_id) = text::short_optional(&format!("{at}.visual.sessionId"), self.session_id)? {
            row.visual_session_id = Some(session_id);
        }
        if let Some(events) = self.events_captured {
            row.visual_events_captured =
                in_range(&format!("{at}.visual.eventsCaptured"), events, VISUAL_EVENTS_MAX)?;
        }
        if let Some(duration) = self.stream_duration_ms {
            row.visual_stream_duration_ms =
                in_range(&format!("{at}.visual.streamDurationMs"), duration, DURATION_MS_MAX)?;
        }
        Ok(())
    }
}

/// Checks a cost in micro-dollars.
pub(super) fn cost(at: &str, microusd: i64) -> Result<i64> {
    in_range(&format!("{at}.costUsd"), microusd, COST_MICROUSD_MAX)
}

/// Checks a number that counts something.
pub(super) fn in_range(field: &str, number: i64, max: i64) -> Result<i64> {
    if (0..=max).contains(&number) {
        return Ok(number);
    }
    Err(Error::bad_input(field.to_owned(), format!("{field} must be between 0 and {max}")))
}

/// Checks `inputs` or `result`, which is JSON text.
pub(super) fn json(field: &str, json: Option<String>) -> Result<Option<String>> {
    if let Some(json) = &json {
        at_most(field, json.len(), PAYLOAD_JSON_BYTES_MAX)?;
    }
    Ok(json)
}

/// Checks `error`.
pub(super) fn error_text(field: &str, error: Option<String>) -> Result<Option<String>> {
    error.map(|error| text::long(field, error, ERROR_TEXT_BYTES_MAX)).transpose()
}
