//! Code agents.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SelectionField, SimpleObject};

use super::{
    CodeVersion, CodeVersionConnection, ExecutionConnection, ExecutionStats, LogLine, PageInfo, lines,
};
use crate::domain::code::{Filter, split_tags};
use crate::domain::page::{Cursor, PageArgs, Rows};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{ApiError, Nullable as _};
use crate::graphql::input::{ExecutionFilter, ExecutionOrder, LogFilter, span};
use crate::graphql::scalars::{BigInt, DateTime};
use crate::graphql::siblings::AgentSiblings;
use crate::service::Stats;
use crate::store::CodeAgentRow;

/// A program whose source is kept here, version by version.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct CodeAgent {
    row: CodeAgentRow,
    siblings: Arc<AgentSiblings>,
}

impl CodeAgent {
    /// One by itself.
    pub(in crate::graphql) fn one(row: CodeAgentRow) -> Self {
        let siblings = Arc::new(AgentSiblings::of(std::slice::from_ref(&row)));
        Self { row, siblings }
    }

    /// One by itself, whose statistics of all time have perhaps been read with it.
    pub(in crate::graphql) fn one_with_stats(row: CodeAgentRow, stats: Option<Stats>) -> Self {
        let siblings = AgentSiblings::of(std::slice::from_ref(&row));
        let siblings = Arc::new(match stats {
            Some(stats) => siblings.with_stats(stats),
            None => siblings,
        });
        Self { row, siblings }
    }

    /// Whether these statistics are among the fields that are selected of an agent, which is being resolved.
    pub(in crate::graphql) fn is_asked_for_stats_of_all_time(context: &Context<'_>) -> bool {
        let is_it = |field: SelectionField<'_>| {
            field.name() == "stats" && field.arguments().is_ok_and(|arguments| arguments.is_empty())
        };
        context.field().selection_set().any(is_it)
    }

    /// Those of a page, in its order.
    pub(in crate::graphql) fn page(rows: Vec<CodeAgentRow>) -> Vec<Self> {
        let siblings = Arc::new(AgentSiblings::of(&rows));
        rows.into_iter().map(|row| Self { row, siblings: Arc::clone(&siblings) }).collect()
    }
}

/// A program whose source is kept here, version by version.
#[Object]
impl CodeAgent {
    /// A UUID.
    pub(in crate::graphql) async fn id(&self) -> ID {
        self.row.id.into()
    }

    /// For people; at most 255 characters. Several agents may have the same.
    fn name(&self) -> &str {
        &self.row.name
    }

    /// At most 16 KiB.
    fn description(&self) -> Option<&str> {
        self.row.description.as_deref()
    }

    /// What its source is written in, in lower case.
    fn language(&self) -> &str {
        &self.row.language
    }

    /// Each once, in the order in which they were given.
    fn tags(&self) -> Vec<String> {
        split_tags(&self.row.tags)
    }

    /// Whose it is: the `userId` of whoever made it.
    fn owner_id(&self) -> &str {
        &self.row.owner_id
    }

    /// When it was made. What lists are sorted by.
    fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }

    /// When it was changed last, or its newest version was published.
    fn updated_at(&self) -> DateTime {
        DateTime(self.row.updated_at)
    }

    /// Its newest version; null before the first.
    async fn latest_version(&self, context: &Context<'_>) -> Option<async_graphql::Result<CodeVersion>> {
        self.siblings.newest(context, self.row.id).await.nullable()
    }

    /// One of its versions; null when it has none with this number.
    async fn version(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "From 1.")] number: i32,
    ) -> Option<async_graphql::Result<CodeVersion>> {
        self.siblings.numbered(context, self.row.id, number).await.nullable()
    }

    /// Its versions, newest first.
    async fn versions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows from the start; 50 by default, 200 at most.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "Rows from the end, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> Result<CodeVersionConnection, ApiError> {
        let args = PageArgs { first, after, last, before };
        CodeVersionConnection::load(context, self.row.clone(), args).await
    }

    /// The history of its executions, of all versions.
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
        let mut filter = filter.unwrap_or_default().check("filter")?;
        let mut ids = vec![self.row.id];
        ids.retain(|id| filter.code_agent_ids.as_ref().is_none_or(|asked| asked.contains(id)));
        filter.code_agent_ids = Some(ids);
        let order = order_by.map(Into::into).unwrap_or_default();
        ExecutionConnection::load(context, filter, order, PageArgs { first, after, last, before }).await
    }

    /// The newest lines of all its executions, oldest first: those that arrived last, sorted by timestamp, except that the
    /// lines of one execution keep their order. With a filter this looks back through at most 8 MiB of log.
    async fn logs(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only lines that pass.")] filter: Option<LogFilter>,
        #[graphql(desc = "How many lines, 10,000 at most.", default = 100)] last: Option<i32>,
    ) -> Result<Vec<LogLine>, ApiError> {
        let rows = lines("last", last.unwrap_or(100))?;
        let filter = filter.unwrap_or_default().check("filter")?;
        let lines = context.service().code_agent_logs(context.viewer()?, &self.row, &filter, rows).await?;
        Ok(lines.into_iter().map(|(execution_id, line)| LogLine::new(execution_id, line)).collect())
    }

    /// What its executions add up to.
    async fn stats(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only those that were created at this time or later.")] from: Option<DateTime>,
        #[graphql(desc = "Only those that were created before this time.")] to: Option<DateTime>,
    ) -> Result<ExecutionStats, ApiError> {
        Ok(self.siblings.stats(context, self.row.id, span("to", from, to)?).await?)
    }
}

/// A page of code agents, newest first.
pub(in crate::graphql) struct CodeAgentConnection {
    agents: Vec<CodeAgent>,
    page_info: PageInfo,
    filter: Filter,
}

impl CodeAgentConnection {
    /// Loads a page.
    pub(in crate::graphql) async fn load(
        context: &Context<'_>,
        filter: Filter,
        args: PageArgs,
    ) -> Result<Self, ApiError> {
        let ours = |text: &str| Cursor::decode(text).filter(|cursor| cursor.order == 'A');
        let page = args.check(ours)?;
        let rows: Rows<_> = context.service().list_code_agents(context.viewer()?, &filter, &page).await?;
        let page_info = PageInfo::of(&rows, cursor);
        Ok(Self { agents: CodeAgent::page(rows.rows), page_info, filter })
    }
}

/// A page of code agents, newest first.
#[Object]
impl CodeAgentConnection {
    /// The rows with their cursors.
    fn edges(&self) -> Vec<CodeAgentEdge> {
        let edge = |agent: &CodeAgent| CodeAgentEdge { cursor: cursor(&agent.row), node: agent.clone() };
        self.agents.iter().map(edge).collect()
    }

    /// The rows without their cursors.
    fn nodes(&self) -> &[CodeAgent] {
        &self.agents
    }

    /// Where the page stands.
    fn page_info(&self) -> &PageInfo {
        &self.page_info
    }

    /// How many rows match, whatever the page. Costs nothing unless selected.
    async fn total_count(&self, context: &Context<'_>) -> Result<BigInt, ApiError> {
        let count = context.service().count_code_agents(context.viewer()?, &self.filter).await?;
        Ok(BigInt(count.cast_signed()))
    }
}

/// A code agent in a page.
#[derive(SimpleObject)]
pub(in crate::graphql) struct CodeAgentEdge {
    /// To be given as `after` or `before`.
    cursor: String,
    /// The code agent.
    node: CodeAgent,
}

fn cursor(row: &CodeAgentRow) -> String {
    Cursor { order: 'A', key: row.created_at.timestamp_micros(), id: row.id }.encode()
}
