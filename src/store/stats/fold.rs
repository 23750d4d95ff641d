//! Folding the change feed into the rows of the statistics.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use entity::{change_event, statistic, statistic_state};
use sea_orm::sea_query::{ExprTrait as _, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Select, Statement,
};
use uuid::Uuid;

use super::{Cell, EVERY_TENANT};
use crate::clock::Timestamp;
use crate::domain::limits::{STATS_FOLD_EVENTS, STATS_FOLD_ROWS};
use crate::domain::stats::{Figures, Subject, Width, start_of};
use crate::error::{Error, Result};
use crate::store::failure::failed;
use crate::store::write::{INSERT_ROWS_MAX, delete, insert_many};
use crate::store::{Store, WriteTx};

/// Rows to be changed, and by what.
#[derive(Debug, Default)]
pub(super) struct Cells(HashMap<Cell, Figures>);

impl Cells {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds the difference that an event makes, or takes it away.
    pub(super) fn add_event(&mut self, event: &change_event::Model, is_added: bool) -> Result<()> {
        let (Some(mode), Some(hour), Some(figures)) = (event.mode, event.hour, &event.figures) else {
            return Ok(());
        };
        let subject = Subject {
            owner_id: Some(event.owner_id.clone()),
            code_agent_id: event.code_agent_id,
            workflow_id: event.workflow_id.clone(),
            project_key: event.project_key.clone(),
        };
        let figures = Figures::decode(figures)?;
        let difference = if is_added { figures } else { figures.negated() };
        self.add(&event.tenant_id, &subject, mode, hour, &difference);
        Ok(())
    }

    /// Adds figures of executions that were created at `time` to every row that they count in.
    pub(super) fn add(
        &mut self,
        tenant_id: &str,
        subject: &Subject,
        mode: crate::domain::execution::Mode,
        time: Timestamp,
        figures: &Figures,
    ) {
        let tenants = subject.choices().into_iter().map(|subject| (tenant_id, subject));
        for (tenant_id, subject) in tenants.chain([(EVERY_TENANT, Subject::default())]) {
            for width in [Width::Hour, Width::Day, Width::Month, Width::All] {
                let cell = Cell {
                    tenant_id: tenant_id.to_owned(),
                    subject: subject.clone(),
                    width,
                    start: start_of(width, time),
                    mode,
                };
                self.0.entry(cell).or_default().add(figures);
            }
        }
    }
}

impl Store {
    /// Adds the next changes of the feed to the statistics, in one transaction; whether there may be more at once. Does
    /// nothing while somebody else folds or counts anew.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn fold_statistics(&self, now: Timestamp) -> Result<bool> {
        if !self.has_unfolded_changes().await? {
            return Ok(false);
        }
        let tx = self.begin().await?;
        let Some(mut state) = tx.try_lock_statistics().await? else { return Ok(false) };
        let is_recounted = state.recount_until.is_some_and(|until| until > now);
        if !state.is_complete || is_recounted {
            return Ok(false);
        }
        let mut select = change_event::Entity::find()
            .filter(tx.dialect.feed_after(state.xid, state.seq))
            .order_by_asc(change_event::Column::Xid)
            .order_by_asc(change_event::Column::Seq)
            .limit(STATS_FOLD_EVENTS);
        if let Some(settled) = tx.dialect.settled() {
            select = select.filter(settled);
        }
        let events = select.all(&tx.inner).await.map_err(failed)?;
        let is_full = events.len() as u64 == STATS_FOLD_EVENTS;
        let mut cells = Cells::default();
        let mut is_cut = false;
        for event in &events {
            // Others wait for the end of this transaction.
            if cells.len() > STATS_FOLD_ROWS {
                is_cut = true;
                break;
            }
            cells.add_event(event, true)?;
            (state.xid, state.seq) = (event.xid, event.seq);
        }
        tx.add_to_statistics(state.epoch, cells).await?;
        tx.save_statistics_state(state).await?;
        tx.commit().await?;
        Ok(is_full || is_cut)
    }

    /// Whether the statistics have all executions.
    ///
    /// # Errors
    /// What the database says.
    pub async fn has_statistics(&self) -> Result<bool> {
        if !self.0.has_statistics.load(Ordering::Relaxed) {
            let is_complete = self.statistics_state().await?.is_complete;
            self.0.has_statistics.store(is_complete, Ordering::Relaxed);
        }
        Ok(self.0.has_statistics.load(Ordering::Relaxed))
    }

    /// How far the statistics are.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn statistics_state(&self) -> Result<statistic_state::Model> {
        let state = the_state().one(&self.0.read).await.map_err(failed)?;
        state.ok_or_else(no_state)
    }

    /// Whether the statistics have all executions; if not, they are to be recounted. On PostgreSQL, a database that was
    /// copied into another cluster has places in the feed that this one has not come to yet: then they are to be
    /// recounted, too.
    ///
    /// # Errors
    /// What the database says.
    pub async fn statistics_are_complete(&self) -> Result<bool> {
        if let Some(is_ahead) = self.0.dialect.is_ahead_of_feed() {
            let is_ahead = Statement::from_string(self.0.dialect.backend(), is_ahead);
            let row = self.0.read.query_one_raw(is_ahead).await.map_err(failed)?.ok_or_else(no_state)?;
            if row.try_get_by_index(0).map_err(failed)? {
                let tx = self.begin().await?;
                let state = tx.lock_statistics().await?;
                let state = statistic_state::Model { is_complete: false, xid: 0, seq: 0, ..state };
                tx.save_statistics_state(state).await?;
                tx.commit().await?;
            }
        }
        Ok(self.statistics_state().await?.is_complete)
    }

    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    async fn has_unfolded_changes(&self) -> Result<bool> {
        let mut next = change_event::Entity::find()
            .select_only()
            .column(change_event::Column::Seq)
            .filter(self.0.dialect.unfolded())
            .limit(1);
        if let Some(settled) = self.0.dialect.settled() {
            next = next.filter(settled);
        }
        let next: Option<i64> = next.into_tuple().one(&self.0.read).await.map_err(failed)?;
        Ok(next.is_some())
    }
}

#[expect(clippy::disallowed_methods, reason = "a system operation")]
pub(super) fn the_state() -> Select<statistic_state::Entity> {
    statistic_state::Entity::find().filter(statistic_state::Column::Id.eq(1))
}

pub(super) fn no_state() -> Error {
    Error::internal("the state of the statistics is not there")
}

impl WriteTx {
    /// The state, locked: whoever has it is the only one to change rows that count. `None` when somebody else has it.
    async fn try_lock_statistics(&self) -> Result<Option<statistic_state::Model>> {
        self.state(|select| select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)).await
    }

    /// The state, locked, as soon as nobody else has it.
    pub(super) async fn lock_statistics(&self) -> Result<statistic_state::Model> {
        self.state(|select| select.lock(LockType::Update)).await?.ok_or_else(no_state)
    }

    async fn state(
        &self,
        lock: impl FnOnce(Select<statistic_state::Entity>) -> Select<statistic_state::Entity>,
    ) -> Result<Option<statistic_state::Model>> {
        let select = the_state();
        // SQLite's one writer has it already.
        let select = if self.dialect.is_postgres() { lock(select) } else { select };
        select.one(&self.inner).await.map_err(failed)
    }

    pub(super) async fn save_statistics_state(&self, state: statistic_state::Model) -> Result<()> {
        use statistic_state::Column as C;
        let on_conflict = OnConflict::column(C::Id)
            .update_columns([C::Epoch, C::IsComplete, C::Xid, C::Seq, C::RecountId, C::RecountUntil])
            .to_owned();
        let rows = vec![state.into_active_model()];
        insert_many::<statistic_state::Entity>(self, rows, Some(on_conflict)).await.map_err(failed)
    }

    /// Adds to the rows of one count. A row of which nothing is left goes.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub(super) async fn add_to_statistics(&self, epoch: i32, cells: Cells) -> Result<()> {
        use statistic::Column as C;
        let mut cells: Vec<_> = cells
            .0
            .into_iter()
            .filter(|(_, difference)| !difference.is_zero())
            .map(|(cell, difference)| (cell.id(), cell, difference))
            .collect();
        cells.sort_unstable_by_key(|(id, ..)| *id);
        let on_conflict = OnConflict::columns([C::Id, C::Epoch]).update_column(C::Figures).to_owned();
        let mut cells = cells.into_iter().peekable();
        while cells.peek().is_some() {
            let some: Vec<_> = cells.by_ref().take(INSERT_ROWS_MAX).collect();
            let ids = some.iter().map(|(id, ..)| *id);
            let there: Vec<(Uuid, Vec<u8>)> = statistic::Entity::find()
                .select_only()
                .columns([C::Id, C::Figures])
                .filter(C::Id.is_in(ids).and(C::Epoch.eq(epoch)))
                .into_tuple()
                .all(&self.inner)
                .await
                .map_err(failed)?;
            let mut there: HashMap<_, _> = there.into_iter().collect();
            let (mut changed, mut gone) = (Vec::new(), Vec::new());
            for (id, cell, difference) in some {
                let mut figures = there
                    .remove(&id)
                    .map_or_else(|| Ok(Figures::default()), |bytes| Figures::decode(&bytes))?;
                figures.add(&difference);
                if figures.is_zero() {
                    gone.push(id);
                } else {
                    changed.push(cell.row(id, epoch, &figures));
                }
            }
            insert_many::<statistic::Entity>(self, changed, Some(on_conflict.clone()))
                .await
                .map_err(failed)?;
            if !gone.is_empty() {
                let which = C::Id.is_in(gone).and(C::Epoch.eq(epoch));
                delete::<statistic::Entity>(self, Condition::all().add(which)).await?;
            }
        }
        Ok(())
    }
}
