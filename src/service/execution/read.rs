//! Reading executions.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::super::Service;
use crate::auth::Viewer;
use crate::domain::execution::{Filter, Order};
use crate::domain::page::{Cursor, Page, Rows};
use crate::error::Result;
use crate::store::{Columns, ExecutionRow, LargeValue};

impl Service {
    /// Some columns of one execution.
    ///
    /// # Errors
    /// What the store says.
    pub async fn find_execution(
        &self,
        viewer: &Viewer,
        id: Uuid,
        columns: Columns,
    ) -> Result<Option<ExecutionRow>> {
        self.store.find_execution(viewer, id, columns).await
    }

    /// Executions by id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn executions_by_ids(
        &self,
        viewer: &Viewer,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, ExecutionRow>> {
        self.store.reader(viewer).executions_by_ids(ids).await
    }

    /// A page of the history, some columns of it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list_executions(
        &self,
        viewer: &Viewer,
        filter: &Filter,
        order: Order,
        page: &Page<Cursor>,
        columns: Columns,
    ) -> Result<Rows<Arc<ExecutionRow>>> {
        self.store.reader(viewer).list_executions(filter, order, page, columns).await
    }

    /// A page of the executions that wait or run, newest first, some columns of it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list_active_executions(
        &self,
        viewer: &Viewer,
        page: &Page<Cursor>,
        columns: Columns,
    ) -> Result<Rows<Arc<ExecutionRow>>> {
        self.store.reader(viewer).list_active_executions(page, columns).await
    }

    /// How many executions wait or run.
    ///
    /// # Errors
    /// What the store says.
    pub async fn count_active_executions(&self, viewer: &Viewer) -> Result<u64> {
        self.store.reader(viewer).count_active_executions().await
    }

    /// One of the large values of executions, by tenant and id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn large_values(
        &self,
        viewer: &Viewer,
        which: LargeValue,
        keys: &[(String, Uuid)],
    ) -> Result<HashMap<Uuid, String>> {
        self.store.reader(viewer).large_values(which, keys).await
    }
}
