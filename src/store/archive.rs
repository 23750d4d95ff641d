//! Moving log lines to their objects: what is due, and what has been moved.
//!
//! These are system operations: logs of all tenants are archived by whoever has claimed them.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use entity::{job, log_chunk, log_stream};
use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, Query};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, FromQueryResult, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Select,
};
use uuid::Uuid;

use super::arrivals::remembered;
use super::failure::failed;
use super::jobs::{JobKind, NewJob};
use super::logs::{LogChunk, LogStream, archive_due_at, save_streams, stream_key};
use super::system::lock_log_streams;
use super::write::{delete, insert_many};
use super::{Store, WriteTx};
use crate::clock::{Timestamp, new_id, now};
use crate::domain::limits::{ARCHIVE_LEASE_SECONDS, INDEX_ENTRY_BYTES_MAX, INDEX_ENTRY_LINES_MAX};
use crate::domain::object::{Doomed, Place};
use crate::domain::stream::StreamKind;
use crate::error::{Error, Result};

/// PostgreSQL's sums are numeric.
const WAITING_BYTES: &str = "CAST(coalesce(sum(byte_count - archived_bytes), 0) AS bigint)";
/// Waiting chunks that one write looks at.
const CHUNKS_MAX: u64 = 4_096;

/// Lines that a log's object has by now.
#[derive(Debug)]
pub struct Archived {
    /// As it was claimed.
    pub stream: LogStream,
    /// Which storage has the object.
    pub place: Place,
    /// The chunks, in order.
    pub chunks: Vec<WaitingChunk>,
}

impl Archived {
    /// How many lines.
    pub fn lines(&self) -> i64 {
        let ends = self.chunks.first().zip(self.chunks.last());
        ends.map_or(0, |(first, last)| last.0.last_seq + 1 - first.0.first_seq)
    }
}

/// A log that was claimed and is given back.
#[derive(Debug)]
pub struct Release {
    /// As it was claimed.
    pub stream: LogStream,
    /// When it is due again; `None` for when it says itself.
    pub due_at: Option<Timestamp>,
    /// It is due at once when it has so many bytes, and lines that come before that change nothing.
    pub from_bytes: Option<i64>,
    /// Whether storage has failed.
    pub has_failed: bool,
}

/// A chunk whose lines are in the database.
#[derive(Debug, Clone)]
pub struct WaitingChunk(log_chunk::Model);

impl WaitingChunk {
    /// JSON lines; they leave the chunk, of which only its place in the log is needed from then on.
    pub fn take_body(&mut self) -> String {
        std::mem::take(&mut self.0.body)
    }
}

/// How much waits to be archived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct Behind {
    /// Logs with waiting lines.
    pub logs: i64,
    /// Their waiting text.
    pub bytes: i64,
    /// When the first of them was due.
    pub due_at: Option<Timestamp>,
    /// Since when the oldest of their lines waits.
    pub waiting_since: Option<Timestamp>,
}

impl Store {
    /// Takes at most `rows` logs whose waiting lines are due at `due`, and that nobody has now, each until `until`, for the
    /// server `node_id`.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn claim_logs(
        &self,
        node_id: Uuid,
        due: Timestamp,
        now: Timestamp,
        until: Timestamp,
        rows: u64,
    ) -> Result<Vec<LogStream>> {
        use log_stream::Column as C;
        let tx = self.begin().await?;
        let mut select = log_stream::Entity::find()
            .filter(C::ArchiveDueAt.lte(due))
            .filter(C::ArchiveLeasedUntil.is_null().or(C::ArchiveLeasedUntil.lte(now)))
            .order_by_asc(C::ArchiveDueAt)
            .limit(rows);
        if tx.dialect.is_postgres() {
            select = select.lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
        }
        let mut streams = select.all(&tx.inner).await.map_err(failed)?;
        for stream in &mut streams {
            stream.archive_lease_id = Some(new_id());
            stream.archive_leased_until = Some(until);
            stream.archive_node_id = Some(node_id);
        }
        save_streams(&tx, streams.iter().cloned()).await?;
        tx.commit().await?;
        Ok(streams)
    }

    /// Whether the waiting lines of any log that nobody has now are due at `due`.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn has_due_logs(&self, due: Timestamp, now: Timestamp) -> Result<bool> {
        use log_stream::Column as C;
        let due: Option<Uuid> = log_stream::Entity::find()
            .select_only()
            .column(C::ExecutionId)
            .filter(C::ArchiveDueAt.lte(due))
            .filter(C::ArchiveLeasedUntil.is_null().or(C::ArchiveLeasedUntil.lte(now)))
            .order_by_asc(C::ArchiveDueAt)
            .limit(1)
            .into_tuple()
            .one(&self.0.read)
            .await
            .map_err(failed)?;
        Ok(due.is_some())
    }

    /// The waiting chunks of a log that was claimed, in order: about `bytes_max` of text, at least one if there is any.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn waiting_chunks(&self, stream: &LogStream, bytes_max: usize) -> Result<Vec<WaitingChunk>> {
        use log_chunk::Column as C;
        let select = log_chunk::Entity::find()
            .filter(C::TenantId.eq(&stream.tenant_id))
            .filter(C::ExecutionId.eq(stream.execution_id))
            .filter(C::Kind.eq(stream.kind))
            .filter(C::LastSeq.gte(stream.archived_seq))
            // What is in an object already has no text to be archived.
            .filter(C::ObjectOffset.is_null())
            .order_by_asc(C::LastSeq);
        let last_seq = self.last_that_fits(&select, bytes_max).await?;
        let Some(last_seq) = last_seq else { return Ok(Vec::new()) };
        let chunks = select.filter(C::LastSeq.lte(last_seq)).all(&self.0.read).await.map_err(failed)?;
        Ok(chunks.into_iter().map(WaitingChunk).collect())
    }

    /// Notes what objects have by now: their lines leave the database, all in one transaction, and the leases end. A log
    /// whose lease was lost meanwhile does not change; when it was deleted, its object may go at once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn lines_archived(
        &self,
        archived: Vec<Archived>,
        archive_after: TimeDelta,
        now: Timestamp,
    ) -> Result<()> {
        let tx = self.begin().await?;
        let keys: Vec<_> = archived.iter().map(|archived| of_execution(&archived.stream)).collect();
        let locked = lock_log_streams(&tx, &keys).await?;
        let mut locked: HashMap<_, _> =
            locked.into_iter().map(|stream| (stream_key(&stream), stream)).collect();
        let mut saved = Vec::new();
        let mut index = Vec::new();
        let mut lost = Vec::new();
        for Archived { stream, place, chunks } in archived {
            let current = locked.remove(&stream_key(&stream));
            let current = current.filter(|current| current.archive_lease_id == stream.archive_lease_id);
            let Some(mut current) = current else {
                lost.push((stream.kind, stream.execution_id));
                continue;
            };
            let newest_archived_at = chunks.last().map(|last| last.0.appended_at);
            if let (Some(first), Some(last)) = (chunks.first(), chunks.last()) {
                use log_chunk::Column as C;
                let moved = C::TenantId
                    .eq(&stream.tenant_id)
                    .and(C::ExecutionId.eq(stream.execution_id))
                    .and(C::Kind.eq(stream.kind))
                    .and(C::LastSeq.between(first.0.last_seq, last.0.last_seq));
                delete::<log_chunk::Entity>(&tx, Condition::all().add(moved)).await?;
                current.archived_seq = last.0.last_seq + 1;
                let entries = entries(chunks, current.archived_bytes, place)?;
                current.archived_bytes +=
                    entries.iter().map(|entry| i64::from(entry.byte_count)).sum::<i64>();
                index.extend(entries.into_iter().map(log_chunk::Model::into_active_model));
            }
            current.object_place = Some(place);
            current.archive_failures = 0;
            current.archive_lease_id = None;
            current.archive_leased_until = None;
            current.archive_due_at = None;
            current.archive_from_bytes = None;
            current.waiting_since = None;
            if current.next_seq > current.archived_seq {
                // Those that are left came after those that are not.
                current.waiting_since = newest_archived_at.or(stream.waiting_since);
                current.archive_due_at = Some(archive_due_at(&current, archive_after, now));
            }
            saved.push(current);
        }
        insert_many::<log_chunk::Entity>(&tx, index, None).await.map_err(failed)?;
        save_streams(&tx, saved.into_iter()).await?;
        for kind in [StreamKind::Log, StreamKind::Visual] {
            let lost: Vec<_> = lost.iter().filter(|(of, _)| *of == kind).map(|(_, id)| *id).collect();
            tx.hurry_jobs(deletion(kind), &lost, now).await?;
        }
        tx.commit().await
    }

    /// Gives logs back that were claimed, to be claimed again when they are due.
    ///
    /// # Errors
    /// What the database says.
    pub async fn release_logs(&self, released: Vec<Release>) -> Result<()> {
        if released.is_empty() {
            return Ok(());
        }
        let tx = self.begin().await?;
        let keys: Vec<_> = released.iter().map(|release| of_execution(&release.stream)).collect();
        let mut released: HashMap<_, _> =
            released.into_iter().map(|release| (stream_key(&release.stream), release)).collect();
        let mut locked = lock_log_streams(&tx, &keys).await?;
        locked.retain_mut(|stream| {
            let release = released.remove(&stream_key(stream));
            let release = release.filter(|of| of.stream.archive_lease_id == stream.archive_lease_id);
            let Some(Release { due_at, from_bytes, has_failed, .. }) = release else { return false };
            stream.archive_lease_id = None;
            stream.archive_leased_until = None;
            stream.archive_failures = stream.archive_failures.saturating_add(i32::from(has_failed));
            let waits = stream.next_seq > stream.archived_seq;
            // So much came since it was claimed, or its end.
            let is_due = from_bytes.is_some_and(|from_bytes| stream.byte_count >= from_bytes || stream.ended);
            stream.archive_from_bytes = from_bytes;
            stream.archive_due_at = match due_at {
                _ if !waits => None,
                Some(due_at) if !is_due => Some(due_at),
                _ => stream.archive_due_at,
            };
            true
        });
        save_streams(&tx, locked.into_iter()).await?;
        tx.commit().await
    }

    /// Plans to archive lines that nobody has planned to, of at most `rows` logs; says how many logs that were.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn plan_archiving(&self, now: Timestamp, rows: u64) -> Result<usize> {
        use log_stream::Column as C;
        let tx = self.begin().await?;
        let mut select = log_stream::Entity::find()
            .filter(C::ArchiveDueAt.is_null())
            .filter(C::NextSeq.into_expr().gt(C::ArchivedSeq.into_expr()))
            .order_by_asc(C::ExecutionId)
            .limit(rows);
        if tx.dialect.is_postgres() {
            select = select.lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
        }
        let mut streams = select.all(&tx.inner).await.map_err(failed)?;
        for stream in &mut streams {
            stream.archive_due_at = Some(now);
        }
        let planned = streams.len();
        save_streams(&tx, streams.into_iter()).await?;
        tx.commit().await?;
        Ok(planned)
    }

    /// Ends the leases of all logs: whoever had them is gone, and can write nothing any more.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_log_leases(&self) -> Result<()> {
        use log_stream::Column as C;
        let tx = self.begin().await?;
        let leased = C::ArchiveLeaseId.is_not_null();
        let mut streams = lock_waiting_logs(&tx, leased).await?;
        for stream in &mut streams {
            stream.archive_lease_id = None;
            stream.archive_leased_until = None;
        }
        save_streams(&tx, streams.into_iter()).await?;
        tx.commit().await
    }

    /// Lets the leases of a server's earlier process end at `until`: it can send nothing any more, and what it sent has
    /// arrived by then.
    ///
    /// # Errors
    /// What the database says.
    pub async fn shorten_log_leases(&self, node_id: Uuid, until: Timestamp) -> Result<()> {
        use log_stream::Column as C;
        let tx = self.begin().await?;
        let leased = C::ArchiveNodeId.eq(node_id).and(C::ArchiveLeasedUntil.gt(until));
        let mut streams = lock_waiting_logs(&tx, leased).await?;
        for stream in &mut streams {
            stream.archive_leased_until = Some(until);
        }
        save_streams(&tx, streams.into_iter()).await?;
        tx.commit().await
    }

    /// Which of some streams are named as one whose object is still to be deleted.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn doomed_logs(
        &self,
        streams: impl Iterator<Item = &LogStream>,
    ) -> Result<HashSet<(StreamKind, Uuid)>> {
        use job::Column as C;
        let named: HashSet<_> = streams.map(|stream| (stream.kind, stream.execution_id)).collect();
        if named.is_empty() {
            return Ok(HashSet::new());
        }
        let doomed: Vec<(JobKind, Uuid)> = job::Entity::find()
            .select_only()
            .columns([C::Kind, C::SubjectId])
            .filter(C::Kind.is_in([JobKind::DeleteObjects, JobKind::DeleteVisualObjects]))
            .filter(C::SubjectId.is_in(named.iter().map(|(_, id)| *id)))
            .into_tuple()
            .all(&self.0.read)
            .await
            .map_err(failed)?;
        let doomed: HashSet<_> = doomed.into_iter().collect();
        Ok(named.into_iter().filter(|(kind, id)| doomed.contains(&(deletion(*kind), *id))).collect())
    }

    /// How much waits to be archived.
    ///
    /// # Errors
    /// What the database says.
    pub async fn archive_behind(&self) -> Result<Behind> {
        use log_stream::Column as C;
        let query = Query::select()
            .expr_as(C::ExecutionId.count(), "logs")
            .expr_as(Expr::cust(WAITING_BYTES), "bytes")
            .expr_as(C::ArchiveDueAt.min(), "due_at")
            .expr_as(C::WaitingSince.min(), "waiting_since")
            .from(log_stream::Entity)
            .and_where(C::ArchiveDueAt.is_not_null())
            .take();
        let statement = self.0.dialect.backend().build(&query);
        let behind = Behind::find_by_statement(statement).one(&self.0.read).await.map_err(failed)?;
        behind.ok_or_else(|| Error::internal("a sum gave no row"))
    }

    /// The executions of at most `rows` logs of which more than `bytes` wait.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn logs_far_behind(&self, bytes: i64, rows: u64) -> Result<Vec<Uuid>> {
        use log_stream::Column as C;
        log_stream::Entity::find()
            .select_only()
            .column(C::ExecutionId)
            .filter(C::ArchiveDueAt.is_not_null())
            .filter(C::ByteCount.into_expr().sub(C::ArchivedBytes.into_expr()).gt(bytes))
            .limit(rows)
            .into_tuple()
            .all(&self.0.read)
            .await
            .map_err(failed)
    }

    /// The log that a link is for: whoever made the link has seen it.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn linked_log(
        &self,
        kind: StreamKind,
        tenant_id: &str,
        execution_id: Uuid,
    ) -> Result<Option<LogStream>> {
        use log_stream::Column as C;
        let which = C::TenantId.eq(tenant_id).and(C::ExecutionId.eq(execution_id)).and(C::Kind.eq(kind));
        log_stream::Entity::find().filter(which).one(&self.0.read).await.map_err(failed)
    }

    /// The chunks of such a log from line `from` on, in order: at least one, and about `bytes_max` of text.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn linked_log_chunks(
        &self,
        stream: &LogStream,
        from: i64,
        bytes_max: usize,
    ) -> Result<Vec<LogChunk>> {
        use log_chunk::Column as C;
        let select = log_chunk::Entity::find()
            .filter(C::TenantId.eq(&stream.tenant_id))
            .filter(C::ExecutionId.eq(stream.execution_id))
            .filter(C::Kind.eq(stream.kind))
            .filter(C::LastSeq.gte(from))
            .order_by_asc(C::LastSeq);
        let Some(last_seq) = self.last_that_fits(&select, bytes_max).await? else { return Ok(Vec::new()) };
        // The last one may by now be one with those after it.
        let chunks = select
            .filter(C::LastSeq.lt(last_seq + INDEX_ENTRY_LINES_MAX))
            .filter(C::FirstSeq.lte(last_seq))
            .select_only()
            .columns(LogChunk::COLUMNS);
        chunks.into_model().all(&self.0.read).await.map_err(failed)
    }

    /// The last of the next chunks that have `bytes_max` of text together, the first in any case.
    async fn last_that_fits(
        &self,
        select: &Select<log_chunk::Entity>,
        bytes_max: usize,
    ) -> Result<Option<i64>> {
        use log_chunk::Column as C;
        let sizes = select.clone().select_only().columns([C::LastSeq, C::ByteCount]).limit(CHUNKS_MAX);
        let sizes: Vec<(i64, i32)> = sizes.into_tuple().all(&self.0.read).await.map_err(failed)?;
        let mut bytes = 0;
        let fits = |(index, (_, size)): &(usize, &(i64, i32))| {
            bytes += usize::try_from(*size).unwrap_or(0);
            *index == 0 || bytes <= bytes_max
        };
        Ok(sizes.iter().enumerate().take_while(fits).last().map(|(_, (last_seq, _))| *last_seq))
    }

    /// Logs that have ended, and whose newest line is older than `before`, at most `rows` of them; those that are being
    /// archived come later.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn logs_to_expire(&self, before: Timestamp, rows: u64) -> Result<Vec<LogStream>> {
        use log_stream::Column as C;
        log_stream::Entity::find()
            // As the index has it: a database cannot tell that from parameters.
            .filter(Expr::cust("ended AND NOT expired"))
            .filter(C::LastLineAt.lt(before))
            .filter(C::ArchiveLeaseId.is_null())
            .order_by_asc(C::LastLineAt)
            .limit(rows)
            .all(&self.0.read)
            .await
            .map_err(failed)
    }

    /// Removes at most `rows` chunks of a log that expires. When none is left it is marked, and the deletion of its object
    /// planned; says whether that is so. One that is being archived is left alone.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn expire_log(&self, stream: &LogStream, rows: u64) -> Result<bool> {
        use log_chunk::Column as C;
        let tx = self.begin().await?;
        let locked = lock_log_streams(&tx, &[of_execution(stream)]).await?;
        let current = locked.into_iter().find(|locked| locked.kind == stream.kind);
        let Some(mut current) = current.filter(|log| log.archive_lease_id.is_none() && !log.expired) else {
            return Ok(true);
        };
        let of_log = C::TenantId
            .eq(&stream.tenant_id)
            .and(C::ExecutionId.eq(stream.execution_id))
            .and(C::Kind.eq(stream.kind));
        let first: Vec<i64> = log_chunk::Entity::find()
            .select_only()
            .column(C::LastSeq)
            .filter(of_log.clone())
            .order_by_asc(C::LastSeq)
            .limit(rows)
            .into_tuple()
            .all(&tx.inner)
            .await
            .map_err(failed)?;
        if let Some(last) = first.last() {
            let these = of_log.and(C::LastSeq.lte(*last));
            delete::<log_chunk::Entity>(&tx, Condition::all().add(these)).await?;
        }
        let is_last = (first.len() as u64) < rows;
        if is_last {
            tx.doom_log_objects(std::slice::from_ref(&current)).await?;
            current.expired = true;
            current.archive_due_at = None;
            current.waiting_since = None;
            current.archived_seq = current.next_seq;
            current.archived_bytes = current.byte_count;
            save_streams(&tx, [current].into_iter()).await?;
        }
        tx.commit().await?;
        Ok(is_last)
    }
}

impl WriteTx {
    /// Plans the deletion of the objects of logs that are being deleted.
    pub(super) async fn doom_log_objects(&self, streams: &[LogStream]) -> Result<()> {
        // One that is being archived for the first time may have an object in a moment; where that failed, it may have
        // one, too.
        let has_object = |stream: &&LogStream| {
            stream.object_place.is_some() || stream.archive_lease_id.is_some() || stream.archive_failures > 0
        };
        let now = now();
        let jobs = streams.iter().filter(has_object).map(|stream| {
            let in_cloud = stream.object_place.map(|place| place == Place::Cloud);
            let execution_id = stream.execution_id;
            let doomed = match stream.kind {
                StreamKind::Log => Doomed::Log { execution_id, in_cloud },
                StreamKind::Visual => Doomed::Visual { execution_id, in_cloud },
            };
            let detail = serde_json::to_string(&doomed).map_err(Error::internal)?;
            Ok(NewJob {
                kind: deletion(stream.kind),
                tenant_id: stream.tenant_id.clone(),
                subject_id: stream.execution_id,
                node_id: None,
                detail: Some(detail),
                // Whoever is archiving it has ended by then.
                run_at: match stream.archive_lease_id {
                    Some(_) => now + TimeDelta::seconds(ARCHIVE_LEASE_SECONDS),
                    None => now,
                },
            })
        });
        self.insert_jobs(jobs.collect::<Result<_>>()?, now).await
    }
}

/// The logs with waiting lines of which `which` is true: nobody appends to them until the transaction ends.
#[expect(clippy::disallowed_methods, reason = "a system operation")]
async fn lock_waiting_logs(tx: &WriteTx, which: Expr) -> Result<Vec<LogStream>> {
    use log_stream::Column as C;
    let mut select = log_stream::Entity::find()
        .filter(C::ArchiveDueAt.is_not_null())
        .filter(which)
        .order_by_asc(C::TenantId)
        .order_by_asc(C::ExecutionId)
        .order_by_asc(C::Kind);
    if tx.dialect.is_postgres() {
        select = select.lock(LockType::NoKeyUpdate);
    }
    select.all(&tx.inner).await.map_err(failed)
}

fn of_execution(stream: &LogStream) -> (String, Uuid) {
    (stream.tenant_id.clone(), stream.execution_id)
}

/// The job that deletes the objects of a kind: there is one of a kind for each execution.
fn deletion(kind: StreamKind) -> JobKind {
    match kind {
        StreamKind::Log => JobKind::DeleteObjects,
        StreamKind::Visual => JobKind::DeleteVisualObjects,
    }
}

/// The entries of the index for chunks that follow each other in an object from `offset` on: chunks without their text,
/// several in one while that stays small.
fn entries(chunks: Vec<WaitingChunk>, mut offset: i64, place: Place) -> Result<Vec<log_chunk::Model>> {
    let mut entries: Vec<(log_chunk::Model, Vec<(i64, Timestamp)>)> = Vec::new();
    for WaitingChunk(chunk) in chunks {
        let bytes = i64::from(chunk.byte_count);
        let arrival = (chunk.last_seq, chunk.appended_at);
        match entries.last_mut() {
            Some((entry, arrivals))
                if chunk.last_seq - entry.first_seq < INDEX_ENTRY_LINES_MAX
                    && i64::from(entry.byte_count) + bytes <= INDEX_ENTRY_BYTES_MAX =>
            {
                entry.last_seq = chunk.last_seq;
                entry.levels |= chunk.levels;
                entry.byte_count += chunk.byte_count;
                entry.appended_at = Ord::max(entry.appended_at, chunk.appended_at);
                arrivals.push(arrival);
            }
            _ => {
                let entry = log_chunk::Model {
                    object_offset: Some(offset),
                    object_place: Some(place),
                    body: String::new(),
                    ..chunk
                };
                entries.push((entry, vec![arrival]));
            }
        }
        offset += bytes;
    }
    let remember = |(entry, arrivals): (log_chunk::Model, Vec<_>)| {
        Ok(log_chunk::Model { arrivals: remembered(entry.first_seq, &arrivals)?, ..entry })
    };
    entries.into_iter().map(remember).collect()
}
