//! What Runledger does: one file per noun. Every method takes its viewer first and gives what that viewer may see.

mod code_agent;
mod download;
mod execution;
mod export;
mod generation;
mod log;
mod project;
mod stats;
mod visual;
mod workflow_run;

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use crate::analytics::Analytics;
use crate::auth::Viewer;
use crate::domain::limits::{ARCHIVE_READS_AT_ONCE_MAX, EXPORTS_AT_ONCE_MAX, SAVES_AT_ONCE_MAX};
use crate::event::Wakeups;
use crate::logs::{Appender, Health, LogReader, ReadMemory};
use crate::storage::{Links, Storage};
use crate::store::Store;
use crate::syntax::Checker;

pub use code_agent::{CreateCodeAgent, PublishCodeVersion, Published, UpdateCodeAgent};
pub use download::{Behind, Download, WholeLog};
pub use execution::{
    ComparedExecutions, Deleted, Finish, RecordExecution, Recorded, StartExecution, Started, Tokens, Update,
    VisualChange, Writer, Writes, write_in_groups,
};
pub use export::Exported;
pub use generation::{Archive, Compared, Contents, ProjectFiles, SaveGeneration, Saved};
pub use stats::{Registry, Stats};
pub use workflow_run::WorkflowRun;

/// Everything that Runledger does. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    store: Store,
    wakeups: Wakeups,
    analytics: Analytics,
    appender: Appender,
    writer: Writer,
    checker: Checker,
    read_memory: ReadMemory,
    storage: Storage,
    links: Links,
    /// Without a slash at the end.
    public_url: Arc<str>,
    log_retention_days: Option<u32>,
    archive_health: watch::Receiver<Health>,
    saves: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    archive_reads: Arc<Semaphore>,
}

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Parts {
    pub store: Store,
    pub wakeups: Wakeups,
    pub analytics: Analytics,
    pub appender: Appender,
    pub writer: Writer,
    pub storage: Storage,
    pub links: Links,
    /// How long after its last line the log of an ended execution is kept; `None` for ever.
    pub log_retention_days: Option<u32>,
    /// How archiving stands.
    pub archive_health: watch::Receiver<Health>,
    /// How clients reach this server.
    pub public_url: String,
}

impl Service {
    /// Puts it together.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            store,
            wakeups,
            analytics,
            appender,
            writer,
            storage,
            links,
            log_retention_days,
            archive_health,
            public_url,
        } = parts;
        Self {
            store,
            wakeups,
            analytics,
            appender,
            writer,
            storage,
            links,
            log_retention_days,
            archive_health,
            public_url: public_url.trim_end_matches('/').into(),
            checker: Checker::default(),
            read_memory: ReadMemory::default(),
            exports: Arc::new(Semaphore::new(EXPORTS_AT_ONCE_MAX)),
            saves: Arc::new(Semaphore::new(SAVES_AT_ONCE_MAX)),
            archive_reads: Arc::new(Semaphore::new(ARCHIVE_READS_AT_ONCE_MAX)),
        }
    }

    fn log_reader(&self, viewer: &Viewer) -> LogReader {
        let memory = self.read_memory.clone();
        LogReader::new(self.store.clone(), viewer.clone(), memory, self.storage.clone())
    }

    /// How archiving log lines stands.
    pub fn archive_health(&self) -> Health {
        self.archive_health.borrow().clone()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// `UNAVAILABLE` when it does not.
    pub async fn ping(&self) -> crate::error::Result<()> {
        self.store.ping().await
    }
}
