//! What history costs: the same requests on a nearly empty database and on one with millions of executions, in one run.
//!
//! `cargo bench --bench history -- [sqlite|postgres|all] [EXECUTIONS] [SECONDS]`, by default all with 1,000,000 and 120. It
//! prints for each request the median and the 95th percentile on the large database and the ratio of the medians, large to
//! small; then what 32 connections ask at once, as `speed` does, with the ratio of what is answered a second; then an export, beside PostgreSQL's own `COPY`, and what deleting the oldest tenth does to others, which is watched for two
//! minutes, for so many seconds, or until all are gone, without others, and for two minutes more with them; and what that gives
//! back of the disk. One caller, one request at a time; the server, the database and the caller share the machine.
//! `POSTGRES_SHARED_BUFFERS` and `POSTGRES_MAX_WAL_SIZE` give PostgreSQL more memory and rarer checkpoints than the 64 and 512 MB that
//! are enough for tests.
//!
//! The generator takes executions that the API has recorded and copies them in SQL, each copy at another time of the last
//! year, with an id of that time; their words come with them, the indexes are built afterwards, and `runledger recompute`
//! counts them.

#[path = "speed/data.rs"]
#[expect(dead_code, reason = "many tenants, which this does without")]
mod data;
mod database;
#[path = "../integration/harness/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the harness of the tests, of which this takes a part"
)]
mod harness;
#[path = "speed/http.rs"]
mod http;
#[path = "speed/loads.rs"]
#[expect(dead_code, reason = "the bare database, which this does without")]
mod loads;
#[path = "speed/raw.rs"]
mod raw;
#[path = "speed/rounds.rs"]
mod rounds;

use std::sync::Arc;
use std::time::{Duration, Instant};

use data::{Data, Tenant};
use database::Address;
use futures_util::TryStreamExt as _;
use harness::{Backend, Claims, Client, Database, Server, Team, id_of, line};
use loads::{Load, Loads};
use rounds::{Figures, median, round, server_askers};
use serde_json::{Value, json};
use sqlx::{Connection as _, Row as _};
use uuid::Uuid;

/// Executions that the API records, and that are copied.
const TEMPLATES: usize = 1_000;
const ROUNDS: usize = 100;
/// How long others are watched while a deletion goes on.
const DELETION_WATCHED_MAX: Duration = Duration::from_secs(120);
/// A deletion is slower for some seconds after each look.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// One of so many executions, the oldest, has a word that no other has.
const OLD: u64 = 7;
const YEAR_SECONDS: u64 = 365 * 24 * 3_600;
/// Since when there are those that the API records.
const TEMPLATE_SECONDS: u64 = 3_600;
/// Requests of a round of those that are made 32 at a time.
const REQUESTS: usize = 10_000;
/// Parts of the time of all executions from which those are taken that are asked for by id.
const PARTS: u64 = 100;

const LIST: &str = "query ($filter: ExecutionFilter, $order: ExecutionOrder, $after: String) {
    executions(filter: $filter, orderBy: $order, first: 50, after: $after) { nodes {
        id name status mode workflowId ownerId createdAt completedAt durationMs costUsd tokens { total } revision
    } pageInfo { hasNextPage endCursor } } }";
const COUNT: &str =
    "query ($filter: ExecutionFilter) { executions(filter: $filter, first: 1) { totalCount } }";

/// Of a code agent whose executions are shorter than all others.
const OF_AGENT: &str = "query ($order: ExecutionOrder, $filter: ExecutionFilter) { codeAgents(first: 1) { nodes {
    executions(orderBy: $order, filter: $filter, first: 50) { nodes { id name status createdAt durationMs costUsd } } } } }";

const STATS: &str = "query ($filter: StatsFilter) { stats(filter: $filter) {
    totalExecutions successRate p50: durationMs(quantile: 0.5) p95: durationMs(quantile: 0.95) p99: durationMs(quantile: 0.99) } }";

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let which = arguments.next();
    let executions = arguments.next().map_or(1_000_000, |number| number.parse().expect("it is a number"));
    let alone = arguments.next().map_or(120, |number| number.parse().expect("it is a number"));
    let alone = Duration::from_secs(alone);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    for (name, backend) in [("sqlite", Backend::Sqlite), ("postgres", Backend::Postgres)] {
        if which.as_deref().is_none_or(|which| which == name || which == "all") {
            println!("{name}, {executions} executions of one tenant");
            runtime.block_on(measure(backend, executions, alone));
        }
    }
}

async fn measure(backend: Backend, executions: usize, alone: Duration) {
    if !Database::available(backend).await {
        return println!("  there is none here");
    }
    let small = filled(backend, TEMPLATES).await;
    let large = filled(backend, executions).await;
    requests(&small.owner, &large.owner).await;
    many_at_once(&small, &large).await;
    export(backend, &large, executions).await;
    deletion(&large, executions, alone).await;
}

/// A team whose owner has so many executions.
async fn filled(backend: Backend, executions: usize) -> Team {
    // As servers have it, not as tests.
    let server = Server::builder(backend).await.env("RUNLEDGER_DELETION_PERMILLE", "5").start().await;
    let team = Team::of(&server);
    let now = runledger::clock::now();
    let agent = team.owner.new_code_agent("quick", "{}").await;
    let templates: Vec<_> = (0..TEMPLATES).map(|number| template(number, now, &agent)).collect();
    team.owner.record(json!(templates)).await.expect("they are fine");
    if executions > TEMPLATES {
        assert!(server.terminate().await.success(), "it stops");
        let began = Instant::now();
        multiply(backend, &server, executions).await;
        println!("  made in {:.0} s", began.elapsed().as_secs_f64());
        let began = Instant::now();
        let counted = server.run_long(&["recompute"]).await;
        // It says that the statistics were wrong, which they were.
        assert!(counted.status.code() == Some(1) || counted.status.success(), "{counted:?}");
        let seconds = began.elapsed().as_secs_f64();
        println!("  counted in {seconds:.1} s, {:.0} a second", executions as f64 / seconds);
        server.restart().await;
    }
    team.after_a_restart()
}

fn template(number: usize, now: runledger::clock::Timestamp, agent: &Value) -> Value {
    let group = number % 10;
    let is_quick = group == 4 && !agent.is_null();
    let started = now - chrono::TimeDelta::milliseconds(number as i64 * 3_600);
    json!({
        "id": runledger::clock::new_id().to_string(), "name": format!("nightly build {number}"), "mode": "LOCAL_RUN",
        "status": if number.is_multiple_of(7) { "FAILED" } else { "COMPLETED" },
        "workflowId": format!("workflow {group}"), "projectKey": format!("project {}", number / 10 % 10),
        "inputs": { "branch": "main", "number": number, "prompt": "build the shop and tell what is missing" },
        "result": { "files": number % 90, "note": if number == 500 { "zanzibar" } else { "all is well" } },
        "error": (number.is_multiple_of(7)).then_some("the compiler gave up at line 12"),
        "durationMs": if is_quick { number % 50 } else { 50 + (number * number) % 90_000 },
        "codeAgentId": is_quick.then_some(agent), "costUsd": "0.012500", "tokens": { "input": number, "output": 7 },
        "startedAt": started, "completedAt": started,
    })
}

async fn multiply(backend: Backend, server: &Server, executions: usize) {
    let address = Address::of(server);
    let indexes = indexes(&address, &["execution", "log_stream", "execution_search"]).await;
    // SQLite's trigger gives each row its place by one of these.
    let rebuilt: Vec<_> = indexes.iter().filter(|(name, _)| name != "execution_search_place").collect();
    for (name, _) in &rebuilt {
        address.run(&format!("DROP INDEX {name}")).await;
    }
    let copies = executions / TEMPLATES;
    let ids = match backend {
        Backend::Sqlite => format!(
            "CREATE TABLE bench_copy (new_id blob PRIMARY KEY, id blob, earlier integer) WITHOUT ROWID;
             INSERT INTO bench_copy WITH RECURSIVE copy (number) AS (
                SELECT 1 UNION ALL SELECT number + 1 FROM copy WHERE number + 1 < {copies})
             SELECT unhex(printf('%012X', 1000 * (unixepoch(created_at) - earlier)) || substr(hex(id), 13)), id, earlier
             FROM (SELECT number * {YEAR_SECONDS} / {copies} AS earlier FROM copy) CROSS JOIN execution"
        ),
        Backend::Postgres => format!(
            "CREATE UNLOGGED TABLE bench_copy AS SELECT (lpad(to_hex(1000 * (extract(epoch FROM created_at)::bigint - earlier)),
                12, '0') || substr(replace(id::text, '-', ''), 13))::uuid AS new_id, id, earlier
             FROM (SELECT number * {YEAR_SECONDS} / {copies} AS earlier
                FROM generate_series(1::bigint, {copies} - 1) AS number) AS copy CROSS JOIN execution ORDER BY new_id"
        ),
    };
    address.run(&ids).await;
    // So that PostgreSQL does not make the copies of one template after those of another: rows come as time goes.
    let analyze =
        |table| if backend == Backend::Postgres { format!("ANALYZE {table};") } else { String::new() };
    address.run(&analyze("bench_copy")).await;
    for (table, id) in [
        ("execution", "id"),
        ("execution_payload", "execution_id"),
        ("log_stream", "execution_id"),
        ("execution_search", "execution_id"),
    ] {
        let names = address.columns(table).await;
        let values: Vec<_> = names.iter().map(|name| value(backend, name, id)).collect();
        let copy = format!(
            "CREATE TABLE bench_template AS SELECT * FROM {table}
                WHERE tenant_id = (SELECT min(tenant_id) FROM log_stream);
             {}
             INSERT INTO {table} ({}) SELECT {} FROM bench_copy AS new CROSS JOIN bench_template AS row
                WHERE row.{id} = new.id;
             DROP TABLE bench_template",
            analyze("bench_template"),
            names.join(", "),
            values.join(", ")
        );
        address.run(&copy).await;
    }
    address.run("DROP TABLE bench_copy").await;
    for (_, create) in rebuilt {
        address.run(create).await;
    }
    if backend == Backend::Sqlite {
        // The parts that come in one go are large, and of one size: a server would merge them while it is measured.
        address.run("INSERT INTO execution_words (execution_words) VALUES ('optimize')").await;
    }
    address.settle().await;
}

/// The indexes of some tables that belong to no constraint: their names, and what makes them.
async fn indexes(address: &Address, tables: &[&str]) -> Vec<(String, String)> {
    let tables = format!("('{}')", tables.join("', '"));
    match address {
        Address::Sqlite(file) => {
            let query = format!(
                "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN {tables}"
            );
            let rows =
                sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut database::sqlite(file).await).await;
            rows.expect("they are there").iter().map(|row| (row.get(0), row.get(1))).collect()
        }
        Address::Postgres(url) => {
            let query = format!(
                "SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename IN {tables}
                 AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)"
            );
            let rows =
                sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut database::postgres(url).await).await;
            rows.expect("they are there").iter().map(|row| (row.get(0), row.get(1))).collect()
        }
    }
}

/// Of a copy: another id, and some time earlier. The oldest have a word of their own.
fn value(backend: Backend, column: &str, id: &str) -> String {
    match (column, backend) {
        _ if column == id => "new.new_id".into(),
        ("created_at" | "started_at" | "completed_at" | "updated_at", Backend::Postgres) => {
            format!("row.{column} - make_interval(secs => new.earlier)")
        }
        ("created_at" | "started_at" | "completed_at" | "updated_at", Backend::Sqlite) => {
            let earlier = format!("substr(row.{column}, 1, 19), -new.earlier || ' seconds'");
            format!(
                "strftime('%Y-%m-%d', {earlier}) || substr(row.{column}, 11, 1) || strftime('%H:%M:%S', {earlier})
                 || substr(row.{column}, 20)"
            )
        }
        ("error_words", _) => {
            let old = YEAR_SECONDS - YEAR_SECONDS / OLD;
            format!(
                "CASE WHEN new.earlier < {old} THEN row.error_words
                 ELSE coalesce(row.error_words || ' ', '') || 'antique' END"
            )
        }
        _ => format!("row.{column}"),
    }
}

async fn requests(small: &Client, large: &Client) {
    let now = runledger::clock::now();
    let ago = |days: i64| json!(now - chrono::TimeDelta::days(days));
    let by = |filter: Value| json!({ "filter": filter });
    println!("  {:34} {:>9} {:>9} {:>7}", "request", "p50 ms", "p95 ms", "ratio");
    for (name, document, variables) in [
        ("newest 50", LIST, json!({})),
        ("in the middle", LIST, by(json!({ "createdAt": { "to": ago(180) } }))),
        ("failed", LIST, by(json!({ "statuses": ["FAILED"] }))),
        ("of a workflow", LIST, by(json!({ "workflowIds": ["workflow 3"] }))),
        ("of a project, failed", LIST, by(json!({ "projectKeys": ["project 3"], "statuses": ["FAILED"] }))),
        (
            "of a workflow and project, failed",
            LIST,
            by(
                json!({ "workflowIds": ["workflow 3"], "projectKeys": ["project 4"], "statuses": ["FAILED"] }),
            ),
        ),
        ("of a mode that none has", LIST, by(json!({ "modes": ["CLOUD_RUN"] }))),
        (
            "completed in a month long ago",
            LIST,
            by(json!({ "completedAt": { "from": ago(330), "to": ago(300) } })),
        ),
        ("a thousandth, by its tokens", LIST, by(json!({ "totalTokens": { "min": 1_006 } }))),
        ("longer than any", LIST, by(json!({ "durationMs": { "min": 900_000 } }))),
        ("how many failed", COUNT, by(json!({ "statuses": ["FAILED"] }))),
        ("how many of 30 days", COUNT, by(json!({ "createdAt": { "from": ago(30) } }))),
        ("longest", LIST, json!({ "order": "LONGEST" })),
        ("costliest", LIST, json!({ "order": "COSTLIEST" })),
        ("longest failures", LIST, json!({ "order": "LONGEST", "filter": { "statuses": ["FAILED"] } })),
        (
            "longest of a quick workflow",
            LIST,
            json!({ "order": "LONGEST", "filter": { "workflowIds": ["workflow 4"] } }),
        ),
        (
            "costliest of a project, failed",
            LIST,
            json!({ "order": "COSTLIEST", "filter": { "projectKeys": ["project 3"], "statuses": ["FAILED"] } }),
        ),
        (
            "longest of a project, failed",
            LIST,
            json!({ "order": "LONGEST", "filter": { "projectKeys": ["project 3"], "statuses": ["FAILED"] } }),
        ),
        (
            "of three workflows",
            LIST,
            by(json!({ "workflowIds": ["workflow 1", "workflow 2", "workflow 3"] })),
        ),
        (
            "longest, of two statuses",
            LIST,
            json!({ "order": "LONGEST", "filter": { "statuses": ["FAILED", "CANCELLED"] } }),
        ),
        (
            "costliest of three projects",
            LIST,
            json!({ "order": "COSTLIEST", "filter": { "projectKeys": ["project 1", "project 2", "project 3"] } }),
        ),
        ("longest of a quick agent", OF_AGENT, json!({ "order": "LONGEST" })),
        ("costliest of an agent", OF_AGENT, json!({ "order": "COSTLIEST" })),
        (
            "its longest failures",
            OF_AGENT,
            json!({ "order": "LONGEST", "filter": { "statuses": ["FAILED"] } }),
        ),
        ("word in all", LIST, by(json!({ "search": "nightly" }))),
        ("word in a seventh", LIST, by(json!({ "search": "compiler" }))),
        ("word in a thousandth", LIST, by(json!({ "search": "zanzibar" }))),
        ("word in none", LIST, by(json!({ "search": "nowhere" }))),
        (
            "word in all, in the middle",
            LIST,
            by(json!({ "search": "nightly", "createdAt": { "to": ago(180) } })),
        ),
        ("word in the oldest seventh", LIST, by(json!({ "search": "antique" }))),
        ("in all, oldest first", LIST, json!({ "filter": { "search": "nightly" }, "order": "OLDEST" })),
        ("in a seventh of the oldest", LIST, by(json!({ "search": "antique compiler" }))),
        ("in a thousandth of the oldest", LIST, by(json!({ "search": "zanzibar antique" }))),
        (
            "in a thousandth, oldest first",
            LIST,
            json!({ "filter": { "search": "zanzibar" }, "order": "OLDEST" }),
        ),
        ("stats of all time", STATS, json!({})),
        ("stats of 30 days", STATS, by(json!({ "from": ago(30) }))),
        ("stats of a workflow, 30 days", STATS, by(json!({ "workflowId": "workflow 3", "from": ago(30) }))),
        (
            "of a workflow and project, 30 days",
            STATS,
            by(json!({ "workflowId": "workflow 3", "projectKey": "project 4", "from": ago(30) })),
        ),
        (
            "of a workflow and owner, 30 days",
            STATS,
            by(json!({ "workflowId": "workflow 3", "ownerId": Team::OWNER, "from": ago(30) })),
        ),
        (
            "of a workflow and owner, all time",
            STATS,
            by(json!({ "workflowId": "workflow 3", "ownerId": Team::OWNER })),
        ),
    ] {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (client, times) in [small, large].into_iter().zip(&mut times) {
                let began = Instant::now();
                client.query(document, variables.clone()).await;
                times.push(began.elapsed());
            }
        }
        report(name, times);
    }
    for (name, search) in [
        ("second page", Value::Null),
        ("second page, word in a seventh", json!("compiler")),
        ("second page, word in a thousandth", json!("zanzibar")),
    ] {
        let mut times = [Vec::new(), Vec::new()];
        for (client, times) in [small, large].into_iter().zip(&mut times) {
            let mut variables = by(json!({ "search": search }));
            let first = client.query(LIST, variables.clone()).await;
            variables["after"] = first["executions"]["pageInfo"]["endCursor"].clone();
            for _ in 0..ROUNDS {
                let began = Instant::now();
                client.query(LIST, variables.clone()).await;
                times.push(began.elapsed());
            }
        }
        report(name, times);
    }
    let mut starts = [Vec::new(), Vec::new()];
    let mut ends = [Vec::new(), Vec::new()];
    for _ in 0..4 * ROUNDS {
        for (index, client) in [small, large].into_iter().enumerate() {
            let began = Instant::now();
            let id =
                id_of(&client.start(json!({ "name": "nightly build", "workflowId": "workflow 3" })).await);
            starts[index].push(began.elapsed());
            let began = Instant::now();
            client.complete(&id).await;
            ends[index].push(began.elapsed());
        }
    }
    report("start", starts);
    report("status change", ends);
    let mut waits = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS / 10 {
        for (client, times) in [small, large].into_iter().zip(&mut waits) {
            let new = || (0..1_000).map(|number| template(number, now, &Value::Null)).collect::<Vec<_>>();
            let record = async || client.record(json!(new())).await.expect("they are fine");
            tokio::join!(record(), record(), record(), record());
            let began = Instant::now();
            client.query(STATS, json!({})).await;
            times.push(began.elapsed());
        }
    }
    report("stats, 4,000 changes wait", waits);
}

fn report(name: &str, times: [Vec<Duration>; 2]) {
    let [small, large] = times;
    let ratio = quantile(&large, 0.5) / quantile(&small, 0.5);
    println!("  {name:34} {:9.2} {:9.2} {ratio:7.2}", quantile(&large, 0.5), quantile(&large, 0.95));
}

/// The loads of `speed` on both databases, which take turns.
async fn many_at_once(small: &Team, large: &Team) {
    println!(
        "  {:34} {:>9} {:>9} {:>9} {:>9} {:>7}",
        "32 at a time", "a second", "p50 ms", "p99 ms", "CPU µs", "ratio"
    );
    let small = Arc::new(Loads::new(data_of(small, TEMPLATE_SECONDS).await).await);
    let large = Arc::new(Loads::new(data_of(large, YEAR_SECONDS).await).await);
    for load in Load::ALL {
        let mut figures: [Vec<Figures>; 2] = Default::default();
        for _ in 0..rounds::ROUNDS {
            for (loads, figures) in [&small, &large].into_iter().zip(&mut figures) {
                let server = &loads.data.server;
                let askers = server_askers(server).await;
                figures.push(round(loads, load, load.requests(REQUESTS), askers, server).await);
            }
        }
        let [of_small, of_large] = figures;
        let rate = |figures: &Figures| figures.rate;
        println!(
            "  {:34} {:9.0} {:9.2} {:9.2} {:9.0} {:7.2}",
            load.name(),
            median(&of_large, rate),
            median(&of_large, |figures| figures.p50_ms),
            median(&of_large, |figures| figures.p99_ms),
            median(&of_large, |figures| figures.cpu_micros),
            median(&of_large, rate) / median(&of_small, rate)
        );
    }
}

/// A team's, as those loads take it, with executions from all of some time.
async fn data_of(team: &Team, seconds: u64) -> Arc<Data> {
    let agents = team.owner.query("{ codeAgents(first: 1) { nodes { id } } }", json!({})).await;
    let agent = id_of(&agents["codeAgents"]["nodes"][0]);
    let document = "query ($before: DateTime!) {
        executions(first: 20, filter: { createdAt: { to: $before } }) { nodes { id } } }";
    let now = runledger::clock::now();
    let mut templates = Vec::new();
    for part in 0..PARTS {
        let before = now - chrono::TimeDelta::seconds((seconds * part / PARTS).cast_signed());
        let page = team.owner.query(document, json!({ "before": before })).await;
        let nodes = page["executions"]["nodes"].as_array().expect("nodes are a list");
        templates.extend(nodes.iter().map(|node| Uuid::parse_str(&id_of(node)).expect("it is one")));
    }
    let token = Claims::member(Team::OWNER, &team.org).expiring_in(3_600).token();
    let agent = Uuid::parse_str(&agent).expect("it is one");
    let tenants = vec![Tenant { number: 0, id: format!("org:{}", team.org), token, agent }];
    Arc::new(Data { server: team.server.clone(), address: Address::of(&team.server), tenants, templates })
}

/// In milliseconds.
fn quantile(times: &[Duration], quantile: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[((times.len() - 1) as f64 * quantile) as usize].as_secs_f64() * 1e3
}

async fn export(backend: Backend, team: &Team, executions: usize) {
    let before = team.server.peak_memory_bytes();
    for format in ["csv", "ndjson"] {
        let began = Instant::now();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client needs nothing");
        let url = format!("{}/exports/executions.{format}", team.server.url());
        let token = team.owner.token().expect("it has one");
        let mut answer = http.get(url).bearer_auth(token).send().await.expect("it answers");
        let (mut bytes, mut lines) = (0, 0);
        while let Some(piece) = answer.chunk().await.expect("it is whole") {
            bytes += piece.len();
            lines += piece.iter().filter(|byte| **byte == b'\n').count();
        }
        assert!(lines >= executions, "{lines} lines");
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "  export {format}: {seconds:.1} s, {:.0} MiB, {:.0} a second",
            mebibytes(bytes),
            lines as f64 / seconds
        );
    }
    let more = team.server.peak_memory_bytes() - before;
    println!("  peak memory grew by {:.0} MiB", mebibytes(usize::try_from(more).expect("it fits")));
    if let (Backend::Postgres, Database::Postgres { superuser_url, .. }) = (backend, team.server.database()) {
        let mut database = sqlx::PgConnection::connect(superuser_url).await.expect("it is there");
        let began = Instant::now();
        let copy = "COPY (SELECT * FROM execution ORDER BY tenant_id, created_at DESC, id DESC) TO STDOUT (FORMAT csv, HEADER)";
        let pieces = database.copy_out_raw(copy).await.expect("it begins");
        let bytes = pieces.try_fold(0, async |sum, piece| Ok(sum + piece.len())).await.expect("it is whole");
        println!("  COPY: {:.1} s, {:.0} MiB", began.elapsed().as_secs_f64(), mebibytes(bytes));
    }
}

fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The oldest tenth goes while others read and append.
async fn deletion(team: &Team, executions: usize, alone: Duration) {
    let mut quiet = Others::of(team).await;
    for _ in 0..20 * ROUNDS {
        quiet.go_on().await;
    }
    let size_before = size(team).await;
    let delete = "mutation ($before: DateTime!) {
        deleteExecutions(filter: { createdAt: { to: $before } }) { deletedCount deletion { id } } }";
    let kept = chrono::TimeDelta::seconds((YEAR_SECONDS - YEAR_SECONDS / 10).cast_signed());
    let before = runledger::clock::now() - kept;
    let began = Instant::now();
    let data = team.owner.query(delete, json!({ "before": before })).await;
    let deletion = data["deleteExecutions"]["deletion"]["id"].clone();
    println!("  deleting {} began within {:.1} s", executions / 10, began.elapsed().as_secs_f64());
    let progress = "query ($id: ID!) { deletion(id: $id) { state deleted } }";
    let state = async || team.owner.query(progress, json!({ "id": deletion })).await["deletion"].take();
    let first = beside_others(team, &quiet, &state).await;
    let began = Instant::now();
    let more = loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let now = state().await;
        if now["state"] == "DONE" || began.elapsed() > alone {
            break now["deleted"].as_u64().expect("a number") - first;
        }
    };
    println!("  {more} in {:.0} s without others", began.elapsed().as_secs_f64());
    println!("  database {:.0} MiB before, {:.0} MiB after", size_before, size(team).await);
    // Of many, all are on the list by now.
    beside_others(team, &quiet, &state).await;
    println!("  database {:.0} MiB at last", size(team).await);
}

/// What others wait for while a deletion goes on; how many it has deleted by then.
async fn beside_others(team: &Team, quiet: &Others, state: &impl AsyncFn() -> Value) -> u64 {
    let mut busy = Others::of(team).await;
    let began = Instant::now();
    let deleted = loop {
        busy.go_on().await;
        let now = state().await;
        if now["state"] == "DONE" || began.elapsed() > DELETION_WATCHED_MAX {
            break now["deleted"].as_u64().expect("a number");
        }
    };
    println!(
        "  {deleted} deleted after another {:.0} s, of others meanwhile p50, p99 and its ratio to before:",
        began.elapsed().as_secs_f64()
    );
    for (name, quiet, busy) in
        [("read", &quiet.reads, &busy.reads), ("append", &quiet.appends, &busy.appends)]
    {
        let (before, meanwhile) = (quantile(quiet, 0.99), quantile(busy, 0.99));
        println!("    {name:8} {:9.2} ms {meanwhile:9.2} ms {:7.2}", quantile(busy, 0.5), meanwhile / before);
    }
    deleted
}

struct Others {
    client: Client,
    /// One that runs: what falls silent ends.
    execution: String,
    reads: Vec<Duration>,
    appends: Vec<Duration>,
}

impl Others {
    async fn of(team: &Team) -> Self {
        let (client, execution) = (team.owner.clone(), team.owner.start_any().await);
        Self { client, execution, reads: Vec::new(), appends: Vec::new() }
    }

    async fn go_on(&mut self) {
        let began = Instant::now();
        self.client.query(LIST, json!({})).await;
        self.reads.push(began.elapsed());
        let began = Instant::now();
        self.client.append(&self.execution, &[line("one more")]).await;
        self.appends.push(began.elapsed());
    }
}

/// Of the SQLite file, in mebibytes; PostgreSQL keeps the room for new rows.
async fn size(team: &Team) -> f64 {
    match team.server.database() {
        Database::Sqlite => {
            let file = std::fs::metadata(team.server.database_file()).expect("it is there");
            mebibytes(usize::try_from(file.len()).expect("it fits"))
        }
        Database::Postgres { superuser_url, .. } => {
            let mut database = sqlx::PgConnection::connect(superuser_url).await.expect("it is there");
            let row =
                sqlx::query("SELECT pg_database_size(current_database())").fetch_one(&mut database).await;
            let bytes: i64 = row.expect("it is known").get(0);
            mebibytes(usize::try_from(bytes).expect("it fits"))
        }
    }
}
