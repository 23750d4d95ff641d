//! The objects of the schema: thin views of rows.

mod change;
mod code_agent;
mod code_version;
mod deletion;
mod execution;
mod execution_comparison;
mod generation;
mod generation_file;
mod log;
mod log_object;
mod node;
mod page;
mod project;
mod stats;
mod viewer;
mod visual;
mod workflow_run;

pub(super) use change::ExecutionChange;
pub(super) use code_agent::{CodeAgent, CodeAgentConnection};
pub(super) use code_version::{CodeValidation, CodeVersion, CodeVersionConnection};
pub(super) use deletion::Deletion;
pub(super) use execution::{Execution, ExecutionConnection, ExecutionMode, ExecutionStatus, TokenUsage};
pub(super) use execution_comparison::ExecutionComparison;
pub(super) use generation::{Download, Generation, GenerationConnection};
pub(super) use generation_file::{GenerationComparison, GenerationFile};
pub(super) use log::{LogBatch, LogConnection, LogLevel, LogLine, lines};
pub(super) use log_object::LogObject;
pub(super) use node::Node;
pub(super) use page::PageInfo;
pub(super) use project::{Project, ProjectConnection};
pub(super) use stats::{ExecutionStats, RegistryStats, StatsSet};
pub(super) use viewer::Viewer;
pub(super) use visual::{VisualEventBatch, VisualStreaming, check_from};
pub(super) use workflow_run::WorkflowRun;
