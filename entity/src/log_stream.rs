//! The numbering of an execution's log lines: a narrow row that appends lock instead of the execution's.

use sea_orm::entity::prelude::*;

/// How far an execution's log has been written.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "log_stream")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub execution_id: Uuid,
    pub owner_id: String,
    /// Copied from the execution, as the next, so that chunks can be found by run and by agent.
    pub workflow_run_id: Option<String>,
    pub code_agent_id: Option<Uuid>,
    /// The number that the next line gets; lines are numbered from 0 without holes.
    pub next_seq: i64,
    /// Bytes of all chunks so far.
    pub byte_count: i64,
    /// No line follows any more: the execution has ended.
    pub ended: bool,
    /// When the runner appended a line or said that it lives.
    pub heartbeat_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
