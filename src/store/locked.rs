//! Executions that are locked for the calls of many viewers at once.

use std::collections::HashMap;

use entity::execution;
use sea_orm::sea_query::LockType;
use sea_orm::{EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use uuid::Uuid;

use super::WriteTx;
use super::executions::ExecutionRow;
use super::failure::failed;
use super::rows::InOrder;
use super::scoped::{Writable, of_executions};
use super::write::INSERT_ROWS_MAX;
use crate::auth::Viewer;
use crate::error::Result;

/// Executions by tenant and id. What leaves it has been checked against a viewer.
#[derive(Debug)]
pub struct LockedExecutions(HashMap<(String, Uuid), ExecutionRow>);

impl LockedExecutions {
    /// One of them, to be changed; `None` for one that is not there or that `viewer` must not see.
    ///
    /// # Errors
    /// `FORBIDDEN` when it may be read but not written.
    pub fn writable(&self, viewer: &Viewer, key: &(String, Uuid)) -> Result<Option<Writable<ExecutionRow>>> {
        let row = self.0.get(key).filter(|row| viewer.reads().admits(&row.tenant_id, &row.owner_id));
        row.map(|row| Writable::check(viewer, &row.tenant_id, &row.owner_id, row.clone())).transpose()
    }

    /// Keeps a change for the calls that come after.
    pub fn replace(&mut self, row: &Writable<ExecutionRow>) {
        let row = row.row();
        self.0.insert((row.tenant_id.clone(), row.id), row.clone());
    }
}

impl WriteTx {
    /// Locks executions, also those being discarded, in one order, so that two transactions cannot wait for each other.
    ///
    /// # Errors
    /// What the database says.
    #[expect(
        clippy::disallowed_methods,
        reason = "each row is checked against its viewer by LockedExecutions"
    )]
    pub async fn lock_executions(&self, mut keys: Vec<(String, Uuid)>) -> Result<LockedExecutions> {
        use execution::Column as C;
        keys.sort_unstable();
        keys.dedup();
        let mut locked = HashMap::with_capacity(keys.len());
        for keys in keys.chunks(INSERT_ROWS_MAX) {
            let mut select = execution::Entity::find()
                .filter(of_executions(C::TenantId, C::Id, keys))
                .order_by_asc(C::TenantId)
                .order_by_asc(C::Id);
            if self.dialect.is_postgres() {
                select = select.lock(LockType::NoKeyUpdate);
            }
            let rows = select.into_model::<InOrder>().all(&self.inner).await.map_err(failed)?;
            locked.extend(rows.into_iter().map(|InOrder(row)| ((row.tenant_id.clone(), row.id), row)));
        }
        Ok(LockedExecutions(locked))
    }
}
