//! Numbering and storing what many calls append, in one transaction.

use std::collections::{BTreeMap, HashMap};

use chrono::TimeDelta;
use entity::log_chunk;
use sea_orm::IntoActiveModel;
use uuid::Uuid;

use super::streams::save_streams;
use super::{LogStream, stream_key};
use crate::auth::Viewer;
use crate::clock::Timestamp;
use crate::domain::limits::{ARCHIVE_AT_ONCE_BYTES, ARCHIVE_AT_ONCE_LINES};
use crate::domain::log::NumberedLines;
use crate::domain::stream::{Entries, StreamKind, rules};
use crate::domain::visual::Span;
use crate::error::{Error, Result};
use crate::grouping::GroupFailure;
use crate::store::failure::failed;
use crate::store::write::insert_many;
use crate::store::{Store, system};

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
pub(in crate::store) fn archive_due_at(
    stream: &LogStream,
    archive_after: TimeDelta,
    now: Timestamp,
) -> Timestamp {
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
