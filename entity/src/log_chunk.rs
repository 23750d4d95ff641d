//! Log lines as they were appended: one row per call.

use sea_orm::entity::prelude::*;

/// Lines `first_seq..=last_seq` of one execution.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "log_chunk")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub execution_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub last_seq: i64,
    pub first_seq: i64,
    pub owner_id: String,
    pub workflow_run_id: Option<String>,
    pub code_agent_id: Option<Uuid>,
    /// Which levels occur, bit 0 for TRACE to bit 4 for ERROR: lets a filter skip the chunk.
    pub levels: i16,
    pub byte_count: i32,
    pub appended_at: DateTimeUtc,
    /// JSON lines, each ended by a newline, in the format of the log object.
    #[sea_orm(column_type = "Text")]
    pub body: String,
}

impl ActiveModelBehavior for ActiveModel {}
