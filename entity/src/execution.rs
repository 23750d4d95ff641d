//! A run of a program: the slim row that lists read.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// Where an execution is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Status {
    /// Waiting to be run.
    #[sea_orm(string_value = "QUEUED")]
    Queued,
    /// Running now.
    #[sea_orm(string_value = "RUNNING")]
    Running,
    /// Ended well.
    #[sea_orm(string_value = "COMPLETED")]
    Completed,
    /// Ended with an error.
    #[sea_orm(string_value = "FAILED")]
    Failed,
    /// Ended because somebody asked for it.
    #[sea_orm(string_value = "CANCELLED")]
    Cancelled,
}

/// Where an execution runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Mode {
    /// On a machine of the platform.
    #[sea_orm(string_value = "CLOUD_RUN")]
    CloudRun,
    /// On a machine of the user.
    #[sea_orm(string_value = "LOCAL_RUN")]
    LocalRun,
}

/// An execution without its large values, which are in [`super::execution_payload`].
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "execution")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub owner_id: String,
    pub status: Status,
    pub mode: Mode,
    pub name: Option<String>,
    /// What ran; the agent may be gone by now.
    pub code_agent_id: Option<Uuid>,
    /// The number of the version that ran.
    pub code_version: Option<i32>,
    pub workflow_id: Option<String>,
    pub workflow_run_id: Option<String>,
    pub project_key: Option<String>,
    /// What it made or ran; it may be gone by now.
    pub generation_id: Option<Uuid>,
    pub input_tokens: i64,
    /// Part of `input_tokens`.
    pub cached_input_tokens: i64,
    pub output_tokens: i64,
    /// Millionths of a US dollar.
    pub cost_microusd: i64,
    pub duration_ms: Option<i64>,
    pub visual_enabled: bool,
    pub visual_streaming: bool,
    pub visual_quality: Option<String>,
    pub visual_session_id: Option<String>,
    pub visual_events_captured: i64,
    pub visual_stream_duration_ms: i64,
    /// Whether it stays in the history once it has ended.
    pub keep_history: bool,
    /// Set when an execution that is not kept has ended: hidden at once, its rows are removed from then on.
    pub discard_at: Option<DateTimeUtc>,
    /// How long its runner may be silent; null for as long as the server allows.
    pub stale_after_seconds: Option<i32>,
    /// When to look whether its runner still lives; null unless it runs.
    pub check_at: Option<DateTimeUtc>,
    /// Grows by one with every change.
    pub revision: i32,
    pub created_at: DateTimeUtc,
    pub started_at: Option<DateTimeUtc>,
    pub completed_at: Option<DateTimeUtc>,
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
