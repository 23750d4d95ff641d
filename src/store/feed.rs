//! The change feed's rows: written in the transaction of the change, read in commit order.

use entity::change_event::{self, Kind};
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, NotSet, Order, Set, Statement};
use uuid::Uuid;

use super::WriteTx;
use super::executions::ExecutionRow;
use super::failure::failed;
use super::scoped::Reader;
use super::stats::figures_of;
use super::write::insert_many;
use crate::clock::Timestamp;
use crate::domain::execution::is_final;
use crate::domain::stats::{Figures, Width, start_of};
use crate::error::{Error, Result};

/// A place in the feed, in commit order: everything up to it has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPosition {
    pub xid: i64,
    pub seq: i64,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    pub position: FeedPosition,
    pub tenant_id: String,
    pub execution_id: Uuid,
    pub kind: Kind,
    pub revision: i32,
    pub created_at: Timestamp,
}

/// Events that are final.
#[derive(Debug)]
pub struct FeedPage {
    pub events: Vec<FeedEvent>,
    /// There may be more that can be read at once.
    pub is_full: bool,
}

impl Reader<'_> {
    /// Where the feed stands: what is committed from now on comes after.
    ///
    /// # Errors
    /// What the database says.
    pub async fn feed_end(&self) -> Result<FeedPosition> {
        let horizon = Statement::from_string(self.dialect.backend(), self.dialect.feed_horizon());
        let row = self.connection().query_one_raw(horizon).await.map_err(failed)?;
        let row = row.ok_or_else(|| Error::internal("the feed has no horizon"))?;
        Ok(FeedPosition {
            xid: row.try_get("", "xid").map_err(failed)?,
            seq: row.try_get("", "seq").map_err(failed)?,
        })
    }

    /// At most `rows` events after `after` that are final: no event will ever appear before them.
    ///
    /// # Errors
    /// What the database says.
    pub async fn feed_after(&self, after: FeedPosition, rows: u64) -> Result<FeedPage> {
        use change_event::Column as C;
        let mut select = self
            .select::<change_event::Entity>()
            .filter(self.dialect.feed_after(after.xid, after.seq))
            .order_by(C::Xid.into_expr(), Order::Asc)
            .order_by(C::Seq.into_expr(), Order::Asc)
            .limit(rows);
        if let Some(settled) = self.dialect.settled() {
            select = select.filter(settled);
        }
        let events: Vec<_> = select.all().await?.into_iter().map(FeedEvent::from).collect();
        Ok(FeedPage { is_full: events.len() as u64 == rows, events })
    }

    /// Whether events wait after `after` that are not final yet, because an older transaction is still running.
    ///
    /// # Errors
    /// What the database says.
    pub async fn feed_is_unsettled(&self, after: FeedPosition) -> Result<bool> {
        if self.dialect.settled().is_none() {
            return Ok(false);
        }
        let next = self
            .select::<change_event::Entity>()
            .filter(self.dialect.feed_after(after.xid, after.seq))
            .limit(1)
            .one()
            .await?;
        Ok(next.is_some())
    }
}

impl WriteTx {
    /// Puts new executions into the feed; they appear when this transaction commits. As with the next two, the statistics
    /// change with them: there is no other way to change either.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_created(&self, rows: &[&ExecutionRow], now: Timestamp) -> Result<()> {
        let event = |row: &&ExecutionRow| event(Kind::Created, row, &figures_of(row), now);
        self.insert_events(rows.iter().map(event).collect()).await
    }

    /// Puts changes into the feed: each execution as it was, and as it is now.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_changed(
        &self,
        changes: &[(&ExecutionRow, &ExecutionRow)],
        now: Timestamp,
    ) -> Result<()> {
        let event = |(before, after): &(&ExecutionRow, &ExecutionRow)| {
            let kind = if is_final(after.status) { Kind::Finished } else { Kind::Updated };
            let mut figures = figures_of(after);
            figures.subtract(&figures_of(before));
            event(kind, after, &figures, now)
        };
        self.insert_events(changes.iter().map(event).collect()).await
    }

    /// Puts deletions into the feed: each execution as it was.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record_deleted(&self, rows: &[&ExecutionRow], now: Timestamp) -> Result<()> {
        let event = |row: &&ExecutionRow| event(Kind::Deleted, row, &figures_of(row).negated(), now);
        self.insert_events(rows.iter().map(event).collect()).await
    }

    async fn insert_events(&self, events: Vec<change_event::ActiveModel>) -> Result<()> {
        insert_many::<change_event::Entity>(self, events, None).await.map_err(failed)
    }
}

fn event(kind: Kind, row: &ExecutionRow, figures: &Figures, now: Timestamp) -> change_event::ActiveModel {
    let counts = !figures.is_zero();
    change_event::ActiveModel {
        seq: NotSet,
        xid: NotSet,
        tenant_id: Set(row.tenant_id.clone()),
        owner_id: Set(row.owner_id.clone()),
        kind: Set(kind),
        execution_id: Set(row.id),
        revision: Set(row.revision),
        created_at: Set(now),
        mode: Set(counts.then_some(row.mode)),
        code_agent_id: Set(row.code_agent_id.filter(|_| counts)),
        workflow_id: Set(row.workflow_id.clone().filter(|_| counts)),
        project_key: Set(row.project_key.clone().filter(|_| counts)),
        hour: Set(counts.then(|| start_of(Width::Hour, row.created_at))),
        figures: Set(counts.then(|| figures.encode())),
    }
}

impl From<change_event::Model> for FeedEvent {
    fn from(row: change_event::Model) -> Self {
        Self {
            position: FeedPosition { xid: row.xid, seq: row.seq },
            tenant_id: row.tenant_id,
            execution_id: row.execution_id,
            kind: row.kind,
            revision: row.revision,
            created_at: row.created_at,
        }
    }
}
