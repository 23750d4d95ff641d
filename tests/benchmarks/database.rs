//! The database of a server, for what makes its data in SQL.

use std::path::{Path, PathBuf};

use sqlx::{Connection as _, Executor as _, Row as _};

use crate::harness::{Database, Server};

/// Where it is.
#[derive(Clone)]
pub(crate) enum Address {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Address {
    pub(crate) fn of(server: &Server) -> Self {
        match server.database() {
            Database::Sqlite => Self::Sqlite(server.database_file()),
            Database::Postgres { superuser_url, .. } => Self::Postgres(superuser_url.clone()),
        }
    }

    /// Runs a statement.
    pub(crate) async fn run(&self, statement: &str) {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        let done = match self {
            Self::Sqlite(file) => sqlite(file).await.execute(statement).await.map(|_| ()),
            Self::Postgres(url) => postgres(url).await.execute(statement).await.map(|_| ()),
        };
        done.expect("the statement is fine");
    }

    /// The columns of a table that an insert gives values for.
    pub(crate) async fn columns(&self, table: &str) -> Vec<String> {
        match self {
            Self::Sqlite(file) => {
                let query = format!("SELECT name FROM pragma_table_info('{table}')");
                let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut sqlite(file).await).await;
                let names = rows.expect("it is there").into_iter().map(|row| row.get(0));
                // A trigger gives each row its place among the words.
                names.filter(|name: &String| name != "place").collect()
            }
            Self::Postgres(url) => {
                let query = format!(
                    "SELECT column_name::text FROM information_schema.columns
                     WHERE table_name = '{table}' AND is_generated = 'NEVER' AND is_identity = 'NO'"
                );
                let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut postgres(url).await).await;
                rows.expect("it is there").iter().map(|row| row.get(0)).collect()
            }
        }
    }

    /// What PostgreSQL does by itself, sooner or later. To SQLite nobody tells what there is.
    pub(crate) async fn settle(&self) {
        if matches!(self, Self::Postgres(_)) {
            self.run("VACUUM ANALYZE").await;
        }
    }
}

pub(crate) async fn sqlite(file: &Path) -> sqlx::SqliteConnection {
    let url = format!("sqlite:{}", file.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("the file opens");
    // For statements that make millions of rows.
    let settings = connection.execute("PRAGMA cache_size = -1000000; PRAGMA synchronous = OFF").await;
    settings.expect("it takes settings");
    connection
}

pub(crate) async fn postgres(url: &str) -> sqlx::PgConnection {
    let mut connection = sqlx::PgConnection::connect(url).await.expect("it is there");
    // For statements that make millions of rows.
    let settings =
        "SET session_replication_role = replica; SET maintenance_work_mem = '1GB'; SET work_mem = '256MB';
        SET synchronous_commit = off";
    connection.execute(settings).await.expect("it takes settings");
    connection
}
