//! What belongs to the code agents of a page, and to their versions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::Context;
use uuid::Uuid;

use super::super::context::ContextExt as _;
use super::stats::StatsSiblings;
use super::{Loaded, find};
use crate::domain::stats::Span;
use crate::error::Result;
use crate::graphql::model::{CodeAgent, CodeVersion, ExecutionStats};
use crate::service::Stats;
use crate::store::{CodeAgentRow, CodeVersionKey, CodeVersionRow, StatsOf};

/// The code agents of one page, and what was read for them.
#[derive(Debug, Default)]
pub(in crate::graphql) struct AgentSiblings {
    agents: Vec<(String, Uuid)>,
    stats: StatsSiblings,
    newest: BTreeSet<CodeVersionKey>,
    newest_versions: Loaded<Uuid, CodeVersion>,
    /// Numbers are arguments, so that there is one load for each.
    numbered_versions: Mutex<BTreeMap<i32, Arc<Loaded<Uuid, CodeVersion>>>>,
}

impl AgentSiblings {
    /// The siblings of a page with these rows.
    pub(in crate::graphql) fn of(rows: &[CodeAgentRow]) -> Self {
        let newest = rows.iter().map(|row| (row.tenant_id.clone(), row.id, row.latest_version));
        let agents = rows.iter().map(|row| (row.tenant_id.clone(), row.id));
        Self { agents: agents.collect(), newest: newest.collect(), ..Self::default() }
    }

    /// With their statistics of all time, which have been read.
    pub(in crate::graphql) fn with_stats(mut self, stats: Stats) -> Self {
        self.stats = StatsSiblings::of_all_time(StatsOf::CodeAgents(self.agents.clone()), stats);
        self
    }

    /// The statistics of one of them.
    pub(in crate::graphql) async fn stats(
        &self,
        context: &Context<'_>,
        id: Uuid,
        span: Span,
    ) -> Result<ExecutionStats> {
        let at = self.agents.iter().position(|(_, agent)| *agent == id);
        self.stats.find(context, || StatsOf::CodeAgents(self.agents.clone()), span, at).await
    }

    /// The newest version of one of them.
    pub(in crate::graphql) async fn newest(
        &self,
        context: &Context<'_>,
        id: Uuid,
    ) -> Result<Option<CodeVersion>> {
        let keys = self.newest.iter().filter(|(.., newest)| *newest > 0).cloned().collect();
        let loaded = self.newest_versions.get_or_init(|| by_agent(context, keys)).await;
        find(loaded, &id)
    }

    /// The version of one of them that has this number.
    pub(in crate::graphql) async fn numbered(
        &self,
        context: &Context<'_>,
        id: Uuid,
        number: i32,
    ) -> Result<Option<CodeVersion>> {
        let loaded = {
            let mut loads = self.numbered_versions.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(loads.entry(number).or_default())
        };
        let has_it = |newest: i32| (1..=newest).contains(&number);
        let keys = self.newest.iter().filter(|(.., newest)| has_it(*newest));
        let keys = keys.map(|(tenant_id, id, _)| (tenant_id.clone(), *id, number)).collect();
        find(loaded.get_or_init(|| by_agent(context, keys)).await, &id)
    }
}

/// The versions of one page, and what was read for them.
#[derive(Debug, Default)]
pub(in crate::graphql) struct VersionSiblings {
    versions: Vec<CodeVersionRow>,
    sources: Loaded<Uuid, String>,
    agents: Loaded<Uuid, CodeAgent>,
}

impl VersionSiblings {
    /// The siblings of a page with these rows.
    pub(in crate::graphql) fn of(rows: &[CodeVersionRow]) -> Self {
        Self { versions: rows.to_vec(), ..Self::default() }
    }

    /// The source of one of them.
    pub(in crate::graphql) async fn source(&self, context: &Context<'_>, id: Uuid) -> Result<Option<String>> {
        let load = async { context.service().code_sources(context.viewer()?, &self.versions).await };
        find(self.sources.get_or_init(|| load).await, &id)
    }

    /// The agent of one of them.
    pub(in crate::graphql) async fn agent(
        &self,
        context: &Context<'_>,
        id: Uuid,
    ) -> Result<Option<CodeAgent>> {
        let keys: BTreeSet<_> =
            self.versions.iter().map(|row| (row.tenant_id.clone(), row.code_agent_id)).collect();
        find(self.agents.get_or_init(|| agents(context, keys)).await, &id)
    }
}

/// Code agents by their ids, siblings of each other.
pub(super) async fn agents(
    context: &Context<'_>,
    keys: BTreeSet<(String, Uuid)>,
) -> Result<HashMap<Uuid, CodeAgent>> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<_> = keys.into_iter().collect();
    let rows = context.service().code_agents_by_key(context.viewer()?, &keys).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    Ok(ids.into_iter().zip(CodeAgent::page(rows)).collect())
}

/// Versions by what names them, siblings of each other.
pub(super) async fn versions(
    context: &Context<'_>,
    keys: BTreeSet<CodeVersionKey>,
) -> Result<HashMap<(Uuid, i32), CodeVersion>> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = context.service().code_versions_by_key(context.viewer()?, &keys).await?;
    let keys: Vec<_> = rows.iter().map(|row| (row.code_agent_id, row.number)).collect();
    Ok(keys.into_iter().zip(CodeVersion::page(rows)).collect())
}

/// Versions of which each agent has one.
async fn by_agent(
    context: &Context<'_>,
    keys: BTreeSet<CodeVersionKey>,
) -> Result<HashMap<Uuid, CodeVersion>> {
    let versions = versions(context, keys).await?;
    Ok(versions.into_iter().map(|((id, _), version)| (id, version)).collect())
}
