//! Writing executions, with what belongs to them.

use std::collections::HashSet;

use chrono::TimeDelta;
use entity::{execution, execution_payload, log_chunk, log_stream};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{IntoActiveModel as _, Set};
use uuid::Uuid;

use super::{ExecutionRow, NewExecution, PayloadChange};
use crate::auth::Stamp;
use crate::clock::Timestamp;
use crate::domain::limits::DISCARD_GRACE_SECONDS;
use crate::domain::stream::StreamKind;
use crate::error::Result;
use crate::store::failure::failed;
use crate::store::scoped::{Writable, of_executions};
use crate::store::search::search_row;
use crate::store::write::{INSERT_ROWS_MAX, delete, insert_many, insert_new};
use crate::store::{WriteTx, logs, system};

impl WriteTx {
    /// Inserts executions with what belongs to them, but for those whose id is taken, by whomever; gives tenant and id of
    /// the others. Of two that have both in common, the first is inserted.
    ///
    /// # Errors
    /// What the database says.
    pub async fn insert_executions(
        &self,
        mut new: Vec<(Stamp, NewExecution)>,
    ) -> Result<HashSet<(String, Uuid)>> {
        for (stamp, NewExecution { row, .. }) in &mut new {
            stamp.tenant_id().clone_into(&mut row.tenant_id);
            stamp.owner_id().clone_into(&mut row.owner_id);
        }
        // In one order, so that two batches cannot wait for each other; a stable one.
        new.sort_by(|(_, a), (_, b)| (&a.row.tenant_id, a.row.id).cmp(&(&b.row.tenant_id, b.row.id)));
        let rows = new.iter().map(|(_, new)| new.row.clone().into_active_model()).collect();
        let key = [execution::Column::TenantId, execution::Column::Id];
        let inserted = insert_new::<execution::Entity, String, Uuid>(self, rows, key).await?;
        let inserted: HashSet<_> = inserted.into_iter().collect();
        let mut left = inserted.clone();
        let mut payloads = Vec::new();
        let mut streams = Vec::with_capacity(new.len());
        let mut words = Vec::with_capacity(new.len());
        let mut runs = Vec::with_capacity(new.len());
        for (_, NewExecution { row, payload }) in new {
            if !left.remove(&(row.tenant_id.clone(), row.id)) {
                continue;
            }
            streams.push(logs::new_stream(StreamKind::Log, &row).into_active_model());
            words.extend(search_row(&row, row.name.as_deref(), &payload));
            if !payload.is_empty() {
                payloads.push(payload_row(&row, payload));
            }
            runs.push(row);
        }
        insert_many::<execution_payload::Entity>(self, payloads, None).await.map_err(failed)?;
        insert_many::<log_stream::Entity>(self, streams, None).await.map_err(failed)?;
        self.save_words(words).await?;
        self.note_version_runs(&runs).await?;
        Ok(inserted)
    }

    /// Saves changed executions: the number of statements does not depend on how many there are.
    ///
    /// # Errors
    /// What the database says.
    pub async fn save_executions(&self, changed: Vec<Writable<ExecutionRow>>) -> Result<()> {
        use execution::Column as C;
        let on_conflict = OnConflict::columns([C::TenantId, C::Id])
            .update_columns([
                C::Status,
                C::GenerationId,
                C::InputTokens,
                C::CachedInputTokens,
                C::OutputTokens,
                C::CostMicrousd,
                C::DurationMs,
                C::VisualEnabled,
                C::VisualStreaming,
                C::VisualQuality,
                C::VisualSessionId,
                C::VisualEventsCaptured,
                C::VisualStreamDurationMs,
                C::DiscardAt,
                C::CheckAt,
                C::Revision,
                C::StartedAt,
                C::CompletedAt,
                C::UpdatedAt,
            ])
            .to_owned();
        let rows = changed.into_iter().map(|row| row.into_row().into_active_model()).collect();
        insert_many::<execution::Entity>(self, rows, Some(on_conflict)).await.map_err(failed)
    }

    /// Sets result and error of an execution that is being changed; what is `None` stays as it is.
    ///
    /// # Errors
    /// What the database says.
    pub async fn save_payloads(&self, changes: Vec<(&ExecutionRow, PayloadChange)>) -> Result<()> {
        use execution_payload::Column as C;
        let changes: Vec<_> = changes.into_iter().filter(|(_, change)| !change.is_empty()).collect();
        let words = changes.iter().filter_map(|(row, change)| search_row(row, None, change));
        self.save_words(words.collect()).await?;
        let rows: Vec<_> = changes.into_iter().map(|(row, change)| payload_row(row, change)).collect();
        // In an upsert, the old row goes by the table's name.
        let keep = |column: C| {
            let name = sea_orm::Iden::unquoted(&column).to_owned();
            (column, Expr::cust(format!("coalesce(excluded.{name}, execution_payload.{name})")))
        };
        let on_conflict = OnConflict::columns([C::TenantId, C::ExecutionId])
            .values([keep(C::Inputs), keep(C::Result), keep(C::Error)])
            .to_owned();
        insert_many::<execution_payload::Entity>(self, rows, Some(on_conflict)).await.map_err(failed)
    }

    /// Deletes executions with everything that belongs to them, and tells so.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_executions(&self, rows: &[Writable<ExecutionRow>], now: Timestamp) -> Result<()> {
        self.remove_executions(&rows.iter().map(Writable::row).collect::<Vec<_>>(), now).await
    }

    /// The one way out for executions, whoever deletes them.
    pub(in crate::store) async fn remove_executions(
        &self,
        rows: &[&ExecutionRow],
        now: Timestamp,
    ) -> Result<()> {
        self.record_deleted(rows, now).await?;
        let mut keys: Vec<_> = rows.iter().map(|row| (row.tenant_id.clone(), row.id)).collect();
        // In the order in which everybody locks logs, also from one part to the next.
        keys.sort_unstable();
        for keys in keys.chunks(INSERT_ROWS_MAX) {
            // An append that is under way has its lines stored first, so that they are deleted, too. Both kinds of them.
            let streams = system::lock_log_streams(self, keys).await?;
            self.doom_log_objects(&streams).await?;
            // Payload and log stream go with it: see their foreign keys.
            delete::<execution::Entity>(
                self,
                of_executions(execution::Column::TenantId, execution::Column::Id, keys),
            )
            .await?;
            delete::<log_chunk::Entity>(
                self,
                of_executions(log_chunk::Column::TenantId, log_chunk::Column::ExecutionId, keys),
            )
            .await?;
        }
        Ok(())
    }
}

/// What goes with every end of an execution.
pub fn end(row: &mut ExecutionRow, completed_at: Timestamp, duration_ms: Option<i64>, now: Timestamp) {
    row.completed_at = Some(completed_at);
    row.duration_ms = duration_ms;
    row.visual_streaming = false;
    row.check_at = None;
    if !row.keep_history {
        row.discard_at = Some(now + TimeDelta::seconds(DISCARD_GRACE_SECONDS));
    }
}

fn payload_row(row: &ExecutionRow, change: PayloadChange) -> execution_payload::ActiveModel {
    execution_payload::ActiveModel {
        tenant_id: Set(row.tenant_id.clone()),
        execution_id: Set(row.id),
        owner_id: Set(row.owner_id.clone()),
        inputs: Set(change.inputs),
        result: Set(change.result),
        error: Set(change.error),
    }
}
