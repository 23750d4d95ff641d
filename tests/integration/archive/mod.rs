//! Log lines leave the database for one object per execution, and nobody who reads them sees a difference.

mod crash;
mod deleting;
mod downloads;
mod limits;
mod objects;
mod outage;
mod reading;
mod retention;
mod schema_change;
mod tails;
mod two_servers;
mod visual;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Backend, Client, Cloud, CloudKind, ForBackend, PATIENCE, Server, Team};

/// The bucket of logs.
const LOGS: &str = "agent-logs";
/// An interval that no test waits for.
const NEVER: u32 = 3_600;

/// A server that archives: on SQLite to its own disk, on PostgreSQL to S3.
struct Archive {
    server: Server,
    team: Team,
    cloud: Option<Arc<Cloud>>,
}

impl ForBackend for Archive {
    /// One that archives every second.
    async fn on(backend: Backend) -> Option<Self> {
        Backend::on(backend).await?;
        Some(Self::after(backend, 1).await)
    }
}

impl Archive {
    /// One that archives after some seconds.
    async fn after(backend: Backend, seconds: u32) -> Self {
        Self::with(backend, seconds, &[]).await
    }

    async fn with(backend: Backend, seconds: u32, environment: &[(&str, &str)]) -> Self {
        let cloud = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(Arc::new(Cloud::start(CloudKind::S3).await)),
        };
        Self::in_cloud(backend, cloud, seconds, environment).await
    }

    /// One whose objects are in S3, whatever its database.
    async fn in_s3(backend: Backend, seconds: u32, environment: &[(&str, &str)]) -> Self {
        let cloud = Arc::new(Cloud::start(CloudKind::S3).await);
        Self::in_cloud(backend, Some(cloud), seconds, environment).await
    }

    async fn in_cloud(
        backend: Backend,
        cloud: Option<Arc<Cloud>>,
        seconds: u32,
        environment: &[(&str, &str)],
    ) -> Self {
        let builder = match &cloud {
            None => Server::builder(backend).await,
            Some(cloud) => cloud.server(backend).await,
        };
        let builder = builder.env("RUNLEDGER_LOG_FLUSH_INTERVAL_SECONDS", &seconds.to_string());
        let builder = environment.iter().fold(builder, |builder, (name, value)| builder.env(name, value));
        let server = builder.start().await;
        Self { team: Team::of(&server), server, cloud }
    }

    fn owner(&self) -> &Client {
        &self.team.owner
    }

    fn cloud(&self) -> &Cloud {
        self.cloud.as_ref().expect("it has cloud storage")
    }

    /// Starts the process again: the callers get fresh connections.
    async fn restart(&mut self) {
        self.server.restart().await;
        self.team = self.team.after_a_restart();
    }

    /// The object of a log, as it is in storage.
    fn object(&self, id: &str) -> Option<String> {
        let key = format!("job-{id}.log");
        let bytes = match &self.cloud {
            Some(cloud) => cloud.objects(LOGS).remove(&key),
            None => std::fs::read(self.server.data_folder().join("objects").join(LOGS).join(key)).ok(),
        };
        bytes.map(|bytes| String::from_utf8(bytes).expect("a log is UTF-8"))
    }

    /// The messages of the lines in the object of a log, which must be numbered without holes.
    fn messages_in_object(&self, id: &str) -> Vec<String> {
        messages_of(&self.object(id).unwrap_or_default())
    }
}

/// The messages of JSON lines, which must be numbered from 0 without holes, each line ended.
fn messages_of(text: &str) -> Vec<String> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    let message = |(number, line): (usize, &str)| {
        let line: Value = serde_json::from_str(line).expect("each line is JSON");
        assert_eq!(line["seq"], number, "each line once, in order");
        line["message"].as_str().expect("a line has a message").to_owned()
    };
    text.lines().enumerate().map(message).collect()
}

const LOG_OBJECT: &str = "query ($id: ID!) { execution(id: $id) { logObject {
    key lineCount sizeBytes archivedLineCount expiresAt expired download { url }
} } }";

impl Client {
    async fn log_object(&self, id: &str) -> Value {
        self.query(LOG_OBJECT, json!({ "id": id })).await["execution"]["logObject"].take()
    }

    async fn archived_lines(&self, id: &str) -> i64 {
        self.log_object(id).await["archivedLineCount"].as_i64().expect("it is a number")
    }

    /// Waits until the first `lines` lines are in the object.
    async fn archived(&self, id: &str, lines: usize) {
        self.archived_within(id, lines, PATIENCE).await;
    }

    async fn archived_within(&self, id: &str, lines: usize, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            let archived = self.archived_lines(id).await;
            if archived >= lines as i64 {
                return;
            }
            assert!(Instant::now() < deadline, "{archived} of {lines} lines archived after {patience:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A link to the whole log.
    async fn link_to_log(&self, id: &str) -> String {
        self.log_object(id).await["download"]["url"].as_str().expect("it is a text").to_owned()
    }
}
