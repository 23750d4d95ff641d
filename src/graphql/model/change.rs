//! Changes of executions.

use async_graphql::{Enum, ID, Object};

use super::Execution;
use crate::event;

/// What happened to an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "event::ChangeKind")]
pub(in crate::graphql) enum ChangeKind {
    /// It was started, or recorded after it had ended.
    Created,
    /// Something about it changed, and it goes on.
    Updated,
    /// It has ended.
    Finished,
    /// It is gone.
    Deleted,
}

/// A change of an execution.
pub(in crate::graphql) struct ExecutionChange(pub event::Change);

/// A change of an execution.
#[Object]
impl ExecutionChange {
    /// What happened.
    fn kind(&self) -> ChangeKind {
        self.0.kind.into()
    }

    /// Where to go on after this change: give it as `after` to a later subscription, within 24 hours.
    fn cursor(&self) -> &str {
        &self.0.cursor
    }

    /// Whose change it is.
    fn execution_id(&self) -> ID {
        self.0.execution_id.into()
    }

    /// The execution as it is now, which may be later than the change; null once it is deleted.
    fn execution(&self) -> Option<Execution> {
        self.0.execution.clone().map(Execution::one)
    }
}
