//! Reading code agents, their versions and their logs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

use super::super::Service;
use super::publish::validation_of;
use crate::auth::Viewer;
use crate::domain::code::{Filter, Storage, Validation};
use crate::domain::limits::{PAGE_SOURCE_BYTES_MAX, SOURCE_READS_AT_ONCE_MAX, at_most};
use crate::domain::log::{self, Line};
use crate::domain::page::{Cursor, Page, Rows};
use crate::error::{Error, Result};
use crate::logs;
use crate::store::{CodeAgentRow, CodeVersionKey, CodeVersionRow, LogsOf};

impl Service {
    /// One code agent.
    ///
    /// # Errors
    /// What the store says.
    pub async fn find_code_agent(&self, viewer: &Viewer, id: Uuid) -> Result<Option<CodeAgentRow>> {
        self.store.find_code_agent(viewer, id).await
    }

    /// Code agents by id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn code_agents_by_ids(
        &self,
        viewer: &Viewer,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, CodeAgentRow>> {
        self.store.reader(viewer).code_agents_by_ids(ids).await
    }

    /// Code agents by tenant and id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn code_agents_by_key(
        &self,
        viewer: &Viewer,
        keys: &[(String, Uuid)],
    ) -> Result<Vec<CodeAgentRow>> {
        self.store.reader(viewer).code_agents_by_key(keys).await
    }

    /// A page of code agents, newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list_code_agents(
        &self,
        viewer: &Viewer,
        filter: &Filter,
        page: &Page<Cursor>,
    ) -> Result<Rows<CodeAgentRow>> {
        self.store.reader(viewer).list_code_agents(filter, page).await
    }

    /// How many code agents match.
    ///
    /// # Errors
    /// What the store says.
    pub async fn count_code_agents(&self, viewer: &Viewer, filter: &Filter) -> Result<u64> {
        self.store.reader(viewer).count_code_agents(filter).await
    }

    /// Versions by id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn code_versions_by_ids(
        &self,
        viewer: &Viewer,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, CodeVersionRow>> {
        self.store.reader(viewer).code_versions_by_ids(ids).await
    }

    /// Versions by tenant, agent and number.
    ///
    /// # Errors
    /// What the store says.
    pub async fn code_versions_by_key(
        &self,
        viewer: &Viewer,
        keys: &BTreeSet<CodeVersionKey>,
    ) -> Result<Vec<CodeVersionRow>> {
        self.store.reader(viewer).code_versions_by_key(keys).await
    }

    /// A page of an agent's versions, newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list_code_versions(
        &self,
        viewer: &Viewer,
        agent: &CodeAgentRow,
        page: &Page<i32>,
    ) -> Result<Rows<CodeVersionRow>> {
        self.store.reader(viewer).list_code_versions(agent, page).await
    }

    /// How many versions an agent has.
    ///
    /// # Errors
    /// What the store says.
    pub async fn count_code_versions(&self, viewer: &Viewer, agent: &CodeAgentRow) -> Result<u64> {
        self.store.reader(viewer).count_code_versions(agent).await
    }

    /// The sources of versions that have been read, by id.
    ///
    /// # Errors
    /// `TOO_LARGE` when they come to more than [`PAGE_SOURCE_BYTES_MAX`] together; `UNAVAILABLE` when storage does not give
    /// one now.
    pub async fn code_sources(
        &self,
        viewer: &Viewer,
        versions: &[CodeVersionRow],
    ) -> Result<HashMap<Uuid, String>> {
        let bytes = versions.iter().map(|version| usize::try_from(version.size_bytes).unwrap_or(0)).sum();
        at_most("source", bytes, PAGE_SOURCE_BYTES_MAX)?;
        let reader = self.store.reader(viewer);
        let in_database = versions.iter().filter(|row| row.storage == Storage::Database);
        let keys: Vec<_> = in_database.map(|row| (row.tenant_id.clone(), row.id)).collect();
        let mut sources = if keys.is_empty() { HashMap::new() } else { reader.code_sources(&keys).await? };
        // Those that have moved since they were read are objects by now.
        let moved: Vec<_> = keys.iter().map(|(_, id)| *id).filter(|id| !sources.contains_key(id)).collect();
        let moved =
            if moved.is_empty() { HashMap::new() } else { reader.code_versions_by_ids(&moved).await? };
        let objects = versions.iter().filter(|row| row.storage == Storage::Object);
        let objects: Vec<_> = objects.chain(moved.values()).cloned().collect();
        let reads = objects.into_iter().map(|row| async move {
            let source = self.storage.read_source(&row).await?;
            Ok::<_, Error>((row.id, source.to_vec()))
        });
        let read: Vec<_> =
            futures_util::stream::iter(reads).buffered(SOURCE_READS_AT_ONCE_MAX).try_collect().await?;
        sources.extend(read);
        let text = |bytes| String::from_utf8(bytes).map_err(Error::internal);
        sources.into_iter().map(|(id, bytes)| Ok((id, text(bytes)?))).collect()
    }

    /// What is known of a version's source.
    ///
    /// # Errors
    /// `INTERNAL` when what is stored cannot be read.
    pub fn code_validation(&self, version: &CodeVersionRow) -> Result<Validation> {
        validation_of(version)
    }

    /// The newest lines of all executions of a code agent, oldest first.
    ///
    /// # Errors
    /// `TOO_LARGE` when the lines come to more than one answer may hold.
    pub async fn code_agent_logs(
        &self,
        viewer: &Viewer,
        agent: &CodeAgentRow,
        filter: &log::Filter,
        rows: usize,
    ) -> Result<Vec<(Uuid, Arc<Line>)>> {
        let of = LogsOf::CodeAgent { tenant_id: &agent.tenant_id, id: agent.id };
        logs::newest_of_many(&self.log_reader(viewer), of, filter, rows).await
    }
}
