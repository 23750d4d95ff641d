//! What belongs to the rows of a page, read in one statement for all of them.
//!
//! The first field that asks reads for the whole page, the others wait for it. So the number of statements of a query
//! depends on its fields alone, never on its rows or on how fast they are resolved, and a page read for one viewer is
//! never seen by another.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::Context;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::context::ContextExt as _;
use crate::clock::Timestamp;
use crate::domain::log::Filter;
use crate::domain::page::Page;
use crate::error::Result;
use crate::logs::LogPage;
use crate::store::{ExecutionRow, LargeValue, ProjectRow};

/// The executions of one page, and what was read for them.
#[derive(Debug, Default)]
pub(super) struct Siblings {
    executions: Vec<(String, Uuid)>,
    projects: BTreeSet<(String, String)>,
    inputs: Loaded<Uuid, String>,
    results: Loaded<Uuid, String>,
    errors: Loaded<Uuid, String>,
    heartbeats: Loaded<Uuid, Timestamp>,
    project_rows: Loaded<(String, String), ProjectRow>,
    /// By the arguments: aliases may ask for other pages.
    logs: Mutex<HashMap<(Filter, Page<i64>), LoadedLogs>>,
}

type Loaded<K, V> = OnceCell<Result<HashMap<K, V>>>;
type LoadedLogs = Arc<Loaded<Uuid, Arc<LogPage>>>;

impl Siblings {
    /// The siblings of a page with these rows.
    pub(super) fn of(rows: &[ExecutionRow]) -> Self {
        let project = |row: &ExecutionRow| Some((row.tenant_id.clone(), row.project_key.clone()?));
        Self {
            executions: rows.iter().map(|row| (row.tenant_id.clone(), row.id)).collect(),
            projects: rows.iter().filter_map(project).collect(),
            ..Self::default()
        }
    }

    /// One of the large values of one of them.
    pub(super) async fn large_value(
        &self,
        context: &Context<'_>,
        which: LargeValue,
        id: Uuid,
    ) -> Result<Option<String>> {
        let (field, loaded) = match which {
            LargeValue::Inputs => ("inputs", &self.inputs),
            LargeValue::Result => ("result", &self.results),
            LargeValue::Error => ("error", &self.errors),
        };
        let load = async { context.service().large_values(context.viewer()?, which, &self.executions).await };
        let value = find(loaded.get_or_init(|| load).await, &id)?;
        context.charge(field, value.as_ref().map_or(0, String::len))?;
        Ok(value)
    }

    /// When the runner of one of them appended a line or said that it lives.
    pub(super) async fn heartbeat(&self, context: &Context<'_>, id: Uuid) -> Result<Option<Timestamp>> {
        let load = async { context.service().heartbeats(context.viewer()?, &self.executions).await };
        find(self.heartbeats.get_or_init(|| load).await, &id)
    }

    /// The project that one of them names.
    pub(super) async fn project(
        &self,
        context: &Context<'_>,
        key: (String, String),
    ) -> Result<Option<ProjectRow>> {
        let keys: Vec<_> = self.projects.iter().cloned().collect();
        let load = async { context.service().projects_by_key(context.viewer()?, &keys).await };
        find(self.project_rows.get_or_init(|| load).await, &key)
    }

    /// A page of the log of one of them.
    pub(super) async fn logs(
        &self,
        context: &Context<'_>,
        filter: &Filter,
        page: Page<i64>,
        id: Uuid,
    ) -> Result<Option<Arc<LogPage>>> {
        let loaded = {
            // Nothing that runs under this lock can leave the map half-changed.
            let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(logs.entry((filter.clone(), page.clone())).or_default())
        };
        let load = async {
            let pages =
                context.service().log_pages(context.viewer()?, &self.executions, filter, &page).await?;
            Ok(pages.into_iter().map(|(id, page)| (id, Arc::new(page))).collect())
        };
        find(loaded.get_or_init(|| load).await, &id)
    }
}

fn find<K: Eq + Hash, V: Clone>(loaded: &Result<HashMap<K, V>>, key: &K) -> Result<Option<V>> {
    match loaded {
        Ok(rows) => Ok(rows.get(key).cloned()),
        Err(error) => Err(error.clone()),
    }
}
