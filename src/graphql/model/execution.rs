//! Executions.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};

use super::{
    CodeAgent, CodeVersion, Generation, LogConnection, LogObject, PageInfo, Project, VisualEventBatch,
    VisualStreaming,
};
use crate::clock::Timestamp;
use crate::domain::execution::{Filter, Mode, Order, Status};
use crate::domain::page::{Cursor, Page, PageArgs, Rows};
use crate::error::Error;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{ApiError, Nullable as _};
use crate::graphql::input::LogFilter;
use crate::graphql::plain::{Leaf, Part, Plain, PlainList, Selected, leaf, word};
use crate::graphql::scalars::{BigInt, DateTime, Decimal, Json};
use crate::graphql::siblings::Siblings;
use crate::store::{Columns, ExecutionColumn, ExecutionRow, LargeValue};

/// Where an execution is in its life. QUEUED → RUNNING → COMPLETED, FAILED or CANCELLED; a queued one may also fail or be
/// cancelled. Nothing leaves the last three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Status")]
pub(in crate::graphql) enum ExecutionStatus {
    /// Waiting to be run.
    Queued,
    /// Running now.
    Running,
    /// Ended well.
    Completed,
    /// Ended with an error; also when its runner gave no sign of life for too long: its `error` then begins with
    /// `RUNNER_SILENT`.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
}

/// Where an execution runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Mode")]
pub(in crate::graphql) enum ExecutionMode {
    /// On a machine of the platform.
    CloudRun,
    /// On a machine of the user.
    LocalRun,
}

/// Tokens that language models were given and gave.
#[derive(Debug, SimpleObject)]
pub(in crate::graphql) struct TokenUsage {
    /// Given to the models.
    input: BigInt,
    /// The part of `input` that came from a cache.
    cached_input: BigInt,
    /// Given by the models.
    output: BigInt,
    /// `input` and `output` together.
    total: BigInt,
}

impl TokenUsage {
    pub(super) fn new(input: i64, cached_input: i64, output: i64) -> Self {
        Self {
            input: BigInt(input),
            cached_input: BigInt(cached_input),
            output: BigInt(output),
            total: BigInt(input.saturating_add(output)),
        }
    }
}

/// A run of a program.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct Execution {
    row: Arc<ExecutionRow>,
    siblings: Arc<Siblings>,
}

impl Execution {
    /// One by itself.
    pub(in crate::graphql) fn one(row: ExecutionRow) -> Self {
        let row = Arc::new(row);
        Self { siblings: Arc::new(Siblings::of(vec![Arc::clone(&row)])), row }
    }

    fn tokens_used(&self) -> TokenUsage {
        TokenUsage::new(self.row.input_tokens, self.row.cached_input_tokens, self.row.output_tokens)
    }

    /// Those of a page, in its order.
    pub(in crate::graphql) fn page(rows: Vec<ExecutionRow>) -> Vec<Self> {
        Self::shared(rows.into_iter().map(Arc::new).collect())
    }

    fn shared(rows: Vec<Arc<ExecutionRow>>) -> Vec<Self> {
        let siblings = Arc::new(Siblings::of(rows.clone()));
        rows.into_iter().map(|row| Self { row, siblings: Arc::clone(&siblings) }).collect()
    }
}

/// A run of a program.
#[Object]
impl Execution {
    /// A UUID; the caller's, if one was given at the start.
    pub(in crate::graphql) async fn id(&self) -> ID {
        self.row.id.into()
    }

    /// Where it is in its life.
    fn status(&self) -> ExecutionStatus {
        self.row.status.into()
    }

    /// Where it runs.
    fn mode(&self) -> ExecutionMode {
        self.row.mode.into()
    }

    /// For people; at most 255 characters.
    fn name(&self) -> Option<&str> {
        self.row.name.as_deref()
    }

    /// The code agent that it runs; null when it runs none, and when the agent has been deleted.
    async fn code_agent(&self, context: &Context<'_>) -> Option<async_graphql::Result<CodeAgent>> {
        self.siblings.code_agent(context, self.row.code_agent_id?).await.nullable()
    }

    /// The version that it runs, settled when it was started; null when the agent had none, and when it has been deleted.
    async fn code_version(&self, context: &Context<'_>) -> Option<async_graphql::Result<CodeVersion>> {
        let key = (self.row.code_agent_id?, self.row.code_version?);
        self.siblings.code_version(context, key).await.nullable()
    }

    /// The workflow that it belongs to, as the caller names it.
    fn workflow_id(&self) -> Option<&str> {
        self.row.workflow_id.as_deref()
    }

    /// The run of the workflow that it belongs to, as the caller names it.
    fn workflow_run_id(&self) -> Option<&str> {
        self.row.workflow_run_id.as_deref()
    }

    /// The key of its project.
    fn project_key(&self) -> Option<&str> {
        self.row.project_key.as_deref()
    }

    /// Its project.
    async fn project(&self, context: &Context<'_>) -> Option<async_graphql::Result<Project>> {
        let key = (self.row.tenant_id.clone(), self.row.project_key.clone()?);
        self.siblings.project(context, key).await.nullable()
    }

    /// The generation that it runs or has made; null when it names none, and when that has been deleted.
    async fn generation(&self, context: &Context<'_>) -> Option<async_graphql::Result<Generation>> {
        self.siblings.generation(context, self.row.generation_id?).await.nullable()
    }

    /// Whose it is: the `userId` of whoever started it.
    fn owner_id(&self) -> &str {
        &self.row.owner_id
    }

    /// What it was started with; at most 1 MiB.
    async fn inputs(&self, context: &Context<'_>) -> Option<async_graphql::Result<Json>> {
        self.siblings
            .large_value(context, LargeValue::Inputs, self.row.id)
            .await
            .map(|text| text.map(Json::from_text))
            .nullable()
    }

    /// What it gave; at most 1 MiB.
    async fn result(&self, context: &Context<'_>) -> Option<async_graphql::Result<Json>> {
        self.siblings
            .large_value(context, LargeValue::Result, self.row.id)
            .await
            .map(|text| text.map(Json::from_text))
            .nullable()
    }

    /// What went wrong, or why it was cancelled; at most 64 KiB.
    async fn error(&self, context: &Context<'_>) -> Option<async_graphql::Result<String>> {
        self.siblings.large_value(context, LargeValue::Error, self.row.id).await.nullable()
    }

    /// The tokens it used so far.
    fn tokens(&self) -> TokenUsage {
        self.tokens_used()
    }

    /// US dollars so far, exact to a millionth.
    fn cost_usd(&self) -> Decimal {
        Decimal { micros: self.row.cost_microusd }
    }

    /// Milliseconds it ran, as the runner says, else from `startedAt` to `completedAt`; null until it has ended and when
    /// it never started.
    fn duration_ms(&self) -> Option<BigInt> {
        self.row.duration_ms.map(BigInt)
    }

    /// When Runledger was told of it; for a recorded one, when it started. What lists are sorted by.
    fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }

    /// When it started; null while it is queued.
    fn started_at(&self) -> Option<DateTime> {
        self.row.started_at.map(DateTime)
    }

    /// When it ended.
    fn completed_at(&self) -> Option<DateTime> {
        self.row.completed_at.map(DateTime)
    }

    /// When it changed last; log lines are no change.
    fn updated_at(&self) -> DateTime {
        DateTime(self.row.updated_at)
    }

    /// The last sign of life: its last change, its last log line, the last `heartbeat` or `updateExecution` that changed
    /// nothing, whichever came last; null while it is queued.
    async fn heartbeat_at(&self, context: &Context<'_>) -> Option<async_graphql::Result<DateTime>> {
        self.row.started_at?;
        let stream = self.siblings.log_stream(context, self.row.id).await;
        let heartbeat = stream.map(|stream| stream.and_then(|stream| stream.heartbeat_at));
        let changed = self.row.updated_at;
        let latest = heartbeat.map(|last| last.map_or(changed, |last| last.max(changed)));
        latest.map(|time| Some(DateTime(time))).nullable()
    }

    /// How many seconds its runner may give no sign of life while it is RUNNING: then it becomes FAILED. Null for as many as
    /// the server is set to.
    fn stale_after_seconds(&self) -> Option<i32> {
        self.row.stale_after_seconds
    }

    /// Grows by one with every change. Give it as `expectedRevision` to change only what you have seen.
    fn revision(&self) -> i32 {
        self.row.revision
    }

    /// Its visual session.
    fn visual(&self) -> VisualStreaming {
        VisualStreaming::new(ExecutionRow::clone(&self.row), Arc::clone(&self.siblings))
    }

    /// The events of its visual session, by number, as they were appended. Long events make it fewer than asked for: go on
    /// from `nextSeq` until `caughtUp`.
    async fn visual_events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The first event.", default_with = "BigInt(0)")] from_seq: BigInt,
        #[graphql(desc = "At most so many; 200 by default, 1,000 at most.", default = 200)] first: i32,
    ) -> Result<VisualEventBatch, ApiError> {
        VisualEventBatch::load(context, &self.row, &self.siblings, from_seq.0, first).await
    }

    /// The object that its log lines are moved to, for people to download.
    async fn log_object(&self, context: &Context<'_>) -> Result<LogObject, ApiError> {
        let stream = self.siblings.log_stream(context, self.row.id).await?;
        Ok(LogObject(stream.ok_or(Error::NotFound { what: "log" })?))
    }

    /// Its log lines, by number. A cursor is good for any line: those of a filtered page say where it stopped looking.
    /// A filtered page looks through at most 8 MiB of log; it may then be short, even empty, and still have a next one.
    async fn logs(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Lines from the start; 50 by default, 200 at most.")] first: Option<i32>,
        #[graphql(desc = "Only lines after this cursor.")] after: Option<String>,
        #[graphql(desc = "Lines from the end, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Only lines before this cursor.")] before: Option<String>,
        #[graphql(desc = "Only lines that pass.")] filter: Option<LogFilter>,
    ) -> Result<LogConnection, ApiError> {
        let args = PageArgs { first, after, last, before };
        LogConnection::load(context, &self.row, &self.siblings, filter.unwrap_or_default(), args).await
    }
}

impl Plain for Execution {
    fn plain(field: &str, selection: &Selected<'_>) -> Option<Part<Self>> {
        use ExecutionColumn as C;
        let needs = |column| Columns::EMPTY.with(column);
        let text = |column, get: fn(&ExecutionRow) -> Option<&str>| {
            leaf(needs(column), move |it: &Self| Some(Leaf::Text(get(&it.row)?)))
        };
        let time = |column, get: fn(&ExecutionRow) -> Option<Timestamp>| {
            leaf(needs(column), move |it: &Self| Some(Leaf::Time(DateTime(get(&it.row)?))))
        };
        let number = |column, get: fn(&ExecutionRow) -> Option<i64>| {
            leaf(needs(column), move |it: &Self| Some(Leaf::Number(get(&it.row)?)))
        };
        match field {
            "id" => leaf(needs(C::Id), |it: &Self| Some(Leaf::Id(it.row.id))),
            "status" => leaf(needs(C::Status), |it: &Self| word(ExecutionStatus::from(it.row.status))),
            "mode" => leaf(needs(C::Mode), |it: &Self| word(ExecutionMode::from(it.row.mode))),
            "name" => text(C::Name, |row| row.name.as_deref()),
            "workflowId" => text(C::WorkflowId, |row| row.workflow_id.as_deref()),
            "workflowRunId" => text(C::WorkflowRunId, |row| row.workflow_run_id.as_deref()),
            "projectKey" => text(C::ProjectKey, |row| row.project_key.as_deref()),
            "ownerId" => text(C::OwnerId, |row| Some(&row.owner_id)),
            "tokens" => {
                let plan = selection.plan_of("TokenUsage", |field, _| TokenUsage::plain(field))?;
                let columns = plan.columns;
                let write = move |it: &Self, text: &mut String| plan.write(&it.tokens_used(), text);
                Some(Part { columns, write: Box::new(write) })
            }
            "costUsd" => leaf(needs(C::CostMicrousd), |it: &Self| {
                Some(Leaf::Decimal(Decimal { micros: it.row.cost_microusd }))
            }),
            "durationMs" => number(C::DurationMs, |row| row.duration_ms),
            "createdAt" => time(C::CreatedAt, |row| Some(row.created_at)),
            "startedAt" => time(C::StartedAt, |row| row.started_at),
            "completedAt" => time(C::CompletedAt, |row| row.completed_at),
            "updatedAt" => time(C::UpdatedAt, |row| Some(row.updated_at)),
            "staleAfterSeconds" => number(C::StaleAfterSeconds, |row| row.stale_after_seconds.map(i64::from)),
            "revision" => number(C::Revision, |row| Some(row.revision.into())),
            _ => None,
        }
    }
}

impl TokenUsage {
    fn plain(field: &str) -> Option<Part<Self>> {
        use ExecutionColumn as C;
        let number = |columns: &[C], get: fn(&Self) -> BigInt| {
            let columns = columns.iter().fold(Columns::EMPTY, |columns, column| columns.with(*column));
            leaf(columns, move |it: &Self| Some(Leaf::Number(get(it).0)))
        };
        match field {
            "input" => number(&[C::InputTokens], |it| it.input),
            "cachedInput" => number(&[C::CachedInputTokens], |it| it.cached_input),
            "output" => number(&[C::OutputTokens], |it| it.output),
            "total" => number(&[C::InputTokens, C::OutputTokens], |it| it.total),
            _ => None,
        }
    }
}

/// A page of executions.
pub(in crate::graphql) struct ExecutionConnection {
    executions: Vec<Execution>,
    page_info: PageInfo,
    order: Order,
    counted: Counted,
}

enum Counted {
    Filter(Box<Filter>),
    Active,
}

impl ExecutionConnection {
    /// Loads a page of the history.
    pub(in crate::graphql) async fn load(
        context: &Context<'_>,
        filter: Filter,
        order: Order,
        args: PageArgs,
    ) -> Result<Self, ApiError> {
        let page = page(order, args)?;
        let columns = Selected::of(context).columns_of_connection::<Execution, ExecutionEdge>();
        let viewer = context.viewer()?;
        let rows = context.service().list_executions(viewer, &filter, order, &page, columns).await?;
        Ok(Self::of(rows, order, Counted::Filter(Box::new(filter))))
    }

    /// Loads a page of those that wait or run.
    pub(in crate::graphql) async fn load_active(
        context: &Context<'_>,
        args: PageArgs,
    ) -> Result<Self, ApiError> {
        let order = Order::Newest;
        let page = page(order, args)?;
        let columns = Selected::of(context).columns_of_connection::<Execution, ExecutionEdge>();
        let rows = context.service().list_active_executions(context.viewer()?, &page, columns).await?;
        Ok(Self::of(rows, order, Counted::Active))
    }

    fn of(rows: Rows<Arc<ExecutionRow>>, order: Order, counted: Counted) -> Self {
        let page_info = PageInfo::of(&rows, |row| cursor(order, row));
        Self { executions: Execution::shared(rows.rows), page_info, order, counted }
    }
}

/// A page of executions.
#[Object]
impl ExecutionConnection {
    /// The rows with their cursors.
    fn edges(&self) -> PlainList<'_, ExecutionEdge> {
        let edge = |execution: &Execution| ExecutionEdge {
            cursor: cursor(self.order, &execution.row),
            node: execution.clone(),
        };
        PlainList(self.executions.iter().map(edge).collect())
    }

    /// The rows without their cursors.
    fn nodes(&self) -> PlainList<'_, Execution> {
        PlainList(self.executions.as_slice().into())
    }

    /// Where the page stands.
    fn page_info(&self) -> &PageInfo {
        &self.page_info
    }

    /// How many rows match, whatever the page. Costs nothing unless selected.
    async fn total_count(&self, context: &Context<'_>) -> Result<BigInt, ApiError> {
        let (service, viewer) = (context.service(), context.viewer()?);
        let count = match &self.counted {
            Counted::Filter(filter) => service.count_executions(viewer, filter).await?,
            Counted::Active => service.count_active_executions(viewer).await?,
        };
        Ok(BigInt(count.cast_signed()))
    }
}

/// An execution in a page.
#[derive(Clone, SimpleObject)]
pub(in crate::graphql) struct ExecutionEdge {
    /// To be given as `after` or `before`.
    cursor: String,
    /// The execution.
    node: Execution,
}

impl Plain for ExecutionEdge {
    fn plain(field: &str, selection: &Selected<'_>) -> Option<Part<Self>> {
        match field {
            "cursor" => leaf(Columns::EMPTY, |it: &Self| Some(Leaf::Text(&it.cursor))),
            "node" => {
                let plan = selection.plan::<Execution>()?;
                let columns = plan.columns;
                Some(Part { columns, write: Box::new(move |it: &Self, text| plan.write(&it.node, text)) })
            }
            _ => None,
        }
    }
}

fn page(order: Order, args: PageArgs) -> Result<Page<Cursor>, ApiError> {
    let is_place = |cursor: &Cursor| match order {
        Order::Newest | Order::Oldest => DateTime::from_micros(cursor.key).is_some(),
        Order::Longest | Order::Costliest => true,
    };
    let ours =
        |text: &str| Cursor::decode(text).filter(|cursor| cursor.order == letter(order) && is_place(cursor));
    Ok(args.check(ours)?)
}

fn cursor(order: Order, row: &ExecutionRow) -> String {
    let key = match order {
        Order::Newest | Order::Oldest => row.created_at.timestamp_micros(),
        Order::Longest => row.duration_ms.unwrap_or(-1),
        Order::Costliest => row.cost_microusd,
    };
    Cursor { order: letter(order), key, id: row.id }.encode()
}

fn letter(order: Order) -> char {
    match order {
        Order::Newest => 'N',
        Order::Oldest => 'O',
        Order::Longest => 'L',
        Order::Costliest => 'C',
    }
}
