//! `/metrics`: what happens is counted, by Prometheus's conventions, and says nothing of anybody's data.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{
    Backend, Cloud, CloudKind, Server, Socket, Tail, Team, files, for_each_backend, get, lines, unique,
};

for_each_backend!(
    values_move_when_things_happen,
    no_label_has_anything_that_a_tenant_said,
    what_waits_for_a_storage_that_is_away_is_seen,
    a_token_is_asked_for_when_one_is_set,
    the_dashboard_shows_only_metrics_that_there_are,
);

/// Each series, such as `name{label="value"}`, and its value.
type Series = BTreeMap<String, f64>;

async fn text(server: &Server) -> String {
    let answer = get(&format!("{}/metrics", server.url()), &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    String::from_utf8(answer.body).expect("it is text")
}

async fn metrics(server: &Server) -> Series {
    let text = text(server).await;
    let series = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    series
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value follows a name");
            (name.to_owned(), value.parse().expect("it is a number"))
        })
        .collect()
}

/// Waits until metrics are so.
async fn until(server: &Server, what: &str, is_so: impl Fn(&Series) -> bool) -> Series {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let metrics = metrics(server).await;
        if is_so(&metrics) {
            return metrics;
        }
        assert!(Instant::now() < deadline, "{what}: {metrics:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The sum of the series of a metric whose labels have all of these.
fn sum(metrics: &Series, name: &str, labels: &[&str]) -> f64 {
    let is_of = |series: &str| {
        let rest = series.strip_prefix(name).unwrap_or("none");
        (rest.is_empty() || rest.starts_with('{')) && labels.iter().all(|label| rest.contains(label))
    };
    metrics.iter().filter(|(series, _)| is_of(series)).map(|(_, value)| value).sum()
}

/// A server that archives every second: on SQLite to its own disk, on PostgreSQL to S3, which must be held.
async fn server_on(backend: Backend) -> (Server, Option<Cloud>) {
    let (builder, cloud) = match backend {
        Backend::Sqlite => (Server::builder(backend).await, None),
        Backend::Postgres => {
            let cloud = Cloud::start(CloudKind::S3).await;
            (cloud.server(backend).await, Some(cloud))
        }
    };
    (builder.env("RUNLEDGER_LOG_FLUSH_INTERVAL_SECONDS", "1").start().await, cloud)
}

/// Does a little of everything; gives the words that were said.
async fn live(team: &Team) -> Vec<String> {
    let name = unique("secret-name");
    let document = format!(
        "mutation {} ($input: StartExecutionInput!) {{ startExecution(input: $input) {{ execution {{ id }} }} }}",
        name.replace('-', "_")
    );
    let input = json!({ "input": { "name": name, "projectKey": name } });
    let started = team.owner.query(&document, input).await;
    let id = started["startExecution"]["execution"]["id"].as_str().expect("it has one").to_owned();
    team.owner.append(&id, &lines(&name, 3)).await;
    team.owner.save(&name, &files(&[("a", b"b")])).await;
    let unknown = "query ($id: ID!) { generation(id: $id) { id } }";
    let _ = team.owner.try_query(unknown, json!({ "id": name })).await;
    team.owner.refused("query { nothingOfThisName }", json!({})).await;
    get(&format!("{}/{name}", team.server.url()), &[]).await;
    let socket = Socket::connect(&team.owner).await;
    let mut tail = Tail::open(&socket, json!({ "execution": id }));
    until(&team.server, "a subscription runs", |metrics| {
        sum(metrics, "runledger_subscriptions_open", &[]) == 1.0
    })
    .await;
    assert!(sum(&metrics(&team.server).await, "runledger_sockets_open", &[]) >= 1.0);
    team.owner.complete(&id).await;
    tail.rest().await;
    vec![name.clone(), name.replace('-', "_"), id, team.org.clone(), Team::OWNER.to_owned()]
}

async fn values_move_when_things_happen(backend: Backend) {
    let (server, _cloud) = server_on(backend).await;
    let team = Team::of(&server);
    let before = metrics(&server).await;
    for name in
        ["runledger_log_lines_appended_total", "runledger_objects_sent_total", "runledger_sockets_open"]
    {
        assert!(before.keys().any(|series| series.starts_with(name)), "{name} is there from the start");
        assert_eq!(sum(&before, name, &[]), 0.0, "{name}");
    }
    live(&team).await;
    let archived = |metrics: &Series| sum(metrics, "runledger_log_lines_archived_total", &[]) == 3.0;
    until(&server, "the lines are archived", archived).await;
    let closed = |metrics: &Series| sum(metrics, "runledger_sockets_open", &[]) == 0.0;
    let now = until(&server, "the socket is closed", closed).await;
    let is = |name: &str, labels: &[&str], value: f64| assert_eq!(sum(&now, name, labels), value, "{name}");
    is("runledger_log_lines_appended_total", &[], 3.0);
    is("runledger_subscriptions_open", &[], 0.0);
    is("runledger_graphql_operations_total", &["type=\"subscription\"", "outcome=\"ok\""], 1.0);
    is("runledger_graphql_operations_total", &["type=\"mutation\"", "outcome=\"ok\""], 4.0);
    is("runledger_graphql_operations_total", &["outcome=\"BAD_INPUT\""], 2.0);
    is("runledger_graphql_operation_duration_seconds_count", &["type=\"mutation\""], 4.0);
    is("runledger_http_requests_total", &["route=\"none\"", "status=\"404\""], 1.0);
    is("runledger_http_requests_total", &["route=\"/graphql\"", "status=\"101\""], 1.0);
    is("runledger_objects_sent_total", &["kind=\"log\""], 1.0);
    is("runledger_storage_failures_total", &[], 0.0);
    assert!(sum(&now, "runledger_log_bytes_appended_total", &[]) > 100.0);
    assert_eq!(
        sum(&now, "runledger_log_bytes_appended_total", &[]),
        sum(&now, "runledger_object_bytes_sent_total", &["kind=\"log\""]),
        "what was appended was sent"
    );
    for name in [
        "runledger_http_request_duration_seconds_count",
        "runledger_log_append_duration_seconds_sum",
        "runledger_storage_operation_duration_seconds_count",
        "runledger_database_connections",
        "process_cpu_seconds_total",
    ] {
        assert!(sum(&now, name, &[]) > 0.0, "{name}");
    }
    assert!(sum(&now, "process_resident_memory_bytes", &[]) > 1e6);
}

async fn no_label_has_anything_that_a_tenant_said(backend: Backend) {
    let (server, _cloud) = server_on(backend).await;
    let mut said = live(&Team::of(&server)).await;
    said.extend(live(&Team::of(&server)).await);
    let text = text(&server).await;
    for word in said {
        assert!(!text.contains(&word), "{word} in {text}");
    }
    for line in text.lines().filter(|line| !line.is_empty()) {
        let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
        assert!(name.starts_with("runledger_") || name.starts_with("process_"), "{line}");
    }
    let of_type: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    for name in of_type.iter().filter_map(|line| line.strip_suffix(" counter")) {
        assert!(name.ends_with("_total"), "{name}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} is explained");
    }
}

async fn what_waits_for_a_storage_that_is_away_is_seen(backend: Backend) {
    let cloud = Cloud::start(CloudKind::S3).await;
    let server = cloud.server(backend).await.env("RUNLEDGER_LOG_FLUSH_INTERVAL_SECONDS", "1").start().await;
    let team = Team::of(&server);
    cloud.front().go_away().await;
    let id = team.owner.start_any().await;
    team.owner.append(&id, &lines("waits", 10)).await;
    team.owner.save(&unique("project"), &files(&[("a", b"b")])).await;
    let waits = |metrics: &Series| {
        sum(metrics, "runledger_log_archive_lag_seconds", &[]) > 2.0
            && sum(metrics, "runledger_log_waiting_bytes", &[]) > 100.0
            && sum(metrics, "runledger_logs_waiting", &[]) == 1.0
            && sum(metrics, "runledger_jobs_waiting", &["kind=\"upload_generation\""]) == 1.0
            && sum(metrics, "runledger_jobs_total", &["kind=\"upload_generation\"", "outcome=\"failed\""])
                > 0.0
            && sum(metrics, "runledger_storage_failures_total", &["place=\"cloud\"", "operation=\"append\""])
                > 0.0
    };
    until(&server, "what waits is seen", waits).await;
    cloud.front().come_back().await;
    let is_done = |metrics: &Series| {
        sum(metrics, "runledger_log_archive_lag_seconds", &[]) == 0.0
            && sum(metrics, "runledger_log_waiting_bytes", &[]) == 0.0
            && sum(metrics, "runledger_jobs_waiting", &[]) == 0.0
            && sum(metrics, "runledger_jobs_total", &["outcome=\"done\""]) == 1.0
            && sum(metrics, "runledger_objects_sent_total", &["kind=\"generation\""]) == 1.0
    };
    until(&server, "nothing waits", is_done).await;
}

async fn a_token_is_asked_for_when_one_is_set(backend: Backend) {
    const TOKEN: &str = "a-token-for-metrics-only";
    let server = Server::builder(backend).await.env("RUNLEDGER_METRICS_TOKEN", TOKEN).start().await;
    let url = format!("{}/metrics", server.url());
    let bearer = format!("Bearer {TOKEN}");
    let of_a_member = format!("Bearer {}", Team::of(&server).owner.token().expect("it has one"));
    let wrong = ["Bearer a-token-for-metrics-onlY", "Bearer", "", TOKEN, &of_a_member];
    assert_eq!(get(&url, &[]).await.status, 401);
    for header in wrong {
        let answer = get(&url, &[("authorization", header)]).await;
        assert_eq!(answer.status, 401, "{header}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert!(!String::from_utf8_lossy(&answer.body).contains("runledger_http"));
    }
    let answer = get(&url, &[("authorization", &bearer)]).await;
    assert_eq!(answer.status, 200);
    assert!(String::from_utf8_lossy(&answer.body).contains("runledger_http_requests_total"));
}

/// The names of metrics in the queries of a dashboard.
fn named_in(dashboard: &Value, names: &mut BTreeSet<String>) {
    match dashboard {
        Value::Object(fields) => {
            if let Some(query) = fields.get("expr").and_then(Value::as_str) {
                let words = query.split(|character: char| !character.is_alphanumeric() && character != '_');
                let is_metric = |word: &&str| word.starts_with("runledger_") || word.starts_with("process_");
                names.extend(words.filter(is_metric).map(str::to_owned));
            }
            fields.values().for_each(|value| named_in(value, names));
        }
        Value::Array(values) => values.iter().for_each(|value| named_in(value, names)),
        _ => {}
    }
}

async fn the_dashboard_shows_only_metrics_that_there_are(backend: Backend) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/grafana/runledger.json");
    let dashboard = std::fs::read_to_string(path).expect("the dashboard is there");
    let mut shown = BTreeSet::new();
    named_in(&serde_json::from_str(&dashboard).expect("it is JSON"), &mut shown);
    assert!(shown.len() > 15, "it shows something: {shown:?}");

    let (server, _cloud) = server_on(backend).await;
    live(&Team::of(&server)).await;
    let there = until(&server, "the storage was used", |metrics| {
        sum(metrics, "runledger_storage_operation_duration_seconds_count", &[]) > 0.0
            && metrics.keys().any(|series| series.starts_with("runledger_jobs_waiting"))
    })
    .await;
    let there: BTreeSet<_> = there.keys().map(|series| series.split('{').next().unwrap_or(series)).collect();
    for name in shown {
        assert!(there.contains(name.as_str()), "{name} is no metric: {there:#?}");
    }
}
