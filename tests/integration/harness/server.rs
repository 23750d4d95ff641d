//! A real server process that can be killed, terminated and started again on the same data and port.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use sqlx::{Connection as _, Executor as _, Row as _};
use tempfile::TempDir;
use tokio::sync::{OnceCell, oneshot, watch};

use super::{
    Backend, Database, SECRET, backend::ForBackend, client::Client, get, janitor, soon, token::Claims,
};

const READY: &str = "listening on http://";
/// How much of a server's log a failed test shows.
const LOG_LINES_SHOWN_MAX: usize = 80;
/// Ticks of a processor's time a second, as Linux counts them.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running server. Clones are the same server; it ends with the last of them.
#[derive(Debug, Clone)]
pub(crate) struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: TempDir,
    database: Database,
    environment: Mutex<Vec<(String, String)>>,
    address: SocketAddr,
    process: Mutex<Option<Child>>,
    running: watch::Sender<bool>,
}

/// What differs from the usual server.
#[derive(Debug)]
pub(crate) struct ServerBuilder {
    database: Database,
    environment: Vec<(String, String)>,
}

impl ServerBuilder {
    /// Sets a variable of the server's environment, which is else nearly empty.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub(crate) async fn start(self) -> Server {
        let folder =
            tempfile::Builder::new().prefix("runledger-server-").tempdir().expect("a temporary folder");
        let dir = folder.path().display();
        janitor::when_the_tests_end(&format!(
            // Numbers of processes are used again: only one that runs in this folder is ours.
            "[ -f '{dir}/pid' ] && id=$(cat '{dir}/pid') && [ \"/proc/$id/cwd\" -ef '{dir}' ] && kill -9 \"$id\"; rm -rf '{dir}'"
        ));
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let (process, address) = spawn(folder.path(), &self.database, &self.environment, any_port).await;
        Server(Arc::new(Inner {
            folder,
            database: self.database,
            environment: Mutex::new(self.environment),
            address,
            process: Mutex::new(Some(process)),
            running: watch::Sender::new(true),
        }))
    }
}

impl Server {
    /// A server on `database`, which another may use too.
    pub(crate) fn on_database(database: Database) -> ServerBuilder {
        ServerBuilder { database, environment: Vec::new() }
    }

    /// A server with a database of its own.
    pub(crate) async fn builder(backend: Backend) -> ServerBuilder {
        Self::on_database(
            Database::fresh(backend).await.expect("the test runs only where the backend can be had"),
        )
    }

    /// The one server of a backend that all tests share that need no more than a fresh tenant.
    pub(crate) async fn shared(backend: Backend) -> Option<Self> {
        static SQLITE: OnceCell<Option<Server>> = OnceCell::const_new();
        static POSTGRES: OnceCell<Option<Server>> = OnceCell::const_new();
        let cell = match backend {
            Backend::Sqlite => &SQLITE,
            Backend::Postgres => &POSTGRES,
        };
        // Most lines that the tests read are archived by then, or are at that moment.
        let start = || async {
            let builder = Self::on_database(Database::fresh(backend).await?);
            Some(builder.env("RUNLEDGER_LOG_FLUSH_INTERVAL_SECONDS", "1").start().await)
        };
        cell.get_or_init(start).await.clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    pub(crate) fn socket_url(&self) -> String {
        format!("ws://{}/graphql", self.0.address)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    /// The SQLite file.
    pub(crate) fn database_file(&self) -> PathBuf {
        let files = fs::read_dir(self.data_folder()).expect("the server made its data folder");
        let is_sqlite = |path: &PathBuf| {
            let mut beginning = [0; 15];
            let read = File::open(path).and_then(|mut file| file.read_exact(&mut beginning));
            read.is_ok() && beginning == *b"SQLite format 3"
        };
        files.flatten().map(|entry| entry.path()).find(is_sqlite).expect("one file is a SQLite database")
    }

    pub(crate) fn client(&self, claims: &Claims) -> Client {
        Client::new(self, Some(claims.token()))
    }

    /// Ends the process at once, as a power cut would.
    pub(crate) fn kill9(&self) {
        self.0.running.send_replace(false);
        if let Some(mut process) = self.take_process() {
            process.kill().expect("it is our child");
            process.wait().expect("it is our child");
        }
    }

    /// Asks the process to end (SIGTERM) and waits until it has.
    pub(crate) async fn terminate(&self) -> ExitStatus {
        let mut process = self.take_process().expect("the server runs");
        signal(process.id(), "TERM");
        self.0.running.send_replace(false);
        let end = tokio::task::spawn_blocking(move || process.wait());
        soon("the server's end", end).await.expect("the waiting does not panic").expect("it is our child")
    }

    /// Starts it again on the same data and port.
    pub(crate) async fn restart(&self) {
        let inner = &self.0;
        let environment = inner.environment.lock().expect("no holder panics").clone();
        let (process, _) = spawn(inner.folder.path(), &inner.database, &environment, inner.address).await;
        *inner.process.lock().expect("no holder panics") = Some(process);
        inner.running.send_replace(true);
    }

    /// Changes a variable of its environment, from the next start on.
    pub(crate) fn set_env(&self, name: &str, value: &str) {
        let mut environment = self.0.environment.lock().expect("no holder panics");
        environment.retain(|(set, _)| set != name);
        environment.push((name.into(), value.into()));
    }

    /// Starts it again where it must not start; what it says.
    pub(crate) async fn restart_fails(&self) -> String {
        let output = self.run(&["serve"]).await;
        assert!(!output.status.success(), "it must not start");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Runs another command with its settings.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        soon("the end of a command", self.run_long(arguments)).await
    }

    /// The same, for a command that may take its time.
    pub(crate) async fn run_long(&self, arguments: &[&str]) -> Output {
        let inner = &self.0;
        let environment = inner.environment.lock().expect("no holder panics").clone();
        let mut command = configured(inner.folder.path(), &inner.database, &environment, inner.address);
        command.args(arguments).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output());
        output.await.expect("it does not panic").expect("it starts")
    }

    /// The files in a folder of its data folder, as paths below it.
    pub(crate) fn files_in(&self, folder: &str) -> Vec<PathBuf> {
        let root = self.data_folder().join(folder);
        let (mut files, mut folders) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            // One that became empty goes.
            for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
                match path.is_dir() {
                    true => folders.push(path),
                    false => files.push(path.strip_prefix(&root).expect("it is below").to_owned()),
                }
            }
        }
        files.sort();
        files
    }

    /// Waits until `/readyz` says this; requests are answered meanwhile.
    pub(crate) async fn ready_says(&self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = get(&format!("{}/readyz", self.url()), &[]).await;
            assert_eq!(answer.status, 200, "requests are answered all the same");
            let said = String::from_utf8(answer.body).expect("it is text");
            if said.contains(what) {
                return;
            }
            assert!(Instant::now() < deadline, "no {what:?} in {said:?}");
            // Nothing tells when that changes.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The most memory that its process has had at once.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// The memory that its process has now.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    fn status_bytes(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process_id()));
        let status = status.expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says it");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("it is a number") * 1024
    }

    /// Processor time that its process has used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process_id()));
        let stat = stat.expect("the process runs");
        let (_, after_name) = stat.rsplit_once(')').expect("it has a name");
        let fields = after_name.split_whitespace().skip(11).take(2);
        fields.map(|ticks| ticks.parse::<f64>().expect("it is a number")).sum::<f64>() / TICKS_PER_SECOND
    }

    /// The id of its process.
    pub(crate) fn process_id(&self) -> u32 {
        let process = self.0.process.lock().expect("no holder panics");
        process.as_ref().expect("the server runs").id()
    }

    /// Waits while the server is away. Nobody should knock meanwhile: a port without a listener can connect to itself.
    pub(crate) async fn running(&self) {
        let mut running = self.0.running.subscribe();
        soon("the server's start", running.wait_for(|running| *running)).await.expect("the sender is ours");
        assert!(self.is_alive() || !*running.borrow(), "the server ended by itself");
    }

    /// Changes the database behind the server's back; the server must not run.
    pub(crate) async fn alter(&self, statement: &str) {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        let changed = match &self.0.database {
            Database::Sqlite => {
                let url = format!("sqlite:{}", self.database_file().display());
                let mut database = sqlx::SqliteConnection::connect(&url).await.expect("the file opens");
                let changed = database.execute(statement).await.map(|done| done.rows_affected());
                database.close().await.expect("it closes");
                changed
            }
            Database::Postgres { superuser_url, .. } => {
                let mut database = sqlx::PgConnection::connect(superuser_url).await.expect("it is there");
                database.execute(statement).await.map(|done| done.rows_affected())
            }
        };
        assert!(changed.expect("the statement is fine") > 0, "some rows change");
    }

    /// How many rows a query finds, behind the server's back.
    pub(crate) async fn count_rows(&self, from: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {from}"));
        match &self.0.database {
            Database::Sqlite => {
                let url = format!("sqlite:{}", self.database_file().display());
                let mut database = sqlx::SqliteConnection::connect(&url).await.expect("the file opens");
                let count = database.fetch_one(query).await.expect("the query is fine").get(0);
                // Whoever closes it last carries the write-ahead log into the file.
                database.close().await.expect("it closes");
                count
            }
            Database::Postgres { superuser_url, .. } => {
                let mut database = sqlx::PgConnection::connect(superuser_url).await.expect("it is there");
                database.fetch_one(query).await.expect("the query is fine").get(0)
            }
        }
    }

    /// Whether its process runs.
    pub(crate) fn is_alive(&self) -> bool {
        let mut process = self.0.process.lock().expect("no holder panics");
        process.as_mut().is_some_and(|process| process.try_wait().expect("it is our child").is_none())
    }

    /// Everything it has logged so far. The server writes a request's log before its answer.
    pub(crate) fn log(&self) -> String {
        self.0.log()
    }

    pub(crate) fn data_folder(&self) -> PathBuf {
        self.0.folder.path().join("data")
    }

    fn take_process(&self) -> Option<Child> {
        self.0.process.lock().expect("no holder panics").take()
    }
}

impl ForBackend for Server {
    /// A server of the test's own.
    async fn on(backend: Backend) -> Option<Self> {
        Some(Self::on_database(Database::fresh(backend).await?).start().await)
    }
}

impl Inner {
    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(log_file(self.folder.path())).unwrap_or_default()).into_owned()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.lock().ok().and_then(|mut process| process.take()) {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            show_log(&self.log());
        }
    }
}

/// Prints the end of a server's log, for the reader of a failed test.
pub(crate) fn show_log(log: &str) {
    let lines: Vec<_> = log.lines().collect();
    let skipped = lines.len().saturating_sub(LOG_LINES_SHOWN_MAX);
    eprintln!("--- the server's log ({skipped} lines before these)\n{}\n---", lines[skipped..].join("\n"));
}

/// Sends a signal by its name.
pub(crate) fn signal(process_id: u32, name: &str) {
    let command = format!("kill -{name} {process_id}");
    let status = Command::new("sh").args(["-c", &command]).status().expect("a shell starts");
    assert!(status.success(), "{command}");
}

/// The program under test, with a clean environment: nothing of the developer's reaches it.
pub(crate) fn runledger(working_folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runledger"));
    command.env_clear().current_dir(working_folder);
    for name in ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// The program with a server's settings.
fn configured(
    folder: &Path,
    database: &Database,
    environment: &[(String, String)],
    listen: SocketAddr,
) -> Command {
    let mut command = runledger(folder);
    command
        .env("RUNLEDGER_LISTEN", listen.to_string())
        .env("RUNLEDGER_DATA_DIR", folder.join("data"))
        .env("RUNLEDGER_JWT_SECRET", SECRET)
        // Those who wait for a deletion look at it all the time, which keeps it slow.
        .env("RUNLEDGER_DELETION_PERMILLE", "500");
    if let Database::Postgres { url, .. } = database {
        command.env("DATABASE_URL", url);
    }
    command.envs(environment.iter().cloned());
    command
}

async fn spawn(
    folder: &Path,
    database: &Database,
    environment: &[(String, String)],
    listen: SocketAddr,
) -> (Child, SocketAddr) {
    let log = File::options().append(true).create(true).open(log_file(folder)).expect("the log opens");
    let mut command = configured(folder, database, environment, listen);
    command.arg("serve").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut process = command.spawn().expect("the program starts");
    fs::write(folder.join("pid"), process.id().to_string()).expect("the folder is ours");

    let ready = announced_address(process.stdout.take().expect("it is piped"));
    match tokio::time::timeout(START_SECONDS_MAX, ready).await {
        Ok(Ok(address)) => (process, address),
        failure => {
            let _ = process.kill();
            let status = process.wait().expect("it is our child");
            show_log(&fs::read_to_string(log_file(folder)).unwrap_or_default());
            match failure {
                Err(_) => panic!("the server did not print `{READY}…` within {START_SECONDS_MAX:?}"),
                Ok(_) => panic!("the server ended before it printed `{READY}…`: {status}"),
            }
        }
    }
}

/// Long: in CI a first start may share two cores with many others.
const START_SECONDS_MAX: Duration = Duration::from_secs(60);

/// The address of the line that says that the server is ready; goes on reading so that the server never blocks.
fn announced_address(stdout: ChildStdout) -> oneshot::Receiver<SocketAddr> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut sender = Some(sender);
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let address =
                line.split_once(READY).and_then(|(_, rest)| rest.trim_end_matches('/').parse().ok());
            if let (Some(address), Some(sender)) = (address, sender.take_if(|_| address.is_some())) {
                // Nobody waits any longer when the start has failed.
                let _ = sender.send(address);
            }
        }
    });
    receiver
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("server.log")
}
