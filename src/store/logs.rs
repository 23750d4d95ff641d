//! Log lines and visual events: numbered in groups, read by range.
//!
//! Both are streams of an execution ([`StreamKind`]), and a stream is a row of `log_stream` with its chunks: so one group
//! stores both, and everything that is said of a log and its lines goes for a visual session and its events. A visual stream
//! is opened by its first call; what it sums up to is written to its execution when that ends.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use chrono::TimeDelta;
use entity::{log_chunk, log_stream};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{ColumnTrait as _, FromQueryResult, IntoActiveModel, Order};
use uuid::Uuid;

use super::arrivals::{self, Arrival, ArrivedRow};
use super::executions::ExecutionRow;
use super::failure::failed;
use super::scoped::{Reader, ScopedSelect, Writable, of_executions};
use super::write::insert_many;
use super::{Store, WriteTx, system};
use crate::auth::Viewer;
use crate::clock::Timestamp;
use crate::domain::execution::{DURATION_MS_MAX, is_final};
use crate::domain::limits::{APPEND_LINES_MAX, ARCHIVE_AT_ONCE_BYTES, ARCHIVE_AT_ONCE_LINES};
use crate::domain::log::NumberedLines;
use crate::domain::object::Place;
use crate::domain::page::Direction;
use crate::domain::stream::{Entries, StreamKind, rules};
use crate::domain::visual::Span;
use crate::error::{Error, Result};
use crate::grouping::GroupFailure;

/// Lines as they were appended by one call: what reading them needs.
#[derive(Debug, Clone, FromQueryResult)]
pub struct LogChunk {
    pub execution_id: Uuid,
    pub kind: StreamKind,
    pub first_seq: i64,
    pub last_seq: i64,
    byte_count: i32,
    object_offset: Option<i64>,
    object_place: Option<Place>,
    /// JSON lines; empty while they are only in the log's object.
    pub body: String,
}

impl LogChunk {
    pub(super) const COLUMNS: [log_chunk::Column; 8] = [
        log_chunk::Column::ExecutionId,
        log_chunk::Column::Kind,
        log_chunk::Column::FirstSeq,
        log_chunk::Column::LastSeq,
        log_chunk::Column::ByteCount,
        log_chunk::Column::ObjectOffset,
        log_chunk::Column::ObjectPlace,
        log_chunk::Column::Body,
    ];

    /// Of lines that have just been stored.
    pub fn appended(execution_id: Uuid, kind: StreamKind, lines: NumberedLines) -> Self {
        Self {
            execution_id,
            kind,
            first_seq: lines.first_seq,
            last_seq: lines.last_seq,
            byte_count: i32::try_from(lines.body.len()).unwrap_or(i32::MAX),
            object_offset: None,
            object_place: None,
            body: lines.body,
        }
    }

    /// Its lines from number `seq` on, once it has its text.
    pub fn lines_from(&self, seq: i64) -> &str {
        let skipped = usize::try_from(seq - self.first_seq).unwrap_or(0);
        let mut ends = self.body.match_indices('\n').map(|(end, _)| end + 1);
        let start = if skipped == 0 { Some(0) } else { ends.nth(skipped - 1) };
        start.and_then(|start| self.body.get(start..)).unwrap_or_default()
    }

    /// Where its lines are, unless they are here.
    pub fn archived(&self) -> Option<ArchivedAt> {
        let from = u64::try_from(self.object_offset?).ok()?;
        let bytes = u64::try_from(self.byte_count).ok()?;
        Some(ArchivedAt { place: self.object_place?, bytes: from..from + bytes })
    }
}

/// Where in the object of its log a chunk has its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedAt {
    pub place: Place,
    pub bytes: Range<u64>,
}

/// How far a log has been written.
pub type LogStream = log_stream::Model;

/// Which stream: of this tenant's execution, of this kind.
pub(super) type StreamKey = (String, Uuid, StreamKind);

pub(super) fn stream_key(stream: &LogStream) -> StreamKey {
    (stream.tenant_id.clone(), stream.execution_id, stream.kind)
}

/// What the stored events of a visual session come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisualTotals {
    pub events: i64,
    /// From the first event to the last.
    pub duration_ms: i64,
}

impl VisualTotals {
    /// Those of a stream; `None` for a log, and for a session without a stored event.
    pub fn of(stream: &LogStream) -> Option<Self> {
        if stream.kind != StreamKind::Visual || stream.next_seq == 0 {
            return None;
        }
        let duration_ms = stream.last_event_ms.unwrap_or(0) - stream.first_event_ms.unwrap_or(0);
        Some(Self { events: stream.next_seq, duration_ms })
    }

    /// Writes them down at the end of an execution: its stored events say it better than its runner.
    pub fn note(self, row: &mut ExecutionRow) {
        row.visual_events_captured = self.events;
        row.visual_stream_duration_ms = Ord::min(self.duration_ms, DURATION_MS_MAX);
    }
}

/// One call's entries, for an execution that the caller could read.
#[derive(Debug)]
pub struct Append {
    pub viewer: Viewer,
    pub tenant_id: String,
    pub execution_id: Uuid,
    /// The number that the caller thinks the first line gets.
    pub first_seq: Option<i64>,
    pub lines: Entries,
}

/// What became of one call's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Whose they are.
    pub owner_id: String,
    /// The number of the next line.
    pub next_seq: i64,
    /// How many lines were new.
    pub lines: usize,
    /// Their text, as it is stored.
    pub bytes: usize,
}

/// Which chunks of one log: those with lines in `range`, from its start or, backwards, from its end.
#[derive(Debug, Clone)]
pub struct ChunkSelection {
    pub tenant_id: String,
    pub execution_id: Uuid,
    pub kind: StreamKind,
    pub range: LogRange,
    pub direction: Direction,
    /// Leaves out chunks that have no line of these levels.
    pub levels: Option<i16>,
    /// At most so many.
    pub chunks: u64,
}

/// What is known of a chunk before its text is read.
#[derive(Debug, Clone, Copy, FromQueryResult)]
pub struct ChunkSize {
    pub execution_id: Uuid,
    pub last_seq: i64,
    byte_count: i32,
}

impl ChunkSize {
    const COLUMNS: [log_chunk::Column; 3] =
        [log_chunk::Column::ExecutionId, log_chunk::Column::LastSeq, log_chunk::Column::ByteCount];

    /// How long its text is.
    pub fn bytes(&self) -> usize {
        usize::try_from(self.byte_count).unwrap_or(0)
    }
}

/// What belongs to an execution that was not to be kept and has ended is on its way out.
const NOT_DISCARDED: &str = "(SELECT execution.discard_at FROM execution WHERE execution.tenant_id = log_chunk.tenant_id \
    AND execution.id = log_chunk.execution_id) IS NULL";

/// Line numbers `from..before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRange {
    pub from: i64,
    pub before: i64,
}

/// Whose executions' lines are read together.
#[derive(Debug, Clone, Copy)]
pub enum LogsOf<'a> {
    WorkflowRun(&'a str),
    CodeAgent { tenant_id: &'a str, id: Uuid },
}

impl Store {
    /// Numbers and stores the lines of many calls in one transaction, each call's all or not at all.
    ///
    /// The answers stand in the order of the calls. They are true once this returns `Ok`. Lines wait for `archive_after` at
    /// most until they are due to be archived.
    ///
    /// # Errors
    /// `UNAVAILABLE` or `INTERNAL` when the transaction failed as a whole, and whether that was before its commit.
    pub async fn append_logs(
        &self,
        calls: &[Append],
        archive_after: TimeDelta,
        now: Timestamp,
    ) -> Result<Vec<Result<Appended>>, GroupFailure> {
        let tx = self.begin().await?;
        let keys: Vec<_> = calls.iter().map(|call| (call.tenant_id.clone(), call.execution_id)).collect();
        let mut streams: HashMap<_, _> = system::lock_log_streams(&tx, &keys)
            .await?
            .into_iter()
            .map(|stream| (stream_key(&stream), stream))
            .collect();
        let mut chunks = Vec::with_capacity(calls.len());
        let mut changed = BTreeMap::new();
        let mut answers = Vec::with_capacity(calls.len());
        for (call, (tenant_id, execution_id)) in calls.iter().zip(keys) {
            let key = (tenant_id, execution_id, call.lines.kind());
            let answer = match streams.get_mut(&key) {
                None => Err(Error::NotFound { what: "execution" }),
                Some(stream) => append(stream, call, archive_after, now).map(|(appended, new)| {
                    if !new.is_empty() {
                        chunks.extend(new.into_iter().map(IntoActiveModel::into_active_model));
                        changed.insert(key.clone(), stream.clone());
                    }
                    appended
                }),
            };
            // Whoever captures events lives: that is asked of the log.
            let log = (key.0, key.1, StreamKind::Log);
            if answer.as_ref().is_ok_and(|appended| appended.lines > 0)
                && key.2 == StreamKind::Visual
                && let Some(stream) = streams.get_mut(&log)
            {
                stream.heartbeat_at = Some(now);
                changed.insert(log, stream.clone());
            }
            answers.push(answer);
        }
        if !chunks.is_empty() {
            insert_many::<log_chunk::Entity>(&tx, chunks, None).await.map_err(failed)?;
            save_streams(&tx, changed.into_values()).await?;
            tx.commit().await.map_err(|error| GroupFailure { error, before_commit: false })?;
        }
        Ok(answers)
    }
}

/// Adds a call's lines to its stream: what is there already is skipped, a hole is refused.
fn append(
    stream: &mut LogStream,
    call: &Append,
    archive_after: TimeDelta,
    now: Timestamp,
) -> Result<(Appended, Vec<log_chunk::Model>)> {
    if !call.viewer.reads().admits(&stream.tenant_id, &stream.owner_id) {
        return Err(Error::NotFound { what: "execution" });
    }
    call.viewer.may_write(&stream.tenant_id, &stream.owner_id)?;
    let rules = rules(stream.kind);
    let count = i64::try_from(call.lines.len()).map_err(Error::internal)?;
    let first_seq = call.first_seq.unwrap_or(stream.next_seq);
    if first_seq > stream.next_seq {
        return Err(Error::Conflict {
            field: Some("input.firstSeq".into()),
            message: format!(
                "{} are missing: the next number is {}, not {first_seq}",
                rules.noun, stream.next_seq
            )
            .into(),
        });
    }
    let new = first_seq + count - stream.next_seq;
    if new <= 0 {
        let owner_id = stream.owner_id.clone();
        return Ok((Appended { owner_id, next_seq: stream.next_seq, lines: 0, bytes: 0 }, Vec::new()));
    }
    if stream.ended {
        return Err(has_ended(stream.kind));
    }
    if (stream.next_seq + new).cast_unsigned() > rules.entries_max.max {
        return Err(Error::TooLarge { field: rules.field.into(), limit: rules.entries_max });
    }
    let skip = usize::try_from(count - new).map_err(Error::internal)?;
    let numbered = call.lines.number(skip, stream.next_seq);
    let text_bytes = numbered.iter().map(|lines| lines.body.len()).sum::<usize>();
    let bytes = text_bytes as i64;
    if (stream.byte_count + bytes).cast_unsigned() > rules.bytes_max.max {
        return Err(Error::TooLarge { field: rules.field.into(), limit: rules.bytes_max });
    }
    stream.next_seq += new;
    stream.byte_count += bytes;
    stream.heartbeat_at = Some(now);
    stream.last_line_at = Some(now);
    note_span(stream, call.lines.span(skip));
    stream.waiting_since.get_or_insert(now);
    stream.archive_due_at = Some(archive_due_at(stream, archive_after, now));
    let lines = call.lines.len() - skip;
    let owner_id = stream.owner_id.clone();
    let appended = Appended { owner_id, next_seq: stream.next_seq, lines, bytes: text_bytes };
    let chunks = numbered.into_iter().map(|lines| chunk(stream, lines, now));
    Ok((appended, chunks.collect::<Result<_>>()?))
}

fn note_span(stream: &mut LogStream, added: Option<Span>) {
    let before = stream.first_event_ms.zip(stream.last_event_ms);
    let before = before.map(|(first_ms, last_ms)| Span { first_ms, last_ms });
    if let Some(span) = added.map(|added| before.map_or(added, |before| before.with(added))) {
        stream.first_event_ms = Some(span.first_ms);
        stream.last_event_ms = Some(span.last_ms);
    }
}

/// What a call is told that comes too late.
pub fn has_ended(kind: StreamKind) -> Error {
    Error::conflict(format!("the execution has ended; it takes no more {}", rules(kind).noun))
}

/// When the lines of a log that wait are due to be archived.
pub(super) fn archive_due_at(stream: &LogStream, archive_after: TimeDelta, now: Timestamp) -> Timestamp {
    let is_much = stream.next_seq - stream.archived_seq >= ARCHIVE_AT_ONCE_LINES
        || stream.byte_count - stream.archived_bytes >= ARCHIVE_AT_ONCE_BYTES;
    let wanted = if is_much { now } else { now + archive_after };
    let is_put_off = stream.archive_failures > 0
        || stream.archive_from_bytes.is_some_and(|from_bytes| stream.byte_count < from_bytes);
    match stream.archive_due_at {
        _ if stream.ended => now,
        // However much comes.
        Some(due_at) if is_put_off => due_at,
        Some(due_at) => Ord::min(due_at, wanted),
        None => wanted,
    }
}

fn chunk(stream: &LogStream, lines: NumberedLines, now: Timestamp) -> Result<log_chunk::Model> {
    Ok(log_chunk::Model {
        tenant_id: stream.tenant_id.clone(),
        execution_id: stream.execution_id,
        kind: stream.kind,
        first_seq: lines.first_seq,
        last_seq: lines.last_seq,
        owner_id: stream.owner_id.clone(),
        workflow_run_id: stream.workflow_run_id.clone(),
        code_agent_id: stream.code_agent_id,
        levels: lines.levels.bits(),
        byte_count: i32::try_from(lines.body.len()).map_err(Error::internal)?,
        appended_at: now,
        object_offset: None,
        object_place: None,
        arrivals: None,
        body: lines.body,
    })
}

/// A stream before its first entry.
pub(super) fn new_stream(kind: StreamKind, row: &ExecutionRow) -> LogStream {
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

pub(super) async fn save_streams(tx: &WriteTx, streams: impl Iterator<Item = LogStream>) -> Result<()> {
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
}

impl WriteTx {
    /// Closes the logs of executions that ended without a sign of life: no line can be added from here on.
    pub(super) async fn close_logs(&self, ended: Vec<(String, Uuid)>, now: Timestamp) -> Result<()> {
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

impl Reader<'_> {
    /// How far the logs, or the visual sessions, of executions that have been read are written.
    ///
    /// # Errors
    /// What the database says.
    pub async fn log_streams(
        &self,
        kind: StreamKind,
        executions: &[(String, Uuid)],
    ) -> Result<HashMap<Uuid, LogStream>> {
        use log_stream::Column as C;
        let select = self
            .select::<log_stream::Entity>()
            .filter(of_executions(C::TenantId, C::ExecutionId, executions))
            .filter(C::Kind.eq(kind));
        Ok(select.all().await?.into_iter().map(|stream| (stream.execution_id, stream)).collect())
    }

    /// Chunks of some logs, in one statement: for each selection its chunks, in its direction.
    ///
    /// # Errors
    /// What the database says.
    pub async fn log_chunks(&self, selections: &[ChunkSelection]) -> Result<Vec<Vec<LogChunk>>> {
        let selects = selections.iter().map(|selection| self.select_chunks(selection)).collect();
        let chunks = self.union_all(selects, LogChunk::COLUMNS).await?;
        Ok(by_selection(selections, chunks, |chunk: &LogChunk| (chunk.execution_id, chunk.last_seq)))
    }

    /// The sizes of the chunks that [`Self::log_chunks`] would read.
    ///
    /// # Errors
    /// What the database says.
    pub async fn log_chunk_sizes(&self, selections: &[ChunkSelection]) -> Result<Vec<Vec<ChunkSize>>> {
        let selects = selections.iter().map(|selection| self.select_chunks(selection)).collect();
        let sizes = self.union_all(selects, ChunkSize::COLUMNS).await?;
        Ok(by_selection(selections, sizes, |size: &ChunkSize| (size.execution_id, size.last_seq)))
    }

    fn select_chunks(&self, selection: &ChunkSelection) -> ScopedSelect<'_, '_, log_chunk::Entity> {
        use log_chunk::Column as C;
        let LogRange { from, before } = selection.range;
        let order = match selection.direction {
            Direction::Forward => Order::Asc,
            Direction::Backward => Order::Desc,
        };
        let mut select = self
            .select_within::<log_chunk::Entity>(&selection.tenant_id)
            .filter(C::ExecutionId.eq(selection.execution_id))
            .filter(C::Kind.eq(selection.kind))
            .filter(C::LastSeq.gte(from))
            .filter(C::FirstSeq.lt(before))
            .order_by(C::LastSeq.into_expr(), order)
            .limit(selection.chunks);
        if let (Direction::Backward, true) = (selection.direction, before < i64::MAX) {
            // No chunk has more lines than one call, which bounds the index range from above, too.
            select = select.filter(C::LastSeq.lt(before.saturating_add_unsigned(APPEND_LINES_MAX.max)));
        }
        with_levels(select, selection.levels)
    }

    /// The newest calls that appended lines to any of many executions, newest first, at most `rows` of them; with levels,
    /// those whose lines may be of them. One statement, so that what is being archived meanwhile changes nothing.
    ///
    /// # Errors
    /// What the database says.
    pub async fn newest_arrivals(
        &self,
        of: LogsOf<'_>,
        levels: Option<i16>,
        rows: u64,
    ) -> Result<Vec<Arrival>> {
        use log_chunk::Column as C;
        let mut select = match of {
            LogsOf::WorkflowRun(id) => self.select::<log_chunk::Entity>().filter(C::WorkflowRunId.eq(id)),
            LogsOf::CodeAgent { tenant_id, id } => {
                self.select_within::<log_chunk::Entity>(tenant_id).filter(C::CodeAgentId.eq(id))
            }
        }
        .filter(Expr::cust(NOT_DISCARDED))
        .limit(rows);
        for column in [C::AppendedAt, C::ExecutionId, C::LastSeq] {
            select = select.order_by(column.into_expr(), Order::Desc);
        }
        let found = self.union_all(vec![with_levels(select, levels)], ArrivedRow::COLUMNS).await?;
        arrivals::newest(found, usize::try_from(rows).unwrap_or(usize::MAX))
    }
}

fn with_levels<'r, 'c>(
    select: ScopedSelect<'r, 'c, log_chunk::Entity>,
    levels: Option<i16>,
) -> ScopedSelect<'r, 'c, log_chunk::Entity> {
    match levels {
        None => select,
        Some(levels) => select.filter(log_chunk::Column::Levels.into_expr().bit_and(levels).ne(0)),
    }
}

/// Gives each selection its rows, in its direction.
fn by_selection<R>(
    selections: &[ChunkSelection],
    rows: Vec<R>,
    key: impl Fn(&R) -> (Uuid, i64),
) -> Vec<Vec<R>> {
    let mut by_log: HashMap<Uuid, Vec<R>> = HashMap::new();
    for row in rows {
        by_log.entry(key(&row).0).or_default().push(row);
    }
    let rows_of = |selection: &ChunkSelection| {
        let mut rows = by_log.remove(&selection.execution_id).unwrap_or_default();
        rows.sort_unstable_by_key(|row| key(row).1);
        if selection.direction == Direction::Backward {
            rows.reverse();
        }
        rows
    };
    selections.iter().map(rows_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: TimeDelta = TimeDelta::seconds(20);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    /// A log that has so many archived bytes, and as many as `waiting` that wait.
    fn stream(archived_bytes: i64, waiting: i64, due_at: Option<Timestamp>) -> LogStream {
        LogStream {
            tenant_id: "t".into(),
            execution_id: Uuid::nil(),
            kind: StreamKind::Log,
            owner_id: "o".into(),
            workflow_run_id: None,
            code_agent_id: None,
            next_seq: 10,
            byte_count: archived_bytes + waiting,
            ended: false,
            heartbeat_at: None,
            archived_seq: 5,
            archived_bytes,
            object_place: None,
            archive_due_at: due_at,
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

    fn due_at(stream: &LogStream) -> Timestamp {
        archive_due_at(stream, LATER, at(100))
    }

    #[test]
    fn lines_are_due_after_a_while_or_at_once_when_they_are_many() {
        assert_eq!(due_at(&stream(0, 10, None)), at(120));
        assert_eq!(due_at(&stream(0, ARCHIVE_AT_ONCE_BYTES, None)), at(100));
        assert_eq!(due_at(&stream(0, 10, Some(at(110)))), at(110), "as the oldest of them");
        assert_eq!(due_at(&stream(0, ARCHIVE_AT_ONCE_BYTES, Some(at(110)))), at(100));
    }

    #[test]
    fn a_log_that_is_put_off_stays_so_however_much_comes() {
        let much = || stream(100 * ARCHIVE_AT_ONCE_BYTES, 2 * ARCHIVE_AT_ONCE_BYTES, Some(at(700)));
        let failed = LogStream { archive_failures: 1, ..much() };
        assert_eq!(due_at(&failed), at(700));
        let until = |from_bytes| LogStream { archive_from_bytes: Some(from_bytes), ..much() };
        assert_eq!(due_at(&until(125 * ARCHIVE_AT_ONCE_BYTES)), at(700));
        assert_eq!(due_at(&until(102 * ARCHIVE_AT_ONCE_BYTES)), at(100), "until that is enough");
        let few =
            LogStream { byte_count: 102, archive_from_bytes: Some(102), ..stream(100, 2, Some(at(700))) };
        assert_eq!(due_at(&few), at(120), "small logs are not written at each line");
        assert_eq!(due_at(&LogStream { ended: true, ..failed }), at(100), "or until its end");
    }
}
