//! Ending executions whose runners have fallen silent.
//!
//! The last sign of life is known from what is written anyway: a change of the execution, a line of its log, a heartbeat.
//! `check_at` says when to look for it again, so that looking costs no more than there are executions to look at, and a
//! sign of life costs no write of its own.

use chrono::TimeDelta;
use entity::execution;
use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};

use super::executions::{ExecutionRow, PayloadChange, end};
use super::failure::failed;
use super::logs::VisualTotals;
use super::scoped::Writable;
use super::{Store, system};
use crate::clock::Timestamp;
use crate::domain::execution::{Status, duration_ms, silence_error};
use crate::domain::limits::{SILENCE_RECHECK_SECONDS, first_check_after};
use crate::error::Result;

/// How long runners may be silent.
#[derive(Debug, Clone, Copy)]
pub struct SilenceRule {
    /// For executions that do not say it themselves; `None`: for ever.
    pub default_seconds: Option<u32>,
    /// Silence counts from here on at the earliest: while no server ran, no sign of life could arrive.
    pub listening_since: Timestamp,
}

/// What came of looking for signs of life.
#[derive(Debug)]
pub struct Checked {
    /// How many executions were looked at.
    pub rows: usize,
    /// Those that were ended, as they are now.
    pub ended: Vec<ExecutionRow>,
}

impl SilenceRule {
    fn seconds(&self, row: &ExecutionRow) -> Option<i64> {
        row.stale_after_seconds.map(i64::from).or(self.default_seconds.map(i64::from))
    }
}

/// When a running execution is looked at for the first time.
pub fn first_check_at(row: &ExecutionRow, now: Timestamp) -> Timestamp {
    now + TimeDelta::seconds(first_check_after(row.stale_after_seconds))
}

impl Store {
    /// Looks at most at `rows` running executions whose time has come, and ends those that gave no sign of life for too
    /// long: FAILED, with an error that says so. Several servers look at different ones.
    ///
    /// # Errors
    /// What the database says.
    #[expect(
        clippy::disallowed_methods,
        reason = "a system operation: their owners asked for it by starting them"
    )]
    pub async fn end_silent_executions(
        &self,
        rule: &SilenceRule,
        now: Timestamp,
        rows: u64,
    ) -> Result<Checked> {
        use execution::Column as C;
        let tx = self.begin().await?;
        let mut select = execution::Entity::find()
            .filter(C::CheckAt.is_not_null())
            .filter(C::CheckAt.lte(now))
            .order_by_asc(C::CheckAt)
            .limit(rows);
        if tx.dialect.is_postgres() {
            select = select.lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
        }
        let mut due = select.all(&tx.inner).await.map_err(failed)?;
        if due.is_empty() {
            return Ok(Checked { rows: 0, ended: Vec::new() });
        }
        let keys: Vec<_> = due.iter().map(|row| (row.tenant_id.clone(), row.id)).collect();
        let streams = system::lock_log_streams(&tx, &keys).await?;
        let mut ended = Vec::new();
        for row in &mut due {
            // Its log, and its visual session.
            let own = || streams.iter().filter(|stream| stream.execution_id == row.id);
            let last_sign = own()
                .filter_map(|stream| stream.heartbeat_at)
                .fold(row.updated_at.max(rule.listening_since), Ord::max);
            let session = own().find_map(VisualTotals::of);
            match rule.seconds(row) {
                None => row.check_at = Some(now + TimeDelta::seconds(SILENCE_RECHECK_SECONDS)),
                Some(seconds) if last_sign + TimeDelta::seconds(seconds) > now => {
                    row.check_at = Some(last_sign + TimeDelta::seconds(seconds));
                }
                Some(seconds) => {
                    let before = row.clone();
                    row.status = Status::Failed;
                    let duration = row.started_at.map(|started_at| duration_ms(started_at, now));
                    end(row, now, duration, now);
                    if let Some(session) = session {
                        session.note(row);
                    }
                    row.revision += 1;
                    row.updated_at = now;
                    ended.push((before, row.clone(), silence_error(seconds)));
                }
            }
        }
        let rows = due.len();
        let changes: Vec<_> = ended.iter().map(|(before, after, _)| (before, after)).collect();
        tx.record_changed(&changes, now).await?;
        let (ended_rows, errors): (Vec<_>, Vec<_>) =
            ended.into_iter().map(|(_, after, error)| (after, error)).unzip();
        let keys = ended_rows.iter().map(|row| (row.tenant_id.clone(), row.id)).collect();
        tx.close_logs(keys, now).await?;
        let payloads =
            errors.into_iter().map(|error| PayloadChange { error: Some(error), ..Default::default() });
        tx.save_payloads(ended_rows.iter().zip(payloads).collect()).await?;
        tx.save_executions(due.into_iter().map(Writable::new).collect()).await?;
        tx.commit().await?;
        Ok(Checked { rows, ended: ended_rows })
    }
}
