//! Executions and their large values.

mod filter;
mod looks;
mod order;
mod read;
mod strands;
mod write;

use entity::execution;
use sea_orm::FromQueryResult;

use crate::clock::Timestamp;

pub use write::end;

pub(super) use order::{bounds_of, reading_order};

/// An execution as lists read it.
pub type ExecutionRow = execution::Model;

/// An execution that does not exist yet. Tenant and owner come from a [`Stamp`](crate::auth::Stamp), never from here.
#[derive(Debug, Clone)]
pub struct NewExecution {
    /// Its `tenant_id` and `owner_id` are overwritten by the stamp.
    pub row: ExecutionRow,
    pub payload: PayloadChange,
}

/// Large values to be set; `None` leaves them as they are.
#[derive(Debug, Clone, Default)]
pub struct PayloadChange {
    pub inputs: Option<String>,
    pub result: Option<String>,
    pub error: Option<String>,
}

/// What the executions of a workflow run add up to.
#[derive(Debug, Clone, FromQueryResult)]
pub struct WorkflowRunRow {
    pub executions: i64,
    /// The greatest, should they differ.
    pub workflow_id: Option<String>,
    pub queued: i64,
    pub running: i64,
    pub failed: i64,
    pub cancelled: i64,
    /// Of the first to start.
    pub started_at: Option<Timestamp>,
    /// Of the last to complete so far.
    pub completed_at: Option<Timestamp>,
    pub input_tokens: i64,
    pub cached_input_tokens: i64,
    pub output_tokens: i64,
    pub cost_microusd: i64,
}

/// A large value of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LargeValue {
    Inputs,
    Result,
    Error,
}

impl PayloadChange {
    /// Whether nothing is to be set.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_none() && self.result.is_none() && self.error.is_none()
    }

    /// How long the values to be set are together.
    pub fn bytes(&self) -> usize {
        [&self.inputs, &self.result, &self.error].into_iter().flatten().map(String::len).sum()
    }

    /// Sets what `later` sets.
    pub fn add(&mut self, later: Self) {
        let Self { inputs, result, error } = later;
        self.inputs = inputs.or(self.inputs.take());
        self.result = result.or(self.result.take());
        self.error = error.or(self.error.take());
    }
}
