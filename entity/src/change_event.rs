//! The change feed: one row per change, written in the change's own transaction.

use sea_orm::entity::prelude::*;

use crate::execution::Mode;

/// What happened to an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Kind {
    /// It was started or recorded.
    #[sea_orm(string_value = "CREATED")]
    Created,
    /// Something about it changed, and it goes on.
    #[sea_orm(string_value = "UPDATED")]
    Updated,
    /// It has ended.
    #[sea_orm(string_value = "FINISHED")]
    Finished,
    /// It is gone.
    #[sea_orm(string_value = "DELETED")]
    Deleted,
}

/// An event carries ids, never data: readers load what they may see. Its figures are for the statistics alone.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "change_event")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub seq: i64,
    /// The writing transaction. Filled in by the database: PostgreSQL's transaction id, 0 on SQLite.
    pub xid: i64,
    pub tenant_id: String,
    pub owner_id: String,
    pub kind: Kind,
    pub execution_id: Uuid,
    pub revision: i32,
    pub created_at: DateTimeUtc,
    /// What of the execution statistics are counted by, here and below; null when there are no figures.
    pub mode: Option<Mode>,
    pub code_agent_id: Option<Uuid>,
    pub workflow_id: Option<String>,
    pub project_key: Option<String>,
    /// When the execution was created, cut to the hour.
    pub hour: Option<DateTimeUtc>,
    /// The difference that the change makes to the statistics; null when it makes none.
    pub figures: Option<Vec<u8>>,
}

impl ActiveModelBehavior for ActiveModel {}
