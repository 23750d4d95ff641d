//! What can be asked.

use std::collections::HashMap;

use async_graphql::{Context, ID, Object};
use uuid::Uuid;

use super::context::{ContextExt as _, uuid};
use super::error::{ApiError, Nullable as _};
use super::input::{CodeAgentFilter, ExecutionFilter, ExecutionOrder, StatsFilter, span};
use super::model::{
    CodeAgent, CodeAgentConnection, CodeVersion, Deletion, Execution, ExecutionComparison,
    ExecutionConnection, ExecutionStats, Generation, GenerationComparison, Node, Project, ProjectConnection,
    RegistryStats, StatsSet, Viewer, WorkflowRun,
};
use super::plain::{PlainRow, Selected};
use super::scalars::DateTime;
use crate::domain::execution::{Filter, Order};
use crate::domain::limits::{COMPARE_EXECUTIONS_MAX, FILTER_MEMBERS_MAX, at_most};
use crate::domain::page::{Cursor, PageArgs};
use crate::domain::text;
use crate::error::{Error, Result};
use crate::store::Columns;

/// What can be asked. Everybody sees what their token lets them see; other people's rows and missing rows answer the same.
pub struct Query;

/// What can be asked. Everybody sees what their token lets them see; other people's rows and missing rows answer the same.
#[Object]
impl Query {
    /// Who is asking.
    async fn viewer(&self, context: &Context<'_>) -> Result<Viewer, ApiError> {
        Ok(context.viewer()?.into())
    }

    /// Anything by its id.
    async fn node(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "A UUID.")] id: ID,
    ) -> Option<async_graphql::Result<Node>> {
        let found = async {
            let mut found = nodes(context, &[uuid("id", &id)?]).await?;
            Ok::<_, Error>(found.pop().flatten())
        };
        found.await.nullable()
    }

    /// Anything by its id, in the order of the ids; null for those that are not there.
    async fn nodes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "UUIDs, at most 200.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>, ApiError> {
        at_most("ids", ids.len(), FILTER_MEMBERS_MAX)?;
        let ids = ids.iter().enumerate();
        let ids: Vec<_> = ids.map(|(index, id)| uuid(&format!("ids.{index}"), id)).collect::<Result<_>>()?;
        Ok(nodes(context, &ids).await?)
    }

    /// One code agent.
    async fn code_agent(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "A UUID.")] id: ID,
    ) -> Option<async_graphql::Result<CodeAgent>> {
        let found = async {
            let (viewer, id) = (context.viewer()?, uuid("id", &id)?);
            if !CodeAgent::is_asked_for_stats_of_all_time(context) {
                let agent = context.service().find_code_agent(viewer, id).await?;
                return Ok(agent.map(CodeAgent::one));
            }
            let found = context.service().find_code_agent_with_stats(viewer, id).await?;
            Ok::<_, Error>(found.map(|(agent, stats)| CodeAgent::one_with_stats(agent, stats)))
        };
        found.await.nullable()
    }

    /// The code agents, newest first.
    async fn code_agents(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only those that match.")] filter: Option<CodeAgentFilter>,
        #[graphql(desc = "Rows from the start; 50 by default, 200 at most.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "Rows from the end, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> Result<CodeAgentConnection, ApiError> {
        let filter = filter.unwrap_or_default().check("filter")?;
        CodeAgentConnection::load(context, filter, PageArgs { first, after, last, before }).await
    }

    /// One project.
    async fn project(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "A UUID.")] id: ID,
    ) -> Option<async_graphql::Result<Project>> {
        let found = async {
            let project = context.service().find_project(context.viewer()?, uuid("id", &id)?).await?;
            Ok::<_, Error>(project.map(Project::one))
        };
        found.await.nullable()
    }

    /// The projects, newest first.
    async fn projects(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows from the start; 50 by default, 200 at most.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "Rows from the end, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> Result<ProjectConnection, ApiError> {
        let is_place = |cursor: &Cursor| cursor.order == 'P' && DateTime::from_micros(cursor.key).is_some();
        let ours = |text: &str| Cursor::decode(text).filter(is_place);
        let page = PageArgs { first, after, last, before }.check(ours)?;
        Ok(ProjectConnection::of(context.service().list_projects(context.viewer()?, &page).await?))
    }

    /// One generation.
    async fn generation(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "A UUID.")] id: ID,
    ) -> Option<async_graphql::Result<Generation>> {
        let found = async {
            let id = uuid("id", &id)?;
            let found = context.service().generations_by_ids(context.viewer()?, &[id]).await?.remove(&id);
            Ok::<_, Error>(found.map(Generation::one))
        };
        found.await.nullable()
    }

    /// How the files of one generation differ from those of another, also of another project. NOT_FOUND when one of them is
    /// not there.
    async fn compare_generations(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The earlier one.")] from: ID,
        #[graphql(desc = "The later one.")] to: ID,
    ) -> Result<GenerationComparison, ApiError> {
        let (from, to) = (uuid("from", &from)?, uuid("to", &to)?);
        Ok(context.service().compare_generations(context.viewer()?, from, to).await?.into())
    }

    /// One execution.
    async fn execution(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "A UUID.")] id: ID,
    ) -> Option<async_graphql::Result<PlainRow<Execution>>> {
        let found = async {
            let plan = Selected::of(context).plan::<Execution>();
            let columns = plan.map_or(Columns::ALL, |plan| plan.columns);
            let (service, viewer) = (context.service(), context.viewer()?);
            let execution = service.find_execution(viewer, uuid("id", &id)?, columns).await?;
            Ok::<_, Error>(execution.map(Execution::one).map(PlainRow))
        };
        found.await.nullable()
    }

    /// The history of executions.
    #[expect(clippy::too_many_arguments, reason = "those of the contract")]
    async fn executions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only those that match.")] filter: Option<ExecutionFilter>,
        #[graphql(desc = "NEWEST by default.")] order_by: Option<ExecutionOrder>,
        #[graphql(desc = "Rows from the start; 50 by default, 200 at most.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor, which is of the same order.")] after: Option<String>,
        #[graphql(desc = "Rows from the end, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor, which is of the same order.")] before: Option<String>,
    ) -> Result<ExecutionConnection, ApiError> {
        let filter = filter.unwrap_or_default().check("filter")?;
        let order = order_by.map(Into::into).unwrap_or_default();
        ExecutionConnection::load(context, filter, order, PageArgs { first, after, last, before }).await
    }

    /// The executions that have a visual session, newest first.
    async fn visual_sessions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only those that match.")] filter: Option<ExecutionFilter>,
        #[graphql(desc = "Rows from the start; 50 by default, 200 at most.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "Rows from the end, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> Result<ExecutionConnection, ApiError> {
        let filter = Filter { visual_only: true, ..filter.unwrap_or_default().check("filter")? };
        ExecutionConnection::load(context, filter, Order::Newest, PageArgs { first, after, last, before })
            .await
    }

    /// The executions that wait or run, newest first.
    async fn active_executions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows from the start; 50 by default, 200 at most.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
    ) -> Result<ExecutionConnection, ApiError> {
        ExecutionConnection::load_active(context, PageArgs { first, after, last: None, before: None }).await
    }

    /// Where the feed of changes stands now. Give it as `after` to `executionsChanged`, to miss nothing between a list
    /// and the subscription.
    async fn changes_cursor(&self, context: &Context<'_>) -> Result<String, ApiError> {
        Ok(context.service().changes_cursor(context.viewer()?).await?)
    }

    /// Where the inputs and results of executions differ. NOT_FOUND when one of them is not there.
    async fn compare_executions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "UUIDs of 2 to 10 executions, each once.")] ids: Vec<ID>,
    ) -> Result<ExecutionComparison, ApiError> {
        at_most("ids", ids.len(), COMPARE_EXECUTIONS_MAX)?;
        let ids = ids.iter().enumerate();
        let ids: Vec<_> = ids.map(|(index, id)| uuid(&format!("ids.{index}"), id)).collect::<Result<_>>()?;
        let compared = context.service().compare_executions(context.viewer()?, &ids).await?;
        Ok(ExecutionComparison::new(context, compared)?)
    }

    /// How far a deletion of many executions is: see `deleteExecutions`.
    async fn deletion(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "A UUID.")] id: ID,
    ) -> Option<async_graphql::Result<Deletion>> {
        let found = async {
            let deletion = context.service().find_deletion(context.viewer()?, uuid("id", &id)?).await?;
            Ok::<_, Error>(deletion.map(Deletion::from))
        };
        found.await.nullable()
    }

    /// What the executions that name this workflow run add up to; null when none does.
    async fn workflow_run(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "As the executions name it.")] id: String,
    ) -> Option<async_graphql::Result<WorkflowRun>> {
        let found = async {
            let id = text::short("id", id)?;
            let run = context.service().find_workflow_run(context.viewer()?, id).await?;
            Ok::<_, Error>(run.map(WorkflowRun))
        };
        found.await.nullable()
    }

    /// What the executions of the history add up to, exact at this moment. A range costs the same however many executions
    /// it has, but for the hours that `from` and `to` cut through.
    async fn stats(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only executions that match.")] filter: Option<StatsFilter>,
    ) -> Result<ExecutionStats, ApiError> {
        let set = StatsSet::new(filter.unwrap_or_default().check("filter")?);
        let found = set.load(context).await?.pop();
        Ok(found.ok_or_else(|| Error::internal("a query gave no statistics"))?)
    }

    /// The registry of code agents in numbers.
    async fn registry_stats(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "At this time or later.")] from: Option<DateTime>,
        #[graphql(desc = "Before this time.")] to: Option<DateTime>,
    ) -> Result<RegistryStats, ApiError> {
        Ok(context.service().registry_stats(context.viewer()?, span("to", from, to)?).await?.into())
    }
}

/// One statement for each type, however many ids there are.
async fn nodes(context: &Context<'_>, ids: &[Uuid]) -> Result<Vec<Option<Node>>> {
    let (service, viewer) = (context.service(), context.viewer()?);
    let mut nodes: HashMap<Uuid, Node> = HashMap::new();
    let executions = service.executions_by_ids(viewer, ids).await?;
    let (found, rows): (Vec<_>, Vec<_>) = executions.into_iter().unzip();
    nodes.extend(found.into_iter().zip(Execution::page(rows).into_iter().map(Node::Execution)));
    if let Some(rest) = rest(ids, &nodes) {
        let projects = service.projects_by_ids(viewer, &rest).await?;
        let (found, rows): (Vec<_>, Vec<_>) = projects.into_iter().unzip();
        nodes.extend(found.into_iter().zip(Project::page(rows).into_iter().map(Node::Project)));
    }
    if let Some(rest) = rest(ids, &nodes) {
        let (found, rows): (Vec<_>, Vec<_>) =
            service.code_agents_by_ids(viewer, &rest).await?.into_iter().unzip();
        nodes.extend(found.into_iter().zip(CodeAgent::page(rows).into_iter().map(Node::CodeAgent)));
    }
    if let Some(rest) = rest(ids, &nodes) {
        let (found, rows): (Vec<_>, Vec<_>) =
            service.code_versions_by_ids(viewer, &rest).await?.into_iter().unzip();
        nodes.extend(found.into_iter().zip(CodeVersion::page(rows).into_iter().map(Node::CodeVersion)));
    }
    if let Some(rest) = rest(ids, &nodes) {
        let (found, rows): (Vec<_>, Vec<_>) =
            service.generations_by_ids(viewer, &rest).await?.into_iter().unzip();
        nodes.extend(found.into_iter().zip(Generation::page(rows).into_iter().map(Node::Generation)));
    }
    // An id may be asked for twice.
    Ok(ids.iter().map(|id| nodes.get(id).cloned()).collect())
}

/// The ids that have not been found yet, if any.
fn rest(ids: &[Uuid], found: &HashMap<Uuid, Node>) -> Option<Vec<Uuid>> {
    let rest: Vec<_> = ids.iter().copied().filter(|id| !found.contains_key(id)).collect();
    Some(rest).filter(|rest| !rest.is_empty())
}
