//! Log lines or visual events as they were appended: one row per call. Where it says lines, that goes for events, too.

use sea_orm::entity::prelude::*;

use crate::place::Place;
use crate::stream_kind::StreamKind;

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
    pub kind: StreamKind,
    #[sea_orm(primary_key, auto_increment = false)]
    pub last_seq: i64,
    pub first_seq: i64,
    pub owner_id: String,
    pub workflow_run_id: Option<String>,
    pub code_agent_id: Option<Uuid>,
    /// Which levels occur, bit 0 for TRACE to bit 4 for ERROR: lets a filter skip the chunk.
    pub levels: i16,
    pub byte_count: i32,
    /// When the last of them arrived.
    pub appended_at: DateTimeUtc,
    /// Where in the log's object its lines begin, in bytes; null while they are here.
    pub object_offset: Option<i64>,
    /// Which storage has that object.
    pub object_place: Option<Place>,
    /// When the lines of each call arrived, as JSON, in an entry of the index that has those of several calls.
    #[sea_orm(column_type = "Text", nullable)]
    pub arrivals: Option<String>,
    /// JSON lines, each ended by a newline, in the format of the log object; empty when they are there.
    #[sea_orm(column_type = "Text")]
    pub body: String,
}

impl ActiveModelBehavior for ActiveModel {}
