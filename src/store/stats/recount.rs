//! Counting anew, from the executions.
//!
//! A recount builds rows of the next epoch beside those that count, so that everybody reads on. Whoever recounts holds a
//! lease: nothing is folded meanwhile, and what changes waits in the feed, where it is read from. The executions are read
//! at one moment, in a transaction that sees no later change, and added up in memory, so that hardly a row is written twice;
//! what of the feed had not been folded by then is taken away again, so that the new rows are at the same places in the feed
//! as the old ones, and must be equal to them. The new
//! epoch begins to count in one small transaction. A recount that dies leaves rows that count for nothing; the next one
//! removes them.

use std::collections::HashMap;

use entity::{change_event, execution, statistic, statistic_place};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    AccessMode, ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, FromQueryResult,
    IsolationLevel, QueryFilter as _, QueryOrder as _, QuerySelect as _, TransactionOptions,
    TransactionTrait as _,
};
use uuid::Uuid;

use super::cells::{Cells, Of};
use super::fold::{Change, place_of};
use super::{Counted, EVERY_TENANT};
use crate::clock::{Timestamp, new_id, now};
use crate::domain::execution::{Mode, Status};
use crate::domain::limits::{
    STATS_RECOUNT_CELLS, STATS_RECOUNT_EXECUTIONS, STATS_RECOUNT_LEASE_SECONDS, STATS_RECOUNT_ROWS,
};
use crate::domain::stats::Figures;
use crate::error::{Error, Result};
use crate::store::dialect::Dialect;
use crate::store::failure::failed;
use crate::store::feed::FeedPosition;
use crate::store::write::delete;
use crate::store::{Store, WriteTx};

/// Rows that are compared or removed at once.
const ROWS_AT_ONCE: u64 = 5_000;

/// What a recount has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recount {
    /// How many executions there are.
    pub executions: u64,
    /// How many rows the statistics have now.
    pub rows: u64,
    /// How many rows were not as they should have been; `None` when there was nothing to compare with.
    pub wrong_rows: Option<u64>,
}

impl Store {
    /// Counts anew; `note` hears how many executions have been counted so far.
    ///
    /// # Errors
    /// `CONFLICT` when somebody else is at it; what the database says.
    pub async fn recount_statistics(&self, note: impl Fn(u64) + Send) -> Result<Recount> {
        let lease = Lease { store: self.clone(), id: new_id() };
        let (before, was_complete) = lease.claim().await?;
        let after = before + 1;
        // What earlier recounts have left.
        self.remove_statistics(|epoch| epoch != before).await?;
        let moment = Moment::now(self).await?;
        let executions = moment.count(&lease, after, note).await?;
        moment.end().await?;
        let (rows, wrong_rows) = self.compare_statistics(&lease, before, after).await?;
        lease.switch_to(after).await?;
        self.remove_statistics(|epoch| epoch != after).await?;
        Ok(Recount { executions, rows, wrong_rows: was_complete.then_some(wrong_rows) })
    }

    /// How many rows there are of the epoch `after`, and how many of either are not the same in the other.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    async fn compare_statistics(&self, lease: &Lease, before: i32, after: i32) -> Result<(u64, u64)> {
        use statistic::Column as C;
        let (mut rows, mut wrong) = (0, 0);
        let mut single: Option<(Uuid, Vec<u8>)> = None;
        let mut last = (Uuid::nil(), i32::MIN);
        loop {
            let place = Expr::tuple([Expr::val(last.0), Expr::val(last.1)]);
            let some: Vec<(Uuid, i32, Vec<u8>)> = statistic::Entity::find()
                .select_only()
                .columns([C::Id, C::Epoch, C::Figures])
                .filter(Expr::tuple([C::Id.into_expr(), C::Epoch.into_expr()]).gt(place))
                .order_by_asc(C::Id)
                .order_by_asc(C::Epoch)
                .limit(ROWS_AT_ONCE)
                .into_tuple()
                .all(&self.0.read)
                .await
                .map_err(failed)?;
            let Some((id, epoch, _)) = some.last() else { break };
            last = (*id, *epoch);
            // A row and its counterpart follow each other.
            for (id, epoch, figures) in
                some.into_iter().filter(|(_, epoch, _)| [before, after].contains(epoch))
            {
                rows += u64::from(epoch == after);
                single = match single.take() {
                    Some((other, theirs)) if other == id => {
                        wrong += u64::from(figures != theirs);
                        None
                    }
                    Some(_) => {
                        wrong += 1;
                        Some((id, figures))
                    }
                    None => Some((id, figures)),
                };
            }
            lease.renew().await?;
        }
        Ok((rows, wrong + u64::from(single.is_some())))
    }

    /// Removes the rows of some epochs, a few at a time.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    async fn remove_statistics(&self, which: impl Fn(i32) -> bool) -> Result<()> {
        use statistic::Column as C;
        let mut last = (Uuid::nil(), i32::MIN);
        loop {
            let place = Expr::tuple([Expr::val(last.0), Expr::val(last.1)]);
            let some: Vec<(Uuid, i32)> = statistic::Entity::find()
                .select_only()
                .columns([C::Id, C::Epoch])
                .filter(Expr::tuple([C::Id.into_expr(), C::Epoch.into_expr()]).gt(place))
                .order_by_asc(C::Id)
                .order_by_asc(C::Epoch)
                .limit(ROWS_AT_ONCE)
                .into_tuple()
                .all(&self.0.read)
                .await
                .map_err(failed)?;
            let Some(end) = some.last() else { return Ok(()) };
            last = *end;
            let mut gone = some;
            gone.retain(|(_, epoch)| which(*epoch));
            let mut epochs: Vec<_> = gone.iter().map(|(_, epoch)| *epoch).collect();
            epochs.sort_unstable();
            epochs.dedup();
            for gone_epoch in epochs {
                let ids = gone.iter().filter(|(_, epoch)| *epoch == gone_epoch).map(|(id, _)| *id);
                let tx = self.begin().await?;
                let condition = Condition::all().add(C::Id.is_in(ids)).add(C::Epoch.eq(gone_epoch));
                delete::<statistic::Entity>(&tx, condition).await?;
                tx.commit().await?;
            }
        }
    }
}

/// The right to count anew.
struct Lease {
    store: Store,
    id: Uuid,
}

impl Lease {
    /// Takes it; gives the epoch that counts, and whether it has everything.
    async fn claim(&self) -> Result<(i32, bool)> {
        let tx = self.store.begin().await?;
        let mut state = tx.lock_statistics().await?;
        if state.recount_until.is_some_and(|until| until > now()) {
            return Err(Error::conflict("the statistics are being recounted already; try again later"));
        }
        state.recount_id = Some(self.id);
        state.recount_until = Some(lease_end());
        let found = (state.epoch, state.is_complete);
        tx.save_statistics_state(state).await?;
        tx.commit().await?;
        Ok(found)
    }

    async fn renew(&self) -> Result<()> {
        let tx = self.store.begin().await?;
        self.renew_in(&tx).await?;
        tx.commit().await
    }

    /// Makes sure that the lease is still held when the transaction commits.
    async fn renew_in(&self, tx: &WriteTx) -> Result<()> {
        let mut state = self.held(tx).await?;
        state.recount_until = Some(lease_end());
        tx.save_statistics_state(state).await
    }

    /// Adds to the rows of an epoch that does not count yet, a transaction for some of them each.
    async fn add(&self, epoch: i32, cells: Cells) -> Result<()> {
        let mut rows = cells.into_rows().into_iter();
        while rows.len() > 0 {
            let tx = self.store.begin().await?;
            self.renew_in(&tx).await?;
            tx.add_to_statistics(epoch, rows.by_ref().take(STATS_RECOUNT_ROWS).collect()).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn held(&self, tx: &WriteTx) -> Result<entity::statistic_state::Model> {
        let state = tx.lock_statistics().await?;
        if state.recount_id != Some(self.id) {
            return Err(Error::conflict("the recount took too long over a step, and another one has begun"));
        }
        Ok(state)
    }

    /// Lets the rows of `epoch` count, and ends the lease.
    async fn switch_to(&self, epoch: i32) -> Result<()> {
        let tx = self.store.begin().await?;
        let mut state = self.held(&tx).await?;
        state.epoch = epoch;
        state.is_complete = true;
        state.recount_id = None;
        state.recount_until = None;
        tx.save_statistics_state(state).await?;
        tx.commit().await
    }
}

fn lease_end() -> Timestamp {
    now() + chrono::TimeDelta::seconds(STATS_RECOUNT_LEASE_SECONDS)
}

/// A transaction that sees the database as it was at one moment.
struct Moment {
    inner: DatabaseTransaction,
    dialect: Dialect,
}

impl Moment {
    async fn now(store: &Store) -> Result<Self> {
        let dialect = store.0.dialect;
        let options = TransactionOptions {
            isolation_level: Some(IsolationLevel::RepeatableRead).filter(|_| dialect.is_postgres()),
            access_mode: Some(AccessMode::ReadOnly).filter(|_| dialect.is_postgres()),
            sqlite_transaction_mode: None,
        };
        let inner = store.0.read.database.begin_with_options(options).await.map_err(failed)?;
        Ok(Self { inner, dialect })
    }

    async fn end(self) -> Result<()> {
        self.inner.commit().await.map_err(failed)
    }

    /// Counts the executions into the rows of `epoch`, as far as the rows that count have them; gives how many.
    async fn count(&self, lease: &Lease, epoch: i32, note: impl Fn(u64) + Send) -> Result<u64> {
        let mut executions = 0;
        let mut last = None;
        let mut cells = Cells::default();
        loop {
            let rows = self.executions_after(last).await?;
            let Some(end) = rows.last() else { break };
            last = Some((end.tenant_id.clone(), end.created_at, end.id));
            for row in &rows {
                if row.discard_at.is_none() {
                    let (of, figures) = row.figures();
                    cells.add(of, &figures);
                    cells.add_to_every_tenant(of, &figures);
                    executions += 1;
                }
            }
            if cells.len() >= STATS_RECOUNT_CELLS {
                lease.add(epoch, std::mem::take(&mut cells)).await?;
            }
            note(executions);
        }
        self.take_unfolded_away(&mut cells).await?;
        lease.add(epoch, cells).await?;
        Ok(executions)
    }

    /// In the order of time: what is added to the same rows comes one after the other, whatever ids there are.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    async fn executions_after(&self, last: Option<(String, Timestamp, Uuid)>) -> Result<Vec<Execution>> {
        use execution::Column as C;
        let place = || Expr::tuple([C::TenantId.into_expr(), C::CreatedAt.into_expr(), C::Id.into_expr()]);
        let after = last.map(|(tenant_id, created_at, id)| {
            place().gt(Expr::tuple([Expr::val(tenant_id), Expr::val(created_at), Expr::val(id)]))
        });
        let columns = [
            C::TenantId,
            C::Id,
            C::OwnerId,
            C::CodeAgentId,
            C::CodeVersion,
            C::WorkflowId,
            C::ProjectKey,
            C::Mode,
            C::Status,
            C::CreatedAt,
            C::InputTokens,
            C::CachedInputTokens,
            C::OutputTokens,
            C::CostMicrousd,
            C::DurationMs,
            C::VisualEnabled,
            C::VisualEventsCaptured,
            C::VisualStreamDurationMs,
            C::DiscardAt,
        ];
        execution::Entity::find()
            .select_only()
            .columns(columns)
            .filter(Condition::all().add_option(after))
            .order_by_asc(C::TenantId)
            .order_by_asc(C::CreatedAt)
            .order_by_asc(C::Id)
            .limit(STATS_RECOUNT_EXECUTIONS)
            .into_model()
            .all(&self.inner)
            .await
            .map_err(failed)
    }

    /// The changes that the rows that count do not have yet are in the executions already.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    async fn take_unfolded_away(&self, cells: &mut Cells) -> Result<()> {
        let state = super::fold::the_state().one(&self.inner).await.map_err(failed)?;
        let floor = place_of(&state.ok_or_else(super::fold::no_state)?);
        let places = statistic_place::Entity::find().all(&self.inner).await.map_err(failed)?;
        let place =
            |row: statistic_place::Model| (row.tenant_id, FeedPosition { xid: row.xid, seq: row.seq });
        let places: HashMap<_, _> = places.into_iter().map(place).collect();
        let place_of = |tenant_id: &str| places.get(tenant_id).copied().unwrap_or(floor);
        let mut after = floor;
        loop {
            let changes: Vec<Change> = Change::select(change_event::Entity::find())
                .filter(self.dialect.feed_after(after.xid, after.seq))
                .limit(STATS_RECOUNT_EXECUTIONS)
                .into_model()
                .all(&self.inner)
                .await
                .map_err(failed)?;
            let Some(end) = changes.last() else { return Ok(()) };
            after = end.position();
            for change in &changes {
                let Some((of, figures)) = change.figures()? else { continue };
                let figures = figures.negated();
                if change.position() > place_of(&change.tenant_id) {
                    cells.add(of, &figures);
                }
                if change.position() > place_of(EVERY_TENANT) {
                    cells.add_to_every_tenant(of, &figures);
                }
            }
        }
    }
}

/// What of an execution is counted, and by what.
#[derive(Debug, FromQueryResult)]
struct Execution {
    tenant_id: String,
    id: Uuid,
    owner_id: String,
    code_agent_id: Option<Uuid>,
    code_version: Option<i32>,
    workflow_id: Option<String>,
    project_key: Option<String>,
    mode: Mode,
    status: Status,
    created_at: Timestamp,
    input_tokens: i64,
    cached_input_tokens: i64,
    output_tokens: i64,
    cost_microusd: i64,
    duration_ms: Option<i64>,
    visual_enabled: bool,
    visual_events_captured: i64,
    visual_stream_duration_ms: i64,
    discard_at: Option<Timestamp>,
}

impl Execution {
    fn figures(&self) -> (Of<'_>, Figures) {
        let of = Of {
            tenant_id: &self.tenant_id,
            owner_id: &self.owner_id,
            code_agent_id: self.code_agent_id,
            workflow_id: self.workflow_id.as_deref(),
            project_key: self.project_key.as_deref(),
            mode: self.mode,
            time: self.created_at,
        };
        let counted = Counted {
            status: self.status,
            has_code_agent: self.code_agent_id.is_some(),
            has_code_version: self.code_version.is_some(),
            input_tokens: self.input_tokens,
            cached_input_tokens: self.cached_input_tokens,
            output_tokens: self.output_tokens,
            cost_microusd: self.cost_microusd,
            duration_ms: self.duration_ms,
            visual_enabled: self.visual_enabled,
            visual_events_captured: self.visual_events_captured,
            visual_stream_duration_ms: self.visual_stream_duration_ms,
        };
        (of, counted.figures())
    }
}
