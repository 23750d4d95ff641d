//! How a database would carry a statement out, whatever its parameters are.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection};

use crate::harness::{Database, Server};

/// What is wrong with the plans of `statements`: rows of a tenant that are found otherwise than by the tenant.
pub(super) async fn complaints(server: &Server, statements: &[String]) -> Vec<String> {
    explain(server, statements, By::Tenant).await
}

/// What is wrong with the plans of `statements`: tables that are read as a whole.
pub(super) async fn scans(server: &Server, statements: &[String]) -> Vec<String> {
    explain(server, statements, By::AnyIndex).await
}

/// How rows are to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Tenant,
    AnyIndex,
}

/// Indexes that need no condition: they are read in their order, up to a limit.
const READ_IN_ORDER: [&str; 5] = [
    "job_next",
    "log_stream_to_archive",
    "log_stream_unplanned",
    "log_stream_by_age",
    "execution_search_pending",
];

/// Indexes of words, each with the tenant as one of the words that are looked for, and what leads from SQLite's to its rows.
const BY_WORDS: [&str; 2] = ["execution_search_terms", "execution_search_place"];

async fn explain(server: &Server, statements: &[String], by: By) -> Vec<String> {
    let mut complaints = Vec::new();
    match server.database() {
        Database::Sqlite => {
            let mut database = sqlite(server).await;
            for statement in statements {
                complaints.extend(sqlite_complaint(&mut database, statement, by).await);
            }
        }
        Database::Postgres { superuser_url, .. } => {
            let mut database =
                PgConnection::connect(superuser_url).await.expect("PostgreSQL accepts connections");
            for setting in ["ANALYZE", "SET plan_cache_mode = force_generic_plan", "SET enable_seqscan = off"]
            {
                database.execute(setting).await.expect("it is a superuser");
            }
            for statement in statements {
                complaints.extend(postgres_complaint(&mut database, statement, by).await);
            }
        }
    }
    complaints
}

/// Nobody tells a server's file to `ANALYZE`, so its plans are those without.
async fn sqlite(server: &Server) -> SqliteConnection {
    let url = format!("sqlite:{}", server.database_file().display());
    SqliteConnection::connect(&url).await.expect("the file opens")
}

/// The steps in which SQLite would carry `statement` out.
pub(super) async fn sqlite_steps(server: &Server, statement: &str) -> Vec<String> {
    steps(&mut sqlite(server).await, statement).await
}

async fn steps(database: &mut SqliteConnection, statement: &str) -> Vec<String> {
    // Parameters that are not bound are null.
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let rows = database.fetch_all(explain).await.expect("the server ran it");
    rows.iter().map(|row| row.get("detail")).collect()
}

/// The indexes out of which PostgreSQL could merge what `statement` finds without sorting it, whatever its parameters are.
pub(super) async fn postgres_merged_indexes(server: &Server, statement: &str) -> Vec<String> {
    let Database::Postgres { superuser_url, .. } = server.database() else { panic!("it has PostgreSQL") };
    let mut database = PgConnection::connect(superuser_url).await.expect("PostgreSQL accepts connections");
    // Of few rows it would rather sort them.
    for setting in [
        "plan_cache_mode = force_generic_plan",
        "enable_sort = off",
        "enable_bitmapscan = off",
        "enable_seqscan = off",
    ] {
        database.execute(AssertSqlSafe(format!("SET {setting}"))).await.expect("it is a superuser");
    }
    let plan = postgres_plan(&mut database, statement).await;
    let merges = nodes(&plan).into_iter().filter(|node| node["Node Type"] == "Merge Append");
    let merged = merges.flat_map(|merge| merge["Plans"].as_array().into_iter().flatten());
    merged.filter_map(|node| node["Index Name"].as_str().map(str::to_owned)).collect()
}

async fn sqlite_complaint(database: &mut SqliteConnection, statement: &str, by: By) -> Option<String> {
    for step in steps(database, statement).await {
        let mut words = step.split_whitespace();
        let (Some(verb @ ("SCAN" | "SEARCH")), Some(table)) = (words.next(), words.next()) else { continue };
        if by == By::AnyIndex {
            // Values in a list are scanned, too, but are no table; an index in its order ends where the limit is.
            let is_table = !["SUBQUERY", "CONSTANT", "(subquery"].iter().any(|word| table.starts_with(word));
            if verb == "SCAN" && is_table && !step.contains("INDEX") {
                return Some(format!("{step}\n    {statement}"));
            }
            continue;
        }
        let query =
            AssertSqlSafe(format!("SELECT 1 FROM pragma_table_info('{table}') WHERE name = 'tenant_id'"));
        let is_owned = database.fetch_optional(query).await.expect("the catalogue is readable").is_some();
        // SQLite names the conditions that it looks up in an index, its leading column first.
        let is_by_words = BY_WORDS.iter().any(|index| step.contains(&format!("INDEX {index} (")));
        if is_owned && !is_by_words && !(verb == "SEARCH" && step.contains("(tenant_id=?")) {
            return Some(format!("{step}\n    {statement}"));
        }
    }
    None
}

/// The plan of a statement whose parameters are all null.
async fn postgres_plan(database: &mut PgConnection, statement: &str) -> Value {
    let count = (1..).take_while(|number| statement.contains(&format!("${number}"))).count();
    let arguments = if count == 0 { String::new() } else { format!("({})", vec!["NULL"; count].join(", ")) };
    database.execute("DEALLOCATE ALL").await.expect("it always works");
    database
        .execute(AssertSqlSafe(format!("PREPARE walked AS {statement}")))
        .await
        .expect("the server ran it");
    let explain = AssertSqlSafe(format!("EXPLAIN (FORMAT JSON) EXECUTE walked{arguments}"));
    let row = database.fetch_one(explain).await.expect("it was prepared");
    let mut plan: Value =
        serde_json::from_str(&row.get_unchecked::<String, _>(0)).expect("EXPLAIN answers in JSON");
    plan[0]["Plan"].take()
}

async fn postgres_complaint(database: &mut PgConnection, statement: &str, by: By) -> Option<String> {
    for node in nodes(&postgres_plan(database, statement).await) {
        let kind = node["Node Type"].as_str().unwrap_or("");
        if by == By::AnyIndex {
            let index = node["Index Name"].as_str();
            let is_whole = match index {
                Some(index) => node["Index Cond"].is_null() && !READ_IN_ORDER.contains(&index),
                None => kind == "Seq Scan",
            };
            if is_whole {
                return Some(format!("{kind} {} {index:?}\n    {statement}", node["Relation Name"]));
            }
            continue;
        }
        let is_by_words = |index: &str| BY_WORDS.contains(&index) && !node["Index Cond"].is_null();
        let is_fine = match (node["Index Name"].as_str(), node["Relation Name"].as_str()) {
            (Some(index), _) if is_by_words(index) => true,
            (Some(index), _) => {
                let by_tenant =
                    node["Index Cond"].as_str().is_some_and(|condition| condition.contains("tenant_id ="));
                by_tenant && leading_column(database, index).await == "tenant_id"
                    || !is_owned(database, index).await
            }
            // The index is in a node below.
            (None, Some(_)) if kind == "Bitmap Heap Scan" => true,
            (None, Some(table)) => !is_owned(database, table).await,
            (None, None) => true,
        };
        if !is_fine {
            let by = node["Index Name"].as_str().or(node["Relation Name"].as_str()).unwrap_or("");
            return Some(format!("{kind} {by} {}\n    {statement}", node["Index Cond"]));
        }
    }
    None
}

fn nodes(plan: &Value) -> Vec<&Value> {
    let below = plan["Plans"].as_array().into_iter().flatten().flat_map(nodes);
    std::iter::once(plan).chain(below).collect()
}

async fn leading_column(database: &mut PgConnection, index: &str) -> String {
    let query = format!("SELECT pg_get_indexdef('{index}'::regclass, 1, true)");
    database.fetch_one(AssertSqlSafe(query)).await.expect("the catalogue is readable").get(0)
}

/// Whether a table, or the table of an index, has a tenant.
async fn is_owned(database: &mut PgConnection, relation: &str) -> bool {
    let query = format!(
        "SELECT 1 FROM pg_attribute WHERE attname = 'tenant_id' AND attrelid =
         coalesce((SELECT indrelid FROM pg_index WHERE indexrelid = '{relation}'::regclass), '{relation}'::regclass)"
    );
    database.fetch_optional(AssertSqlSafe(query)).await.expect("the catalogue is readable").is_some()
}
