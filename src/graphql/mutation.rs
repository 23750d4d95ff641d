//! What can be done. Each call is one transaction: when it answers, it is durable; when it fails, nothing has changed.

use async_graphql::{Context, ID, Object, SimpleObject};

use super::context::{ContextExt as _, uuid};
use super::error::ApiError;
use super::input::{
    AppendLogsInput, AppendVisualEventsInput, CreateCodeAgentInput, CreateProjectInput, ExecutionFilter,
    ExecutionOrder, ExportFormat, ExportedValue, FinishExecutionInput, PublishCodeVersionInput,
    RecordExecutionInput, SaveGenerationInput, StartExecutionInput, UpdateCodeAgentInput,
    UpdateExecutionInput, large_values,
};
use super::model::{
    CodeAgent, CodeValidation, CodeVersion, Deletion, Download, Execution, Generation, Project,
};
use super::scalars::BigInt;
use crate::domain::export::Export;
use crate::domain::limits::{BATCH_EXECUTIONS_MAX, at_most};
use crate::error::{Error, Result};

/// What can be done. Each field is one transaction: when it answers it is durable, when it fails nothing has changed.
pub struct Mutation;

/// What can be done. Each field is one transaction: when it answers it is durable, when it fails nothing has changed.
#[Object]
impl Mutation {
    /// Makes a code agent, with its first version when there is a source.
    async fn create_code_agent(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The code agent.")] input: CreateCodeAgentInput,
    ) -> Result<CodeAgentPayload, ApiError> {
        let agent = context.service().create_code_agent(context.viewer()?, input.into()).await?;
        Ok(CodeAgentPayload { code_agent: CodeAgent::one(agent) })
    }

    /// Changes what is known of a code agent. Its versions stay as they are.
    async fn update_code_agent(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The change.")] input: UpdateCodeAgentInput,
    ) -> Result<CodeAgentPayload, ApiError> {
        let agent = context.service().update_code_agent(context.viewer()?, input.check()?).await?;
        Ok(CodeAgentPayload { code_agent: CodeAgent::one(agent) })
    }

    /// Publishes the next version of a code agent. Source that the newest version has already makes none; source that is
    /// not valid is refused, unless it is to be kept all the same.
    async fn publish_code_version(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The source.")] input: PublishCodeVersionInput,
    ) -> Result<PublishCodeVersionPayload, ApiError> {
        let published = context.service().publish_code_version(context.viewer()?, input.check()?).await?;
        Ok(PublishCodeVersionPayload {
            version: published.version.map(CodeVersion::one),
            created: published.created,
            validation: published.validation.into(),
        })
    }

    /// Deletes a code agent with all its versions. Its executions stay; their `codeAgent` and `codeVersion` are null from
    /// then on. Deleting what is not there (any more) deletes none, and is not an error.
    async fn delete_code_agent(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which code agent.")] id: ID,
    ) -> Result<DeletePayload, ApiError> {
        let deleted = context.service().delete_code_agent(context.viewer()?, uuid("id", &id)?).await?;
        Ok(DeletePayload::at_once(deleted))
    }

    /// Makes a project, or gives the one that has this key already.
    async fn create_project(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The project.")] input: CreateProjectInput,
    ) -> Result<ProjectPayload, ApiError> {
        let project = context.service().create_project(context.viewer()?, input.key, input.name).await?;
        Ok(ProjectPayload { project: Project::one(project) })
    }

    /// Saves a generated project as the next version of its project. When it answers, the archive is durable on the server's
    /// disk; cloud storage gets it behind the call: see `Generation.storage` and `generationChanged`.
    async fn save_generation(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The generation.")] input: SaveGenerationInput,
    ) -> Result<GenerationPayload, ApiError> {
        let saved = context.service().save_generation(context.viewer()?, input.check(context)?).await?;
        Ok(GenerationPayload { generation: Generation::one(saved.generation), created: saved.created })
    }

    /// Deletes a generation everywhere; what cloud storage has of it goes within minutes. Executions that name it stay; their
    /// `generation` is null from then on. Deleting what is not there (any more) deletes none, and is not an error.
    async fn delete_generation(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which generation.")] id: ID,
    ) -> Result<DeletePayload, ApiError> {
        let deleted = context.service().delete_generation(context.viewer()?, uuid("id", &id)?).await?;
        Ok(DeletePayload::at_once(deleted))
    }

    /// Uploads a generation to cloud storage again that was given up, or at once what was to be tried later. CONFLICT when
    /// there is no cloud storage.
    async fn retry_upload(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which generation.")] generation_id: ID,
    ) -> Result<RetryUploadPayload, ApiError> {
        let id = uuid("generationId", &generation_id)?;
        let row = context.service().retry_upload(context.viewer()?, id).await?;
        Ok(RetryUploadPayload { generation: Generation::one(row) })
    }

    /// Starts an execution.
    async fn start_execution(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The execution.")] input: StartExecutionInput,
    ) -> Result<StartExecutionPayload, ApiError> {
        let started = context.service().start_execution(context.viewer()?, input.check()?).await?;
        Ok(StartExecutionPayload { execution: Execution::one(started.execution), created: started.created })
    }

    /// Changes an execution. A call that changes nothing is a sign of life: it moves `heartbeatAt`, not `revision`.
    async fn update_execution(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The change.")] input: UpdateExecutionInput,
    ) -> Result<ExecutionPayload, ApiError> {
        let execution = context.service().update_execution(context.viewer()?, input.check("input")?).await?;
        Ok(execution.into())
    }

    /// Changes many executions: all or none.
    async fn update_executions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "At most 1,000 changes, each of another execution.")] inputs: Vec<
            UpdateExecutionInput,
        >,
    ) -> Result<UpdateExecutionsPayload, ApiError> {
        at_most("inputs", inputs.len(), BATCH_EXECUTIONS_MAX)?;
        let inputs = inputs.into_iter().enumerate();
        let updates = inputs.map(|(index, input)| input.check(&format!("inputs.{index}")));
        let rows =
            context.service().update_executions(context.viewer()?, updates.collect::<Result<_>>()?).await?;
        Ok(UpdateExecutionsPayload { executions: Execution::page(rows) })
    }

    /// Says that the runner of an execution lives, while it has nothing else to say. Gives the execution as it is: one that
    /// has ended meanwhile, by a cancellation for instance, shows that here.
    async fn heartbeat(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which execution.")] id: ID,
    ) -> Result<ExecutionPayload, ApiError> {
        Ok(context.service().heartbeat(context.viewer()?, uuid("id", &id)?).await?.into())
    }

    /// Ends an execution. Its log takes no more lines afterwards. One whose runner was taken for lost is FAILED: to end it
    /// otherwise is CONFLICT then.
    async fn finish_execution(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The end.")] input: FinishExecutionInput,
    ) -> Result<ExecutionPayload, ApiError> {
        Ok(context.service().finish_execution(context.viewer()?, input.check()?).await?.into())
    }

    /// Cancels an execution. Cancelling it again is not an error; cancelling one that has completed or failed is CONFLICT.
    async fn cancel_execution(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which execution.")] id: ID,
        #[graphql(desc = "Why; becomes its `error`. At most 64 KiB.")] reason: Option<String>,
        #[graphql(desc = "Refuse with CONFLICT when it has another `revision` by now.")]
        expected_revision: Option<i32>,
    ) -> Result<ExecutionPayload, ApiError> {
        let viewer = context.viewer()?;
        let row =
            context.service().cancel_execution(viewer, uuid("id", &id)?, reason, expected_revision).await?;
        Ok(row.into())
    }

    /// A link to the executions that match when it is followed, of any number, for whoever has it: they get what this caller
    /// may see. `GET /exports/executions.csv?filter=…` with a token gives the same without a link.
    async fn export_executions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which executions; all without it. At most 5 KiB.")] filter: Option<ExecutionFilter>,
        #[graphql(desc = "NEWEST or OLDEST.", default_with = "ExecutionOrder::Newest")] order: ExecutionOrder,
        #[graphql(desc = "How they are written.")] format: ExportFormat,
        #[graphql(desc = "Large values to be added.", default)] include: Vec<ExportedValue>,
        #[graphql(desc = "From 1 to 604,800: seven days.", default = 3600)] expires_in_seconds: i32,
    ) -> Result<Download, ApiError> {
        let export = Export {
            filter: filter.unwrap_or_default().check("filter")?,
            order: order.into(),
            format: format.into(),
            with: large_values(&include),
        };
        Ok(context.service().link_to_export(context.viewer()?, export, expires_in_seconds)?.into())
    }

    /// Records executions that have ended: all or none. Those whose id is there already are left as they are.
    async fn record_executions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "At most 1,000, each with another id.")] inputs: Vec<RecordExecutionInput>,
    ) -> Result<RecordExecutionsPayload, ApiError> {
        at_most("inputs", inputs.len(), BATCH_EXECUTIONS_MAX)?;
        let inputs = inputs.into_iter().enumerate();
        let records = inputs.map(|(index, input)| input.check(&format!("inputs.{index}")));
        let recorded =
            context.service().record_executions(context.viewer()?, records.collect::<Result<_>>()?).await?;
        Ok(RecordExecutionsPayload {
            executions: Execution::page(recorded.executions),
            created_count: i32::try_from(recorded.created_count).map_err(Error::internal)?,
        })
    }

    /// Deletes an execution with its log. Deleting what is not there (any more) deletes none, and is not an error.
    async fn delete_execution(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which execution.")] id: ID,
    ) -> Result<DeletePayload, ApiError> {
        let deleted = context.service().delete_execution(context.viewer()?, uuid("id", &id)?).await?;
        Ok(DeletePayload::at_once(deleted))
    }

    /// Deletes, of the executions that match now, those that the caller may write, with their logs. Up to 1,000 are gone when
    /// it answers. More are deleted in the background, a few at a time: `deletion` says how far that is.
    async fn delete_executions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which executions; at least one condition, unless it is a dry run.")]
        filter: ExecutionFilter,
        #[graphql(desc = "Only count them.", default = false)] dry_run: bool,
    ) -> Result<DeletePayload, ApiError> {
        let (service, viewer) = (context.service(), context.viewer()?);
        let filter = filter.check("filter")?;
        if dry_run {
            let count = service.count_deletable(viewer, &filter).await?;
            return Ok(DeletePayload { dry_run, ..DeletePayload::at_once(count) });
        }
        let deleted = service.delete_executions(viewer, &filter).await?;
        let deletion = deleted.deletion.map(Deletion::from);
        Ok(DeletePayload { deletion, ..DeletePayload::at_once(deleted.count) })
    }

    /// Appends lines to an execution's log. When it answers they are durable, and their numbers are final.
    async fn append_logs(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The lines.")] input: AppendLogsInput,
    ) -> Result<AppendLogsPayload, ApiError> {
        let viewer = context.viewer()?;
        let input = input.check()?;
        let appended =
            context.service().append_logs(viewer, input.execution_id, input.first_seq, input.lines).await?;
        Ok(AppendLogsPayload {
            next_seq: BigInt(appended.next_seq),
            appended: i32::try_from(appended.lines).map_err(Error::internal)?,
        })
    }

    /// Appends events to an execution's visual session. When it answers they are durable, and their numbers are final.
    async fn append_visual_events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The events.")] input: AppendVisualEventsInput,
    ) -> Result<AppendVisualEventsPayload, ApiError> {
        let viewer = context.viewer()?;
        let input = input.check()?;
        let service = context.service();
        let appended =
            service.append_visual_events(viewer, input.execution_id, input.first_seq, input.events).await?;
        Ok(AppendVisualEventsPayload {
            next_seq: BigInt(appended.next_seq),
            appended: i32::try_from(appended.lines).map_err(Error::internal)?,
        })
    }
}

/// The code agent.
#[derive(SimpleObject)]
struct CodeAgentPayload {
    /// The code agent, as it is now.
    code_agent: CodeAgent,
}

/// What became of the source.
#[derive(SimpleObject)]
struct PublishCodeVersionPayload {
    /// The version that has this source; null when it was refused.
    version: Option<CodeVersion>,
    /// False when the newest version has this source already, and when it was refused.
    created: bool,
    /// What the parser of its language says.
    validation: CodeValidation,
}

/// The project.
#[derive(SimpleObject)]
struct ProjectPayload {
    /// The project.
    project: Project,
}

/// The generation that was saved.
#[derive(SimpleObject)]
struct GenerationPayload {
    /// The generation.
    generation: Generation,
    /// False when an earlier call had saved it.
    created: bool,
}

/// The generation that is uploaded.
#[derive(SimpleObject)]
struct RetryUploadPayload {
    /// The generation, as it is now.
    generation: Generation,
}

/// The execution that was started.
#[derive(SimpleObject)]
struct StartExecutionPayload {
    /// The execution.
    execution: Execution,
    /// False when an earlier call had started it.
    created: bool,
}

/// The execution.
#[derive(SimpleObject)]
struct ExecutionPayload {
    /// The execution, as it is now.
    execution: Execution,
}

impl From<crate::store::ExecutionRow> for ExecutionPayload {
    fn from(row: crate::store::ExecutionRow) -> Self {
        Self { execution: Execution::one(row) }
    }
}

/// The executions that were changed.
#[derive(SimpleObject)]
struct UpdateExecutionsPayload {
    /// In the order of the inputs.
    executions: Vec<Execution>,
}

/// The executions that were recorded.
#[derive(SimpleObject)]
struct RecordExecutionsPayload {
    /// In the order of the inputs, those that were there already as they are.
    executions: Vec<Execution>,
    /// How many were new.
    created_count: i32,
}

/// What was deleted.
#[derive(SimpleObject)]
struct DeletePayload {
    /// How many rows are gone; in a dry run, how many it would be.
    deleted_count: BigInt,
    /// Whether nothing was deleted because this only counted.
    dry_run: bool,
    /// What deletes the executions in the background, when they are more than 1,000; none of them is counted here.
    deletion: Option<Deletion>,
}

impl DeletePayload {
    fn at_once(count: u64) -> Self {
        Self { deleted_count: BigInt(count.cast_signed()), dry_run: false, deletion: None }
    }
}

/// What became of the lines.
#[derive(SimpleObject)]
struct AppendLogsPayload {
    /// The number that the next line gets.
    next_seq: BigInt,
    /// How many lines were new.
    appended: i32,
}

/// What became of the events.
#[derive(SimpleObject)]
struct AppendVisualEventsPayload {
    /// The number that the next event gets.
    next_seq: BigInt,
    /// How many events were new.
    appended: i32,
}
