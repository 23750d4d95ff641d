//! A private PostgreSQL, made from the installed binaries once per test process, with a fresh database per server.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use sqlx::{Connection as _, PgConnection};
use tokio::sync::OnceCell;

use super::{Backend, janitor, unique};

/// The oldest version that Runledger supports.
const MAJOR_VERSION_MIN: u32 = 15;

/// Where a server keeps its rows.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    /// A file in the server's data folder.
    Sqlite,
    /// A database of the private PostgreSQL.
    Postgres {
        /// As the server connects: the owner of the tables, and no superuser.
        url: String,
        /// As a test connects that looks behind the server's back.
        superuser_url: String,
    },
}

impl Database {
    /// An empty database, or `None` when there is no PostgreSQL here.
    pub(crate) async fn fresh(backend: Backend) -> Option<Self> {
        match backend {
            Backend::Sqlite => Some(Self::Sqlite),
            Backend::Postgres => Some(Postgres::shared().await?.fresh_database().await),
        }
    }

    pub(crate) async fn available(backend: Backend) -> bool {
        backend == Backend::Sqlite || Postgres::shared().await.is_some()
    }
}

/// The running PostgreSQL.
#[derive(Debug)]
struct Postgres {
    port: u16,
}

impl Postgres {
    async fn shared() -> Option<&'static Self> {
        static SHARED: OnceCell<Option<Postgres>> = OnceCell::const_new();
        let start = || async { tokio::task::spawn_blocking(Self::start).await.expect("PostgreSQL starts") };
        SHARED.get_or_init(start).await.as_ref()
    }

    /// Starts one, or says loudly why the tests on PostgreSQL are skipped. In CI they may not be.
    fn start() -> Option<Self> {
        let Some(binaries) = find_binaries() else {
            let reason = format!("no PostgreSQL {MAJOR_VERSION_MIN} or later is installed");
            assert!(std::env::var_os("CI").is_none(), "{reason}");
            // Not `eprintln!`: the test runner swallows that when a test passes.
            writeln!(std::io::stderr(), "SKIPPED: every test on PostgreSQL, because {reason}")
                .expect("stderr");
            return None;
        };
        let folder =
            tempfile::Builder::new().prefix("runledger-postgres-").tempdir().expect("a temporary folder");
        let folder = folder.keep();
        let account = Account::for_owner_of(&folder);
        account.own(&folder);

        let (bin, dir) = (binaries.display(), folder.display());
        janitor::when_the_tests_end(&format!(
            "{}; rm -rf '{dir}'",
            account.command(&format!("'{bin}/pg_ctl' --pgdata '{dir}/data' --mode immediate stop"))
        ));
        account.run(&format!(
            "echo {PASSWORD} > '{dir}/password' && '{bin}/initdb' --pgdata '{dir}/data' --username postgres \
             --auth-local trust --auth-host password --pwfile '{dir}/password' --encoding UTF8 --locale C --no-sync"
        ));
        // Durable, as in production, but small; many servers connect at once. A benchmark of much history gives it more.
        let port = free_port();
        let setting = |name, small: &str| std::env::var(name).unwrap_or_else(|_| small.into());
        let buffers = setting("POSTGRES_SHARED_BUFFERS", "64MB");
        let max_wal = setting("POSTGRES_MAX_WAL_SIZE", "512MB");
        account.run(&format!(
            "'{bin}/pg_ctl' --pgdata '{dir}/data' --log '{dir}/log' --wait start --options \
             '-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={dir} -c fsync=on \
              -c max_connections=400 -c shared_buffers={buffers} -c max_wal_size={max_wal}'"
        ));
        account.run(&format!(
            "'{bin}/psql' --host '{dir}' --port {port} --username postgres --quiet --command \
             \"create role runledger login createrole password '{PASSWORD}'\""
        ));
        Some(Self { port })
    }

    async fn fresh_database(&self) -> Database {
        let name = unique("db").replace('-', "_");
        let mut admin = PgConnection::connect(&self.url("postgres", "postgres"))
            .await
            .expect("PostgreSQL accepts connections");
        let statement = format!("create database {name} owner runledger");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut admin).await.expect("a database is made");
        Database::Postgres { url: self.url("runledger", &name), superuser_url: self.url("postgres", &name) }
    }

    fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }
}

const PASSWORD: &str = "only-for-these-tests";

/// Who runs PostgreSQL: it refuses to run as root.
enum Account {
    Ours,
    Other(&'static str),
}

impl Account {
    fn for_owner_of(folder: &Path) -> Self {
        if fs::metadata(folder).expect("the folder is there").uid() != 0 {
            return Self::Ours;
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let has = |name: &str| accounts.lines().any(|line| line.split(':').next() == Some(name));
        Self::Other(if has("postgres") { "postgres" } else { "nobody" })
    }

    fn own(&self, folder: &Path) {
        if let Self::Other(name) = self {
            let status = Command::new("chown").arg(name).arg(folder).status().expect("chown runs");
            assert!(status.success(), "{} goes to {name}", folder.display());
        }
    }

    /// The shell command that runs `command` as this account.
    fn command(&self, command: &str) -> String {
        match self {
            Self::Ours => command.to_owned(),
            Self::Other(name) => format!("su -s /bin/sh {name} -c '{}'", command.replace('\'', r"'\''")),
        }
    }

    fn run(&self, command: &str) {
        let output = Command::new("sh")
            .args(["-c", &self.command(command)])
            .current_dir("/")
            .stdout(std::process::Stdio::null())
            .output()
            .expect("a shell starts");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The folder with the newest installed binaries that are new enough.
fn find_binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let packaged =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|v| v.path().join("bin"));
    std::env::split_paths(&path)
        .chain(packaged)
        .filter(|folder| {
            ["initdb", "pg_ctl", "postgres", "psql"].iter().all(|name| folder.join(name).is_file())
        })
        .filter_map(|folder| Some((major_version(&folder)?, folder)))
        .filter(|(version, _)| *version >= MAJOR_VERSION_MIN)
        .max_by_key(|(version, _)| *version)
        .map(|(_, folder)| folder)
}

/// From `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major_version(binaries: &Path) -> Option<u32> {
    let output = Command::new(binaries.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(2)?.split('.').next()?.parse().ok()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it has an address").port()
}
