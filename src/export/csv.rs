//! CSV after RFC 4180, for spreadsheets: with a byte order mark, because some take the text for Windows-1252 without, and
//! with texts that a spreadsheet would calculate defused by an apostrophe, as OWASP advises against "CSV injection":
//! <https://owasp.org/www-community/attacks/CSV_Injection>.

use std::borrow::Cow;

use csv::{Terminator, Writer, WriterBuilder};

use super::{Record, time};
use crate::clock::Timestamp;
use crate::domain::execution::{mode_word, status_word};
use crate::domain::export::LargeValues;
use crate::domain::money;
use crate::error::{Error, Result};

const BYTE_ORDER_MARK: &str = "\u{feff}";

const COLUMNS: [&str; 27] = [
    "id",
    "name",
    "status",
    "mode",
    "codeAgentId",
    "codeVersion",
    "workflowId",
    "workflowRunId",
    "projectKey",
    "generationId",
    "ownerId",
    "inputTokens",
    "cachedInputTokens",
    "outputTokens",
    "totalTokens",
    "costUsd",
    "durationMs",
    "visualEnabled",
    "visualStreaming",
    "visualQuality",
    "visualSessionId",
    "visualEventsCaptured",
    "visualStreamDurationMs",
    "createdAt",
    "startedAt",
    "completedAt",
    "updatedAt",
];

pub(super) struct Csv {
    with: LargeValues,
}

impl Csv {
    pub(super) fn new(with: LargeValues) -> Self {
        Self { with }
    }

    pub(super) fn header(&self) -> String {
        let large = [("inputs", self.with.inputs), ("result", self.with.result), ("error", self.with.error)];
        let large = large.into_iter().filter(|(_, is_asked_for)| *is_asked_for).map(|(name, _)| name);
        let columns: Vec<_> = COLUMNS.into_iter().chain(large).collect();
        format!("{BYTE_ORDER_MARK}{}\r\n", columns.join(","))
    }

    /// # Errors
    /// None that is expected: it writes to memory.
    pub(super) fn rows(&self, records: &[Record]) -> Result<Vec<u8>> {
        let buffer = Vec::with_capacity(records.len() * 512);
        let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(buffer);
        for record in records {
            self.row(&mut writer, record).map_err(Error::internal)?;
        }
        writer.into_inner().map_err(Error::internal)
    }

    fn row(&self, csv: &mut Writer<Vec<u8>>, Record { row, large }: &Record) -> csv::Result<()> {
        csv.write_field(uuid(&mut [0; 36], &row.id))?;
        text(csv, row.name.as_deref())?;
        csv.write_field(status_word(row.status))?;
        csv.write_field(mode_word(row.mode))?;
        id(csv, row.code_agent_id)?;
        number(csv, row.code_version.map(i64::from))?;
        text(csv, row.workflow_id.as_deref())?;
        text(csv, row.workflow_run_id.as_deref())?;
        text(csv, row.project_key.as_deref())?;
        id(csv, row.generation_id)?;
        text(csv, Some(&row.owner_id))?;
        number(csv, Some(row.input_tokens))?;
        number(csv, Some(row.cached_input_tokens))?;
        number(csv, Some(row.output_tokens))?;
        number(csv, Some(row.input_tokens.saturating_add(row.output_tokens)))?;
        csv.write_field(money::to_decimal(row.cost_microusd))?;
        number(csv, row.duration_ms)?;
        csv.write_field(if row.visual_enabled { "true" } else { "false" })?;
        csv.write_field(if row.visual_streaming { "true" } else { "false" })?;
        text(csv, row.visual_quality.as_deref())?;
        text(csv, row.visual_session_id.as_deref())?;
        number(csv, Some(row.visual_events_captured))?;
        number(csv, Some(row.visual_stream_duration_ms))?;
        moment(csv, Some(row.created_at))?;
        moment(csv, row.started_at)?;
        moment(csv, row.completed_at)?;
        moment(csv, Some(row.updated_at))?;
        if self.with.inputs {
            text(csv, large.inputs.as_deref())?;
        }
        if self.with.result {
            text(csv, large.result.as_deref())?;
        }
        if self.with.error {
            text(csv, large.error.as_deref())?;
        }
        csv.write_record(None::<&[u8]>)
    }
}

fn text(csv: &mut Writer<Vec<u8>>, text: Option<&str>) -> csv::Result<()> {
    csv.write_field(&*defused(text.unwrap_or_default()))
}

fn id(csv: &mut Writer<Vec<u8>>, id: Option<uuid::Uuid>) -> csv::Result<()> {
    match id {
        Some(id) => csv.write_field(uuid(&mut [0; 36], &id)),
        None => csv.write_field(""),
    }
}

fn uuid<'a>(buffer: &'a mut [u8; 36], id: &uuid::Uuid) -> &'a str {
    id.hyphenated().encode_lower(buffer)
}

fn number(csv: &mut Writer<Vec<u8>>, number: Option<i64>) -> csv::Result<()> {
    csv.write_field(number.map(|number| number.to_string()).unwrap_or_default())
}

fn moment(csv: &mut Writer<Vec<u8>>, moment: Option<Timestamp>) -> csv::Result<()> {
    csv.write_field(moment.map(time).unwrap_or_default())
}

/// What no spreadsheet takes for a formula.
fn defused(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_calculate_is_defused() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"] {
            assert_eq!(defused(text), format!("'{text}"));
        }
        for text in ["", "a=1", "1-1", "'=1", " =1"] {
            assert_eq!(defused(text), text);
        }
    }
}
