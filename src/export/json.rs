//! JSON: an object an execution, with the names that the API has for the same things.

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Record, time};
use crate::domain::execution::{Mode, Status};
use crate::domain::export::LargeValues;
use crate::domain::money;
use crate::error::{Error, Result};
use crate::store::{ExecutionRow, PayloadChange};

pub(super) struct Json {
    with: LargeValues,
    is_list: bool,
    is_first: bool,
}

impl Json {
    /// One list.
    pub(super) fn list(with: LargeValues) -> Self {
        Self { with, is_list: true, is_first: true }
    }

    /// An object a line.
    pub(super) fn lines(with: LargeValues) -> Self {
        Self { is_list: false, ..Self::list(with) }
    }

    pub(super) fn start(&self) -> &'static str {
        if self.is_list { "[" } else { "" }
    }

    pub(super) fn end(&self) -> &'static str {
        if self.is_list { "\n]\n" } else { "" }
    }

    /// # Errors
    /// When a stored value is no JSON.
    pub(super) fn rows(&mut self, records: &[Record]) -> Result<Vec<u8>> {
        let mut buffer = Vec::with_capacity(records.len() * 1024);
        for record in records {
            if self.is_list {
                buffer.extend_from_slice(if self.is_first { b"\n" } else { b",\n" });
                self.is_first = false;
            }
            let object = Object::new(&record.row, &record.large, self.with)?;
            serde_json::to_writer(&mut buffer, &object).map_err(Error::internal)?;
            if !self.is_list {
                buffer.push(b'\n');
            }
        }
        Ok(buffer)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    id: Uuid,
    name: Option<&'a str>,
    status: Status,
    mode: Mode,
    code_agent_id: Option<Uuid>,
    code_version: Option<i32>,
    workflow_id: Option<&'a str>,
    workflow_run_id: Option<&'a str>,
    project_key: Option<&'a str>,
    generation_id: Option<Uuid>,
    owner_id: &'a str,
    tokens: Tokens,
    cost_usd: String,
    duration_ms: Option<i64>,
    visual: Visual<'a>,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    updated_at: String,
    /// Null when there are none, absent when they were not asked for; so are the next two.
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<Option<&'a RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Option<&'a RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Option<&'a str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    input: i64,
    cached_input: i64,
    output: i64,
    total: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Visual<'a> {
    enabled: bool,
    streaming: bool,
    quality: Option<&'a str>,
    session_id: Option<&'a str>,
    events_captured: i64,
    stream_duration_ms: i64,
}

impl<'a> Object<'a> {
    fn new(row: &'a ExecutionRow, large: &'a PayloadChange, with: LargeValues) -> Result<Self> {
        Ok(Self {
            id: row.id,
            name: row.name.as_deref(),
            status: row.status,
            mode: row.mode,
            code_agent_id: row.code_agent_id,
            code_version: row.code_version,
            workflow_id: row.workflow_id.as_deref(),
            workflow_run_id: row.workflow_run_id.as_deref(),
            project_key: row.project_key.as_deref(),
            generation_id: row.generation_id,
            owner_id: &row.owner_id,
            tokens: Tokens {
                input: row.input_tokens,
                cached_input: row.cached_input_tokens,
                output: row.output_tokens,
                total: row.input_tokens.saturating_add(row.output_tokens),
            },
            cost_usd: money::to_decimal(row.cost_microusd),
            duration_ms: row.duration_ms,
            visual: Visual {
                enabled: row.visual_enabled,
                streaming: row.visual_streaming,
                quality: row.visual_quality.as_deref(),
                session_id: row.visual_session_id.as_deref(),
                events_captured: row.visual_events_captured,
                stream_duration_ms: row.visual_stream_duration_ms,
            },
            created_at: time(row.created_at),
            started_at: row.started_at.map(time),
            completed_at: row.completed_at.map(time),
            updated_at: time(row.updated_at),
            inputs: with.inputs.then(|| raw(large.inputs.as_deref())).transpose()?,
            result: with.result.then(|| raw(large.result.as_deref())).transpose()?,
            error: with.error.then_some(large.error.as_deref()),
        })
    }
}

fn raw(text: Option<&str>) -> Result<Option<&RawValue>> {
    text.map(serde_json::from_str).transpose().map_err(Error::internal)
}
