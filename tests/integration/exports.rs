//! Exports: everything that the list has, each execution once, in three formats, for whoever may see it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;

use runledger::domain::limits::EXPORT_FILTER_BYTES_MAX;
use serde_json::{Value, json};

use crate::harness::{Backend, Client, Downloaded, Server, Team, for_each_backend, get, runledger, unique};

for_each_backend!(
    what_is_no_export_is_refused,
    a_link_that_is_not_as_it_was_given_is_refused,
    a_link_that_has_expired_is_refused,
    an_export_has_everything_that_the_list_has,
    an_export_takes_the_filter_and_the_order_of_the_list,
    a_spreadsheet_calculates_nothing_that_a_caller_wrote,
    large_values_come_when_they_are_asked_for,
    an_execution_that_stays_comes_once_while_others_come_and_go,
    an_export_has_only_what_its_caller_may_see,
    a_link_sees_what_its_giver_sees_also_after_a_restart,
    the_command_writes_whole_files,
);

const FORMATS: [&str; 3] = ["csv", "json", "ndjson"];
/// More than one page of an export.
const MANY: usize = 2_500;

const LINK: &str = "mutation ($format: ExportFormat!, $filter: ExecutionFilter, $seconds: Int! = 60) {
    exportExecutions(format: $format, filter: $filter, expiresInSeconds: $seconds) { url expiresInSeconds }
}";

async fn what_is_no_export_is_refused(team: Team) {
    for (path, status, code, field) in [
        ("executions", 404, "NOT_FOUND", None),
        ("executions.xml", 404, "NOT_FOUND", None),
        ("logs.csv", 404, "NOT_FOUND", None),
        ("executions.csv?colour=red", 400, "BAD_INPUT", Some("colour")),
        ("executions.csv?order=LONGEST", 400, "BAD_INPUT", Some("order")),
        ("executions.csv?order=sideways", 400, "BAD_INPUT", Some("order")),
        ("executions.csv?include=logs", 400, "BAD_INPUT", Some("include.0")),
        ("executions.csv?filter=%7B", 400, "BAD_INPUT", Some("filter")),
        ("executions.csv?filter=%7B%22colour%22:1%7D", 400, "BAD_INPUT", Some("filter")),
        ("executions.csv?filter=%7B%7D&filter=%7B%7D", 400, "BAD_INPUT", Some("filter")),
        ("executions.csv?filter=%7B%22ids%22:%5B%22x%22%5D%7D", 400, "BAD_INPUT", Some("filter.ids.0")),
    ] {
        let answer = export(&team.owner, path).await;
        let error = refusal(&answer);
        assert_eq!(
            (answer.status, &error["code"], error["field"].as_str()),
            (status, &json!(code), field),
            "{path}"
        );
        assert!(error["requestId"].is_string(), "{path}");
    }
    let anonymous = export(&team.anonymous, "executions.csv").await;
    assert_eq!((anonymous.status, &refusal(&anonymous)["code"]), (401, &json!("UNAUTHENTICATED")));
    let expired = team.anonymous.with_token(Some(team.owner_claims().expiring_in(-1).token()));
    assert_eq!(export(&expired, "executions.csv").await.status, 401);

    let long = "x".repeat(250);
    let texts = vec![long; EXPORT_FILTER_BYTES_MAX.to_usize() / 250 + 1];
    let variables = json!({ "format": "CSV", "filter": { "workflowIds": texts } });
    let refusal = team.owner.refused(LINK, variables).await;
    assert_eq!((refusal.code(), refusal.field()), ("TOO_LARGE", Some("filter")));
    for seconds in [0, -1, 604_801] {
        let refusal = team.owner.refused(LINK, json!({ "format": "CSV", "seconds": seconds })).await;
        assert_eq!((refusal.code(), refusal.field()), ("BAD_INPUT", Some("expiresInSeconds")));
    }
}

async fn a_link_that_is_not_as_it_was_given_is_refused(team: Team) {
    let url = link(&team.owner, "CSV", json!(null)).await;
    let (address, token) = url.split_once("?token=").expect("a token");
    let middle = token.len() / 2;
    let other = if &token[middle..=middle] == "A" { "B" } else { "A" };
    let tampered = format!("{}{other}{}", &token[..middle], &token[middle + 1..]);
    for token in [&tampered, "", "a.b.c", team.owner.token().expect("it has one")] {
        let answer = get(&format!("{address}?token={token}"), &[]).await;
        assert_eq!((answer.status, &refusal(&answer)["code"]), (403, &json!("FORBIDDEN")), "{token}");
    }
    let of_a_log = {
        let id = team.owner.start_any().await;
        let document = "query ($id: ID!) { execution(id: $id) { logObject { download { url } } } }";
        let data = team.owner.query(document, json!({ "id": id })).await;
        data["execution"]["logObject"]["download"]["url"].as_str().expect("a link").to_owned()
    };
    let (_, token) = of_a_log.split_once("?token=").expect("a token");
    assert_eq!(get(&format!("{address}?token={token}"), &[]).await.status, 403, "a link to something else");
    assert_eq!(
        get(&url.replace(".csv", ".json"), &[]).await.status,
        404,
        "another format than was asked for"
    );
}

async fn a_link_that_has_expired_is_refused(team: Team) {
    let variables = json!({ "format": "CSV", "seconds": 1 });
    let data = team.owner.query(LINK, variables).await;
    let url = data["exportExecutions"]["url"].as_str().expect("a link").to_owned();
    let refused = async {
        while get(&url, &[]).await.status != 403 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    crate::harness::soon("the end of the link", refused).await;
}

async fn an_export_has_everything_that_the_list_has(team: Team) {
    record(&team.owner, MANY, "kept").await;
    team.stranger.start_any().await;
    let running = team.owner.start(json!({ "visual": { "enabled": true, "quality": "high" } })).await;
    let expected = team.owner.list().await;
    assert_eq!(expected.len(), MANY + 1);

    let json = rows(&export(&team.owner, "executions.json").await, "json");
    assert_eq!(json, rows(&export(&team.owner, "executions.ndjson").await, "ndjson"));
    let csv = rows(&export(&team.owner, "executions.csv").await, "csv");
    assert_eq!((json.len(), csv.len()), (expected.len(), expected.len()));
    for ((listed, json), csv) in expected.iter().zip(&json).zip(&csv) {
        for field in [
            "id",
            "name",
            "status",
            "mode",
            "workflowId",
            "ownerId",
            "costUsd",
            "durationMs",
            "tokens",
            "visual",
            "createdAt",
            "startedAt",
            "completedAt",
            "updatedAt",
        ] {
            assert_eq!(json[field], listed[field], "{field}");
        }
        for (column, listed) in [
            ("id", &listed["id"]),
            ("status", &listed["status"]),
            ("name", &listed["name"]),
            ("costUsd", &listed["costUsd"]),
            ("durationMs", &listed["durationMs"]),
            ("totalTokens", &listed["tokens"]["total"]),
            ("createdAt", &listed["createdAt"]),
            ("visualEnabled", &listed["visual"]["enabled"]),
        ] {
            let listed = match listed {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(csv[column], json!(listed), "{column}");
        }
    }
    assert_eq!(json[0]["id"], running["id"], "the newest comes first");
}

async fn an_export_takes_the_filter_and_the_order_of_the_list(team: Team) {
    record(&team.owner, 5, "one").await;
    record(&team.owner, 3, "two").await;
    let filter = json!({ "workflowIds": ["two"], "statuses": ["COMPLETED"] });
    for format in FORMATS {
        let url = link(&team.owner, &format.to_uppercase(), filter.clone()).await;
        let linked = rows(&get(&url, &[]).await, format);
        assert_eq!(linked.len(), 3, "{format}");
        let query: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("filter", filter.to_string().as_str()), ("order", "OLDEST")])
            .finish();
        let mut asked = rows(&export(&team.owner, &format!("executions.{format}?{query}")).await, format);
        asked.reverse();
        assert_eq!(asked, linked, "{format}");
    }
    let none = json!({ "workflowIds": [] });
    for format in FORMATS {
        let answer = get(&link(&team.owner, &format.to_uppercase(), none.clone()).await, &[]).await;
        assert_eq!((answer.status, rows(&answer, format).len()), (200, 0), "{format}");
    }
}

async fn a_spreadsheet_calculates_nothing_that_a_caller_wrote(team: Team) {
    for name in ["=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(1)", "a,\"b\"", "Grüße"] {
        team.owner.start(json!({ "name": name, "inputs": -5 })).await;
    }
    let answer = export(&team.owner, "executions.csv?include=inputs&order=OLDEST").await;
    assert!(answer.body.starts_with("\u{feff}id,name,".as_bytes()), "spreadsheets see that it is UTF-8");
    assert_eq!(answer.headers["content-disposition"], "attachment; filename=\"executions.csv\"");
    let rows = rows(&answer, "csv");
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["'=cmd|' /C calc'!A0", "'+1", "'-1+2", "'@SUM(1)", "a,\"b\"", "Grüße"]);
    assert_eq!(rows[0]["inputs"], "'-5");
}

async fn large_values_come_when_they_are_asked_for(team: Team) {
    // Together far more than is read at once.
    let large = "x".repeat(900_000);
    for number in 0..12 {
        let id = crate::harness::id_of(&team.owner.start(json!({ "inputs": { "number": number } })).await);
        let end = if number % 2 == 0 {
            json!({ "id": id, "status": "COMPLETED", "result": { "text": large, "n": 1.50 } })
        } else {
            json!({ "id": id, "status": "FAILED", "error": "line 1\nline 2" })
        };
        team.owner.finish(end).await.expect("it ends");
    }
    for format in ["json", "ndjson"] {
        let path = format!("executions.{format}?order=OLDEST&include=inputs,RESULT,error");
        let all = rows(&export(&team.owner, &path).await, format);
        assert_eq!(all.len(), 12);
        for (number, row) in all.iter().enumerate() {
            assert_eq!(row["inputs"], json!({ "number": number }));
            let (result, error) = if number % 2 == 0 {
                (json!({ "text": large, "n": 1.5 }), json!(null))
            } else {
                (json!(null), json!("line 1\nline 2"))
            };
            assert!(row["result"] == result && row["error"] == error, "{number}");
        }
        let slim = rows(&export(&team.owner, &format!("executions.{format}")).await, format);
        assert!(slim.iter().all(|row| row.get("inputs").is_none() && row.get("error").is_none()));
    }
    let csv = rows(&export(&team.owner, "executions.csv?include=error").await, "csv");
    assert!(csv.iter().any(|row| row["error"] == "line 1\nline 2") && csv[0].get("inputs").is_none());
}

async fn an_execution_that_stays_comes_once_while_others_come_and_go(team: Team) {
    record(&team.owner, MANY, "kept").await;
    let coming_and_going = async {
        loop {
            record(&team.owner, 100, "passing").await;
            let document =
                "mutation ($filter: ExecutionFilter!) { deleteExecutions(filter: $filter) { deletedCount } }";
            team.owner.query(document, json!({ "filter": { "workflowIds": ["passing"] } })).await;
        }
    };
    let exporting = async {
        for order in ["NEWEST", "OLDEST"] {
            for format in FORMATS {
                let path = format!("executions.{format}?order={order}");
                let rows = rows(&export(&team.owner, &path).await, format);
                let kept = rows.iter().filter(|row| row["workflowId"] == "kept");
                let ids: Vec<_> = kept.map(|row| row["id"].as_str().expect("an id").to_owned()).collect();
                let distinct: BTreeSet<_> = ids.iter().collect();
                assert_eq!((ids.len(), distinct.len()), (MANY, MANY), "{path}");
            }
        }
    };
    tokio::select! {
        () = coming_and_going => {}
        () = exporting => {}
    }
}

async fn an_export_has_only_what_its_caller_may_see(backend: Backend) {
    let server = Server::builder(backend).await.env("RUNLEDGER_OWNERSHIP", "user").start().await;
    let team = Team::of(&server);
    let mine = team.owner.start_any().await;
    let theirs = team.colleague.start_any().await;
    let foreign = team.stranger.start_any().await;
    for (client, expected) in [
        (&team.owner, vec![&mine]),
        (&team.colleague, vec![&theirs]),
        (&team.admin, vec![&mine, &theirs]),
        (&team.stranger, vec![&foreign]),
        (&team.service, vec![&mine, &theirs, &foreign]),
    ] {
        let asked = export(client, "executions.json?order=OLDEST").await;
        let url = link(client, "JSON", json!(null)).await;
        let mut linked = rows(&get(&url, &[]).await, "json");
        linked.reverse();
        for rows in [rows(&asked, "json"), linked] {
            let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().expect("an id")).collect();
            assert_eq!(ids, expected);
        }
    }
}

async fn a_link_sees_what_its_giver_sees_also_after_a_restart(backend: Backend) {
    let server = Server::builder(backend).await.start().await;
    let team = Team::of(&server);
    let url = link(&team.owner, "NDJSON", json!(null)).await;
    team.stranger.start_any().await;
    let id = team.owner.start_any().await;
    server.kill9();
    server.restart().await;
    let rows = rows(&get(&url, &[]).await, "ndjson");
    assert!(rows.len() == 1 && rows[0]["id"] == json!(id), "{rows:?}");
}

async fn the_command_writes_whole_files(team: Team) {
    record(&team.owner, 7, "seven").await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    for format in FORMATS {
        let name = format!("runs.{format}");
        let output = run(&team, folder.path(), &["--output", &name]).await;
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
        let written = fs::read(folder.path().join(&name)).expect("the file is there");
        assert_eq!(written, export(&team.owner, &format!("executions.{format}")).await.body);
    }
    let filter = r#"{"workflowIds":["seven"],"durationMs":{"max":2}}"#;
    let output =
        run(&team, folder.path(), &["--filter", filter, "--order", "oldest", "--include", "inputs,error"])
            .await;
    let lines: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a line is JSON"))
        .collect();
    assert!(lines.len() == 3 && lines[0].get("inputs").is_some(), "{output:?}");

    for (options, status, hint) in [
        (vec!["--filter", "{"], 2, "not JSON"),
        (vec!["--filter", r#"{"colour":1}"#], 1, "colour"),
        (vec!["--output", "no/such/folder.csv"], 1, "cannot be written"),
        (vec!["--format", "xml"], 2, "invalid value"),
    ] {
        let output = run(&team, folder.path(), &options).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(status) && said.contains(hint), "{options:?}: {said}");
    }
    assert_eq!(
        fs::read_dir(folder.path()).expect("it is there").count(),
        FORMATS.len(),
        "nothing half is left"
    );
}

async fn run(team: &Team, folder: &std::path::Path, options: &[&str]) -> Output {
    let mut command = runledger(folder);
    command.arg("export").args(options);
    command.env("RUNLEDGER_SERVER", team.server.url()).env("RUNLEDGER_TOKEN", team.owner_claims().token());
    tokio::process::Command::from(command).kill_on_drop(true).output().await.expect("it runs")
}

/// Finished executions that take 0, 1, 2 … milliseconds.
async fn record(client: &Client, count: usize, workflow_id: &str) {
    let all: Vec<_> = (0..count)
        .map(|number| {
            json!({
                "name": unique("run"), "status": "COMPLETED", "workflowId": workflow_id, "durationMs": number,
                "startedAt": "2026-01-01T00:00:00Z", "completedAt": "2026-01-01T00:00:09Z",
                "costUsd": "0.25", "tokens": { "input": number, "output": 1 }, "mode": "LOCAL_RUN",
            })
        })
        .collect();
    for some in all.chunks(1_000) {
        client.record(json!(some)).await.expect("they are fine");
    }
}

async fn export(client: &Client, path: &str) -> Downloaded {
    let url = format!("{}/exports/{path}", client.server().url());
    let authorization = client.token().map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
    get(&url, &headers).await
}

async fn link(client: &Client, format: &str, filter: Value) -> String {
    let data = client.query(LINK, json!({ "format": format, "filter": filter })).await;
    data["exportExecutions"]["url"].as_str().expect("a link").to_owned()
}

fn refusal(answer: &Downloaded) -> Value {
    let body: Value = serde_json::from_slice(&answer.body).expect("a refusal is JSON");
    body["errors"][0]["extensions"].clone()
}

/// The executions of an export, each as an object.
fn rows(answer: &Downloaded, format: &str) -> Vec<Value> {
    let text = std::str::from_utf8(&answer.body).expect("UTF-8");
    assert_eq!(answer.status, 200, "{text}");
    match format {
        "json" => serde_json::from_str(text).expect("a JSON list"),
        "ndjson" => text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect(),
        _ => {
            let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
            let columns = reader.headers().expect("a header").clone();
            let record = |record: csv::Result<csv::StringRecord>| {
                let record = record.expect("a record");
                columns
                    .iter()
                    .zip(record.iter())
                    .map(|(name, value)| (name.to_owned(), json!(value)))
                    .collect()
            };
            reader.records().map(record).collect()
        }
    }
}

impl Client {
    /// The whole history, newest first.
    async fn list(&self) -> Vec<Value> {
        let document = "query ($after: String) { executions(first: 200, after: $after) {
            nodes { id name status mode workflowId ownerId costUsd durationMs
                tokens { input cachedInput output total } createdAt startedAt completedAt updatedAt
                visual { enabled streaming quality sessionId eventsCaptured streamDurationMs } }
            pageInfo { hasNextPage endCursor } } }";
        let (mut rows, mut after) = (Vec::new(), json!(null));
        loop {
            let data = self.query(document, json!({ "after": after })).await;
            rows.extend(data["executions"]["nodes"].as_array().expect("a list").clone());
            if data["executions"]["pageInfo"]["hasNextPage"] == false {
                return rows;
            }
            after = data["executions"]["pageInfo"]["endCursor"].clone();
        }
    }
}
