//! What belongs to the rows of a page, read in one statement for all of them.
//!
//! The first field that asks reads for the whole page, the others wait for it. So the number of statements of a query
//! depends on its fields alone, never on its rows or on how fast they are resolved, and a page read for one viewer is
//! never seen by another.

mod code;
mod generation;
mod stats;

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_graphql::Context;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::context::ContextExt as _;
use crate::domain::log::Filter;
use crate::domain::page::Page;
use crate::domain::stream::StreamKind;
use crate::error::Result;
use crate::graphql::model::{CodeAgent, CodeVersion, Generation, Project};
use crate::logs::{EventRange, LogPage};
use crate::store::{CodeVersionKey, ExecutionRow, LargeValue, LogStream};

pub(super) use code::{AgentSiblings, VersionSiblings};
pub(super) use generation::{DiffSet, FileSet, GenerationSiblings, ProjectSiblings};

/// The executions of one page, and what was read for them.
#[derive(Debug, Default)]
pub(super) struct Siblings {
    rows: Vec<Arc<ExecutionRow>>,
    keys: OnceLock<Keys>,
    inputs: Loaded<Uuid, String>,
    results: Loaded<Uuid, String>,
    errors: Loaded<Uuid, String>,
    log_streams: Loaded<Uuid, LogStream>,
    visual_streams: Loaded<Uuid, LogStream>,
    project_rows: Loaded<(String, String), Project>,
    generation_rows: Loaded<Uuid, Generation>,
    agent_rows: Loaded<Uuid, CodeAgent>,
    version_rows: Loaded<(Uuid, i32), CodeVersion>,
    /// By the arguments: aliases may ask for other pages.
    logs: Mutex<HashMap<(Filter, Page<i64>), LoadedLogs>>,
    /// By the arguments, too.
    visual_events: Mutex<HashMap<(i64, usize), LoadedEvents>>,
}

/// By what things are found that belong to the executions of a page, or that they name.
#[derive(Debug)]
struct Keys {
    executions: Vec<(String, Uuid)>,
    projects: BTreeSet<(String, String)>,
    generations: BTreeSet<(String, Uuid)>,
    agents: BTreeSet<(String, Uuid)>,
    versions: BTreeSet<CodeVersionKey>,
}

impl Keys {
    fn of(rows: &[Arc<ExecutionRow>]) -> Self {
        let rows = || rows.iter().map(|row| (row.tenant_id.clone(), row));
        Self {
            executions: rows().map(|(tenant_id, row)| (tenant_id, row.id)).collect(),
            projects: rows()
                .filter_map(|(tenant_id, row)| Some((tenant_id, row.project_key.clone()?)))
                .collect(),
            generations: rows()
                .filter_map(|(tenant_id, row)| Some((tenant_id, row.generation_id?)))
                .collect(),
            agents: rows().filter_map(|(tenant_id, row)| Some((tenant_id, row.code_agent_id?))).collect(),
            versions: rows()
                .filter_map(|(tenant_id, row)| Some((tenant_id, row.code_agent_id?, row.code_version?)))
                .collect(),
        }
    }
}

type Loaded<K, V> = OnceCell<Result<HashMap<K, V>>>;
type LoadedEvents = Arc<Loaded<Uuid, Result<Arc<EventRange>>>>;
type LoadedLogs = Arc<Loaded<Uuid, Arc<LogPage>>>;

impl Siblings {
    /// The siblings of a page with these rows.
    pub(super) fn of(rows: Vec<Arc<ExecutionRow>>) -> Self {
        Self { rows, ..Self::default() }
    }

    fn keys(&self) -> &Keys {
        self.keys.get_or_init(|| Keys::of(&self.rows))
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
        let load =
            async { context.service().large_values(context.viewer()?, which, &self.keys().executions).await };
        let value = find(loaded.get_or_init(|| load).await, &id)?;
        context.charge(field, value.as_ref().map_or(0, String::len))?;
        Ok(value)
    }

    /// How far the log of one of them is written.
    pub(super) async fn log_stream(&self, context: &Context<'_>, id: Uuid) -> Result<Option<LogStream>> {
        let load = async {
            context.service().log_streams(context.viewer()?, StreamKind::Log, &self.keys().executions).await
        };
        find(self.log_streams.get_or_init(|| load).await, &id)
    }

    /// How far the visual session of one of them is written; `None` when it has no events.
    pub(super) async fn visual_stream(&self, context: &Context<'_>, id: Uuid) -> Result<Option<LogStream>> {
        let load = async {
            context
                .service()
                .log_streams(context.viewer()?, StreamKind::Visual, &self.keys().executions)
                .await
        };
        find(self.visual_streams.get_or_init(|| load).await, &id)
    }

    /// Some events of the visual session of one of them; `None` when it has none.
    pub(super) async fn visual_events(
        &self,
        context: &Context<'_>,
        from: i64,
        rows: usize,
        id: Uuid,
    ) -> Result<Option<Result<Arc<EventRange>>>> {
        let loaded = {
            // Nothing that runs under this lock can leave the map half-changed.
            let mut ranges = self.visual_events.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(ranges.entry((from, rows)).or_default())
        };
        let load = async {
            let ranges = context
                .service()
                .visual_events(context.viewer()?, &self.keys().executions, from, rows)
                .await?;
            Ok(ranges.into_iter().map(|(id, range)| (id, range.map(Arc::new))).collect())
        };
        find(loaded.get_or_init(|| load).await, &id)
    }

    /// The project that one of them names.
    pub(super) async fn project(
        &self,
        context: &Context<'_>,
        key: (String, String),
    ) -> Result<Option<Project>> {
        let load = async {
            let keys: Vec<_> = self.keys().projects.iter().cloned().collect();
            let rows = context.service().projects_by_key(context.viewer()?, &keys).await?;
            let (keys, rows): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            Ok(keys.into_iter().zip(Project::page(rows)).collect())
        };
        find(self.project_rows.get_or_init(|| load).await, &key)
    }

    /// The generation that one of them names.
    pub(super) async fn generation(&self, context: &Context<'_>, id: Uuid) -> Result<Option<Generation>> {
        let load = async {
            let keys: Vec<_> = self.keys().generations.iter().cloned().collect();
            let rows = context.service().generations_by_key(context.viewer()?, &keys).await?;
            let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
            Ok(ids.into_iter().zip(Generation::page(rows)).collect())
        };
        find(self.generation_rows.get_or_init(|| load).await, &id)
    }

    /// The code agent that one of them runs.
    pub(super) async fn code_agent(&self, context: &Context<'_>, id: Uuid) -> Result<Option<CodeAgent>> {
        let load = code::agents(context, self.keys().agents.clone());
        find(self.agent_rows.get_or_init(|| load).await, &id)
    }

    /// The version that one of them runs.
    pub(super) async fn code_version(
        &self,
        context: &Context<'_>,
        key: (Uuid, i32),
    ) -> Result<Option<CodeVersion>> {
        let load = code::versions(context, self.keys().versions.clone());
        find(self.version_rows.get_or_init(|| load).await, &key)
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
            let pages = context
                .service()
                .log_pages(context.viewer()?, &self.keys().executions, filter, &page)
                .await?;
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
