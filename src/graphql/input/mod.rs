//! What callers give, checked and turned into what services take. A path in an error is the path of the input.

mod code_agent;
mod execution;
mod export;
mod filter;
mod generation;
mod log;
mod project;
mod stats;
mod visual;

pub(super) use code_agent::{
    CodeAgentFilter, CreateCodeAgentInput, PublishCodeVersionInput, UpdateCodeAgentInput,
};
pub(super) use execution::{
    FinishExecutionInput, RecordExecutionInput, StartExecutionInput, UpdateExecutionInput,
};
pub(super) use export::{ExportFormat, ExportedValue, large_values};
pub(super) use filter::{ExecutionFilter, ExecutionOrder};
pub(super) use generation::SaveGenerationInput;
pub(super) use log::{AppendLogsInput, LogFilter};
pub(super) use project::CreateProjectInput;
pub(super) use stats::{StatsFilter, span};
pub(super) use visual::AppendVisualEventsInput;
