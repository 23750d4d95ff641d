//! The numbering of an execution's log lines, or of its visual events: a narrow row that appends lock instead of the
//! execution's. Where it says lines, that goes for events, too.

use sea_orm::entity::prelude::*;

use crate::place::Place;
use crate::stream_kind::StreamKind;

/// How far an execution's log has been written.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "log_stream")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub execution_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: StreamKind,
    pub owner_id: String,
    /// Copied from the execution, as the next, so that chunks can be found by run and by agent; null for visual events, which
    /// nobody looks for that way.
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
    /// The lines before this one are in the log's object.
    pub archived_seq: i64,
    /// Bytes of these lines: the size of the object.
    pub archived_bytes: i64,
    /// Which storage has the object; null before its first line.
    pub object_place: Option<Place>,
    /// When waiting lines are to be archived; null when none wait.
    pub archive_due_at: Option<DateTimeUtc>,
    /// Since when the oldest waiting line waits; null when none does.
    pub waiting_since: Option<DateTimeUtc>,
    /// A storage that rewrites objects is left alone until the log has so many bytes; null when it is not.
    pub archive_from_bytes: Option<i64>,
    /// Who is archiving: each claim has a lease of its own.
    pub archive_lease_id: Option<Uuid>,
    /// Until when nobody else archives.
    pub archive_leased_until: Option<DateTimeUtc>,
    /// The server that has, or had, the newest lease.
    pub archive_node_id: Option<Uuid>,
    /// Attempts to archive that have failed since the last that did not.
    pub archive_failures: i32,
    /// When the newest line was appended; null before the first.
    pub last_line_at: Option<DateTimeUtc>,
    /// Its lines were kept for as long as lines are kept, and are gone.
    pub expired: bool,
    /// The smallest timestamp of visual events, in milliseconds since 1970; null before the first, as the next.
    pub first_event_ms: Option<i64>,
    /// The greatest.
    pub last_event_ms: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
