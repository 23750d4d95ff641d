//! Folding the change feed into the rows of the statistics.
//!
//! Each tenant's changes are folded by themselves, and some time after they were made: then many of them meet in each row.
//! A place of the tenant's own says how far that has come. That of the state is where everybody is at least, be it because
//! there was nothing of theirs since their own.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use entity::{change_event, statistic, statistic_place, statistic_state};
use sea_orm::sea_query::{ExprTrait as _, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait as _, FromQueryResult,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select, Set, Statement,
};
use uuid::Uuid;

use super::cells::{Cells, Of};
use super::{EVERY_TENANT, Row};
use crate::clock::Timestamp;
use crate::domain::execution::Mode;
use crate::domain::limits::{STATS_FOLD_CELLS, STATS_FOLD_EVENTS};
use crate::domain::stats::Figures;
use crate::error::{Error, Result};
use crate::store::failure::failed;
use crate::store::feed::FeedPosition;
use crate::store::write::{delete, in_powers_of_two, insert_many};
use crate::store::{Store, WriteTx};

/// Tenants whose places are asked for at once.
const TENANTS_AT_ONCE: usize = 200;

/// What a change has made of the figures.
#[derive(Debug, FromQueryResult)]
pub(super) struct Change {
    pub xid: i64,
    pub seq: i64,
    pub tenant_id: String,
    pub owner_id: String,
    pub code_agent_id: Option<Uuid>,
    pub workflow_id: Option<String>,
    pub project_key: Option<String>,
    pub mode: Option<Mode>,
    pub hour: Option<Timestamp>,
    pub figures: Option<Vec<u8>>,
}

impl Change {
    /// The columns of the feed that it is read from.
    pub(super) fn select(from: Select<change_event::Entity>) -> Select<change_event::Entity> {
        use change_event::Column as C;
        let columns = [
            C::Xid,
            C::Seq,
            C::TenantId,
            C::OwnerId,
            C::CodeAgentId,
            C::WorkflowId,
            C::ProjectKey,
            C::Mode,
            C::Hour,
            C::Figures,
        ];
        from.select_only()
            .columns(columns)
            .filter(C::Figures.is_not_null())
            .order_by_asc(C::Xid)
            .order_by_asc(C::Seq)
    }

    pub(super) fn position(&self) -> FeedPosition {
        FeedPosition { xid: self.xid, seq: self.seq }
    }

    /// The figures, and what they are of; `None` when it changes none.
    pub(super) fn figures(&self) -> Result<Option<(Of<'_>, Figures)>> {
        let (Some(mode), Some(time), Some(figures)) = (self.mode, self.hour, &self.figures) else {
            return Ok(None);
        };
        let of = Of {
            tenant_id: &self.tenant_id,
            owner_id: &self.owner_id,
            code_agent_id: self.code_agent_id,
            workflow_id: self.workflow_id.as_deref(),
            project_key: self.project_key.as_deref(),
            mode,
            time,
        };
        Ok(Some((of, Figures::decode(figures)?)))
    }
}

/// Changes that wait to be folded.
#[derive(Debug)]
pub struct Waiting {
    /// The place of the last of them; `None` when there are none.
    pub end: Option<FeedPosition>,
    /// How many there are of each tenant, and of all together, which is one more to be folded.
    pub tenants: Vec<(String, u64)>,
}

/// How many changes of a tenant there are, and the last of them.
#[derive(Debug, FromQueryResult)]
struct Count {
    tenant_id: String,
    changes: i64,
    xid: i64,
    seq: i64,
}

/// Figures that are to be added in one transaction, and how far their tenants are then.
#[derive(Debug, Default)]
struct Batch {
    cells: Cells,
    places: BTreeMap<String, Moved>,
}

#[derive(Debug)]
struct Moved {
    from: FeedPosition,
    to: FeedPosition,
}

impl Store {
    /// The place up to which the changes of every tenant are in the rows; `None` while nothing may be added to them.
    ///
    /// # Errors
    /// What the database says.
    pub async fn folded_place(&self, now: Timestamp) -> Result<Option<FeedPosition>> {
        let state = self.statistics_state().await?;
        Ok(is_open(&state, now).then(|| place_of(&state)))
    }

    /// The changes after a place, counted.
    ///
    /// # Errors
    /// What the database says.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub async fn waiting_changes(&self, after: FeedPosition) -> Result<Waiting> {
        use change_event::Column as C;
        let mut select = change_event::Entity::find()
            .select_only()
            .column(C::TenantId)
            .column_as(C::Seq.count(), "changes")
            .column_as(C::Xid.max(), "xid")
            .column_as(C::Seq.max(), "seq")
            .filter(self.0.dialect.feed_after(after.xid, after.seq))
            .group_by(C::TenantId);
        if let Some(settled) = self.0.dialect.settled() {
            select = select.filter(settled);
        }
        let counts: Vec<Count> = select.into_model().all(&self.0.read).await.map_err(failed)?;
        let end = counts.iter().map(|count| FeedPosition { xid: count.xid, seq: count.seq }).max();
        // A transaction that has ended has all its events in the feed.
        let end =
            end.map(
                |end| if self.0.dialect.is_postgres() { FeedPosition { seq: i64::MAX, ..end } } else { end },
            );
        let mut tenants: Vec<_> =
            counts.into_iter().map(|count| (count.tenant_id, count.changes.unsigned_abs())).collect();
        if end.is_some() {
            let all = tenants.iter().map(|(_, changes)| changes).sum();
            tenants.push((EVERY_TENANT.to_owned(), all));
        }
        Ok(Waiting { end, tenants })
    }

    /// Adds what waits of some tenants to their rows, a transaction for a few rows each. `false` when not all was added,
    /// because somebody else folds or counts anew.
    ///
    /// # Errors
    /// What the database says.
    pub async fn fold_statistics(&self, tenants: &[String], now: Timestamp) -> Result<bool> {
        let mut batch = Batch::default();
        for tenants in tenants.chunks(TENANTS_AT_ONCE) {
            let Some(floor) = self.folded_place(now).await? else { return Ok(false) };
            let places = places(&self.0.read, tenants).await?;
            for tenant_id in tenants {
                let mut place = places.get(tenant_id).copied().unwrap_or(floor);
                loop {
                    let changes = self.changes_of(tenant_id, place).await?;
                    for change in &changes {
                        if batch.cells.len() >= STATS_FOLD_CELLS
                            && !self.add_batch(std::mem::take(&mut batch), now).await?
                        {
                            return Ok(false);
                        }
                        batch.add(tenant_id, place, change)?;
                        place = change.position();
                    }
                    if (changes.len() as u64) < STATS_FOLD_EVENTS {
                        break;
                    }
                }
            }
        }
        self.add_batch(batch, now).await
    }

    /// Notes that the changes of every tenant have been folded up to `to`, when nobody has noted anything else than `from`
    /// meanwhile; `false` when somebody has.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_folded(&self, from: FeedPosition, to: FeedPosition, now: Timestamp) -> Result<bool> {
        let tx = self.begin_in_background().await?;
        let Some(mut state) = tx.try_lock_statistics().await? else { return Ok(false) };
        if !is_open(&state, now) || place_of(&state) != from {
            return Ok(false);
        }
        (state.xid, state.seq) = (to.xid, to.seq);
        tx.save_statistics_state(state).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The next changes of a tenant, or of all together.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    async fn changes_of(&self, tenant_id: &str, after: FeedPosition) -> Result<Vec<Change>> {
        let mut select = Change::select(change_event::Entity::find())
            .filter(self.0.dialect.feed_after(after.xid, after.seq))
            .limit(STATS_FOLD_EVENTS);
        if tenant_id != EVERY_TENANT {
            select = select.filter(change_event::Column::TenantId.eq(tenant_id));
        }
        if let Some(settled) = self.0.dialect.settled() {
            select = select.filter(settled);
        }
        select.into_model().all(&self.0.read).await.map_err(failed)
    }

    /// Adds it, when its tenants are still where they were; `false` when they are not.
    async fn add_batch(&self, batch: Batch, now: Timestamp) -> Result<bool> {
        if batch.places.is_empty() {
            return Ok(true);
        }
        let rows = batch.cells.into_rows();
        let tx = self.begin_in_background().await?;
        let Some(state) = tx.try_lock_statistics().await? else { return Ok(false) };
        let tenants: Vec<_> = batch.places.keys().cloned().collect();
        let places = places(&tx.inner, &tenants).await?;
        let floor = place_of(&state);
        let is_there = |(tenant_id, moved): (&String, &Moved)| {
            places.get(tenant_id).copied().unwrap_or(floor) == moved.from
        };
        if !is_open(&state, now) || !batch.places.iter().all(is_there) {
            return Ok(false);
        }
        tx.add_to_statistics(state.epoch, rows).await?;
        tx.save_places(batch.places).await?;
        tx.commit().await?;
        Ok(true)
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
                delete::<statistic_place::Entity>(&tx, Condition::all()).await?;
                tx.commit().await?;
            }
        }
        Ok(self.statistics_state().await?.is_complete)
    }
}

impl Batch {
    fn add(&mut self, tenant_id: &str, from: FeedPosition, change: &Change) -> Result<()> {
        if let Some((of, figures)) = change.figures()? {
            if tenant_id == EVERY_TENANT {
                self.cells.add_to_every_tenant(of, &figures);
            } else {
                self.cells.add(of, &figures);
            }
        }
        let to = change.position();
        self.places.entry(tenant_id.to_owned()).or_insert(Moved { from, to }).to = to;
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a system operation")]
pub(super) fn the_state() -> Select<statistic_state::Entity> {
    statistic_state::Entity::find().filter(statistic_state::Column::Id.eq(1))
}

pub(super) fn place_of(state: &statistic_state::Model) -> FeedPosition {
    FeedPosition { xid: state.xid, seq: state.seq }
}

/// Whether changes may be added to the rows now.
fn is_open(state: &statistic_state::Model, now: Timestamp) -> bool {
    state.is_complete && state.recount_until.is_none_or(|until| until <= now)
}

/// How far those of some tenants are that have a place of their own.
#[expect(clippy::disallowed_methods, reason = "a system operation")]
async fn places(
    connection: &impl sea_orm::ConnectionTrait,
    tenants: &[String],
) -> Result<HashMap<String, FeedPosition>> {
    let places = statistic_place::Entity::find()
        .filter(statistic_place::Column::TenantId.is_in(tenants))
        .all(connection)
        .await
        .map_err(failed)?;
    let place = |row: statistic_place::Model| (row.tenant_id, FeedPosition { xid: row.xid, seq: row.seq });
    Ok(places.into_iter().map(place).collect())
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

    async fn save_places(&self, places: BTreeMap<String, Moved>) -> Result<()> {
        use statistic_place::Column as C;
        let place = |(tenant_id, Moved { to, .. }): (String, Moved)| statistic_place::ActiveModel {
            tenant_id: Set(tenant_id),
            xid: Set(to.xid),
            seq: Set(to.seq),
        };
        let on_conflict = OnConflict::column(C::TenantId).update_columns([C::Xid, C::Seq]).to_owned();
        let places = places.into_iter().map(place).collect();
        insert_many::<statistic_place::Entity>(self, places, Some(on_conflict)).await.map_err(failed)
    }

    /// Adds to the rows of one count. A row of which nothing is left goes.
    #[expect(clippy::disallowed_methods, reason = "a system operation")]
    pub(super) async fn add_to_statistics(&self, epoch: i32, rows: Vec<Row>) -> Result<()> {
        use statistic::Column as C;
        let on_conflict = OnConflict::columns([C::Id, C::Epoch]).update_column(C::Figures).to_owned();
        for some in in_powers_of_two(rows) {
            let ids = some.iter().map(|row| row.id);
            let there: Vec<(Uuid, Vec<u8>)> = statistic::Entity::find()
                .select_only()
                .columns([C::Id, C::Figures])
                .filter(C::Id.is_in(ids).and(C::Epoch.eq(epoch)))
                .into_tuple()
                .all(&self.inner)
                .await
                .map_err(failed)?;
            let mut there: HashMap<_, _> = there.into_iter().collect();
            let (mut changed, mut gone) = (Vec::with_capacity(some.len()), Vec::new());
            for row in some {
                let mut figures = there
                    .remove(&row.id)
                    .map_or_else(|| Ok(Figures::default()), |bytes| Figures::decode(&bytes))?;
                figures.add(&row.figures);
                if figures.is_zero() {
                    gone.push(row.id);
                } else {
                    changed.push(row.into_model(epoch, &figures));
                }
            }
            insert_many::<statistic::Entity>(self, changed, Some(on_conflict.clone()))
                .await
                .map_err(failed)?;
            for gone in in_powers_of_two(gone) {
                let which = C::Id.is_in(gone).and(C::Epoch.eq(epoch));
                delete::<statistic::Entity>(self, Condition::all().add(which)).await?;
            }
        }
        Ok(())
    }
}
