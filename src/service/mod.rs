//! What Runledger does: one file per noun. Every method takes its viewer first and gives what that viewer may see.

mod code_agent;
mod execution;
mod log;
mod project;
mod workflow_run;

use crate::auth::Viewer;
use crate::event::Wakeups;
use crate::logs::{Appender, LogReader, ReadMemory};
use crate::store::Store;
use crate::syntax::Checker;

pub use code_agent::{CreateCodeAgent, PublishCodeVersion, Published, UpdateCodeAgent};
pub use execution::{
    Finish, RecordExecution, Recorded, StartExecution, Started, Tokens, Update, VisualChange,
};
pub use workflow_run::WorkflowRun;

/// Everything that Runledger does. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    store: Store,
    wakeups: Wakeups,
    appender: Appender,
    checker: Checker,
    read_memory: ReadMemory,
}

impl Service {
    /// Puts it together.
    pub fn new(store: Store, wakeups: Wakeups, appender: Appender) -> Self {
        Self { store, wakeups, appender, checker: Checker::default(), read_memory: ReadMemory::default() }
    }

    fn log_reader(&self, viewer: &Viewer) -> LogReader {
        LogReader::new(self.store.clone(), viewer.clone(), self.read_memory.clone())
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// `UNAVAILABLE` when it does not.
    pub async fn ping(&self) -> crate::error::Result<()> {
        self.store.ping().await
    }
}
