//! The rows of streams: opened with their executions, closed with them.

use std::collections::{HashMap, HashSet};

use entity::log_stream;
use sea_orm::IntoActiveModel as _;
use sea_orm::sea_query::OnConflict;
use uuid::Uuid;

use super::{LogStream, VisualTotals};
use crate::clock::Timestamp;
use crate::domain::execution::is_final;
use crate::domain::stream::StreamKind;
use crate::error::Result;
use crate::store::executions::ExecutionRow;
use crate::store::failure::failed;
use crate::store::scoped::Writable;
use crate::store::write::insert_many;
use crate::store::{WriteTx, system};

/// A stream before its first entry.
pub(in crate::store) fn new_stream(kind: StreamKind, row: &ExecutionRow) -> LogStream {
    let is_log = kind == StreamKind::Log;
    LogStream {
        tenant_id: row.tenant_id.clone(),
        execution_id: row.id,
        kind,
        owner_id: row.owner_id.clone(),
        workflow_run_id: row.workflow_run_id.clone().filter(|_| is_log),
        code_agent_id: row.code_agent_id.filter(|_| is_log),
        next_seq: 0,
        byte_count: 0,
        ended: is_final(row.status),
        heartbeat_at: None,
        archived_seq: 0,
        archived_bytes: 0,
        object_place: None,
        archive_due_at: None,
        waiting_since: None,
        archive_from_bytes: None,
        archive_lease_id: None,
        archive_leased_until: None,
        archive_node_id: None,
        archive_failures: 0,
        last_line_at: None,
        expired: false,
        first_event_ms: None,
        last_event_ms: None,
    }
}

pub(in crate::store) async fn save_streams(
    tx: &WriteTx,
    streams: impl Iterator<Item = LogStream>,
) -> Result<()> {
    use log_stream::Column as C;
    let on_conflict = OnConflict::columns([C::TenantId, C::ExecutionId, C::Kind])
        .update_columns([
            C::NextSeq,
            C::ByteCount,
            C::Ended,
            C::HeartbeatAt,
            C::ArchivedSeq,
            C::ArchivedBytes,
            C::ObjectPlace,
            C::ArchiveDueAt,
            C::WaitingSince,
            C::ArchiveFromBytes,
            C::ArchiveLeaseId,
            C::ArchiveLeasedUntil,
            C::ArchiveNodeId,
            C::ArchiveFailures,
            C::LastLineAt,
            C::Expired,
            C::FirstEventMs,
            C::LastEventMs,
        ])
        .to_owned();
    let rows = streams.map(|stream| stream.into_active_model()).collect();
    insert_many::<log_stream::Entity>(tx, rows, Some(on_conflict)).await.map_err(failed)
}

impl WriteTx {
    /// Opens the visual stream of an execution, which the transaction has locked, unless it is open already.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open_visual_stream(&self, execution: &Writable<ExecutionRow>) -> Result<()> {
        let row = execution.row();
        let streams = system::lock_log_streams(self, &[(row.tenant_id.clone(), row.id)]).await?;
        if streams.iter().any(|stream| stream.kind == StreamKind::Visual) {
            return Ok(());
        }
        save_streams(self, [new_stream(StreamKind::Visual, row)].into_iter()).await
    }

    /// Notes that the runners of some executions live, and closes the logs and visual sessions of those that have ended: no
    /// line can be added from here on. Gives what the sessions that have ended come to.
    ///
    /// # Errors
    /// What the database says.
    pub async fn save_log_states(
        &self,
        alive: Vec<(String, Uuid)>,
        ended: Vec<(String, Uuid)>,
        now: Timestamp,
    ) -> Result<HashMap<Uuid, VisualTotals>> {
        let ended: HashSet<_> = ended.into_iter().collect();
        let keys: Vec<_> = alive.into_iter().chain(ended.iter().cloned()).collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let streams = system::lock_log_streams(self, &keys).await?;
        let totals =
            streams.iter().filter_map(|stream| Some((stream.execution_id, VisualTotals::of(stream)?)));
        let totals = totals.filter(|(id, _)| ended.iter().any(|(_, ended_id)| ended_id == id)).collect();
        let changed = streams.into_iter().map(|stream| {
            let has_ended = ended.contains(&(stream.tenant_id.clone(), stream.execution_id));
            let stream = LogStream { heartbeat_at: Some(now), ..stream };
            if has_ended { closed(stream, now) } else { stream }
        });
        save_streams(self, changed).await?;
        Ok(totals)
    }

    /// Closes the logs of executions that ended without a sign of life: no line can be added from here on.
    pub(in crate::store) async fn close_logs(
        &self,
        ended: Vec<(String, Uuid)>,
        now: Timestamp,
    ) -> Result<()> {
        if ended.is_empty() {
            return Ok(());
        }
        let streams = system::lock_log_streams(self, &ended).await?;
        save_streams(self, streams.into_iter().map(|stream| closed(stream, now))).await
    }
}

/// A log that takes no more lines; what waits is archived at once.
fn closed(stream: LogStream, now: Timestamp) -> LogStream {
    let waits = stream.next_seq > stream.archived_seq;
    let archive_due_at = if waits { Some(now) } else { stream.archive_due_at };
    LogStream { ended: true, archive_due_at, ..stream }
}
