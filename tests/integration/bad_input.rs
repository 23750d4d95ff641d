//! Whatever is sent, the answer is an error with a code, the server goes on, and nothing is half written.

use std::time::{Duration, Instant};

use runledger::domain::limits::{
    ERROR_TEXT_BYTES_MAX, GRAPHQL_DEPTH_MAX, HTTP_BODY_BYTES_MAX, PAYLOAD_JSON_BYTES_MAX,
    SHORT_TEXT_CHARS_MAX,
};
use serde_json::{Value, json};

use crate::harness::{Refusal, Socket, Team, for_each_backend, id_of, line, too_long};

for_each_backend!(
    a_body_that_is_no_request_is_refused,
    a_body_beyond_the_limit_is_refused,
    a_document_that_is_not_valid_is_refused,
    a_document_beyond_the_limits_is_refused_at_once,
    the_deepest_document_that_is_allowed_is_answered,
    variables_that_do_not_fit_are_refused,
    input_that_breaks_a_rule_is_refused_and_nothing_is_written,
    text_cannot_pass_for_json,
    a_batch_with_one_bad_member_writes_nothing,
    strange_texts_and_numbers_do_no_harm_to_reads,
    a_subscription_with_bad_arguments_is_refused,
);

/// An answer may take this long, whatever was sent.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

async fn a_body_that_is_no_request_is_refused(team: Team) {
    let bodies: [&[u8]; 16] = [
        b"",
        b"{",
        b"null",
        b"42",
        b"[]",
        br#"[{"query":"{ viewer { userId } }"}]"#,
        br#"{}"#,
        br#"{"query":null}"#,
        br#"{"query":""}"#,
        br#"{"query":7}"#,
        br#"{"query":"{ viewer { userId } }","variables":[]}"#,
        br#"{"query":"{ viewer { userId } }","variables":"x"}"#,
        br#"{"query":"{ viewer { userId } }","operationName":7}"#,
        br#"{"query":"{ viewer { userId } }","operationName":"missing"}"#,
        b"{\"query\":\"{ viewer { userId } }\",\"variables\":{\"x\":\"\xff\xfe\"}}",
        br#"{"query":"{ viewer { userId } }","variables":{"x":"\ud800"}}"#,
    ];
    for body in bodies {
        let refusal = team.owner.post(body).await.refusal();
        is_plain(&refusal, &["BAD_INPUT"], &String::from_utf8_lossy(body));
    }
    let deep = format!(
        r#"{{"query":"{{ viewer {{ userId }} }}","variables":{{"x":{}{}}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    is_plain(&team.owner.post(deep).await.refusal(), &["BAD_INPUT"], "deeply nested JSON");
}

async fn a_body_beyond_the_limit_is_refused(team: Team) {
    let body =
        json!({ "query": "{ viewer { userId } }", "variables": { "x": too_long(HTTP_BODY_BYTES_MAX) } });
    let refusal = team.owner.post(body.to_string()).await.refusal();
    is_plain(&refusal, &["TOO_LARGE"], "a long body");
    assert_eq!(refusal.status, 413);
}

async fn a_document_that_is_not_valid_is_refused(team: Team) {
    for document in [
        "{",
        "{ }",
        "viewer",
        "{ nothing }",
        "{ viewer }",
        "{ viewer { userId { x } } }",
        "{ viewer(of: 1) { userId } }",
        "{ execution { id } }",
        "{ execution(id: 7.5) { id } }",
        r#"{ execution(id: "x", id: "y") { id } }"#,
        "{ executions(first: \"ten\") { nodes { id } } }",
        "{ executions(orderBy: FASTEST) { nodes { id } } }",
        "{ executions(filter: { colour: RED }) { nodes { id } } }",
        "query ($x: Missing) { viewer { userId } }",
        "query { execution(id: $undeclared) { id } }",
        "query ($unused: Int) { viewer { userId } }",
        "query A { viewer { userId } } query B { viewer { userId } }",
        "{ ...Missing }",
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        "fragment A on Query { viewer { userId } }",
        "mutation { deleteEverything }",
        "subscription { executionsChanged { kind } }",
        "{ viewer { userId @include } }",
        "{ viewer { userId @unknown } }",
        "type Query { viewer: Int }",
        "{ viewer { userId } } \u{0}",
        "# only a comment",
    ] {
        is_plain(&team.owner.refused(document, json!({})).await, &["BAD_INPUT"], document);
    }
}

async fn a_document_beyond_the_limits_is_refused_at_once(team: Team) {
    let doubling: String = (0..40)
        .map(|n| format!("fragment F{n} on Query {{ ...F{next} ...F{next} }} ", next = n + 1))
        .collect();
    let nested = |levels: usize| "{ viewer ".repeat(levels) + &"}".repeat(levels);
    let documents = [
        (
            "nested fragments",
            format!("{{ ...F0 }} {doubling} fragment F40 on Query {{ viewer {{ userId }} }}"),
            "TOO_COMPLEX",
        ),
        ("1,000 aliases", aliases(1_000), "TOO_COMPLEX"),
        ("10,000 aliases", aliases(10_000), "TOO_LARGE"),
        ("a long document", format!("{{ viewer {{ userId }} }} #{}", "x".repeat(40_000)), "TOO_LARGE"),
        ("100 root fields", format!("{{ {} }}", "viewer { userId } ".repeat(100)), "TOO_COMPLEX"),
        (
            "100 directives",
            format!("{{ viewer {{ userId {} }} }}", "@include(if: true) ".repeat(100)),
            "TOO_COMPLEX",
        ),
        (
            "100 operations",
            (0..100).map(|n| format!("query Q{n} {{ viewer {{ userId }} }} ")).collect(),
            "TOO_COMPLEX",
        ),
        ("introspection, nested", introspection(12), "TOO_COMPLEX"),
        ("3,000 levels", nested(3_000), "BAD_INPUT TOO_COMPLEX"),
        (
            "10,000 brackets",
            format!("{{ execution(id: {}1{}) {{ id }} }}", "[".repeat(10_000), "]".repeat(10_000)),
            "BAD_INPUT TOO_COMPLEX",
        ),
    ];
    for (name, document, codes) in documents {
        let started = Instant::now();
        let body = json!({ "query": document, "operationName": name.contains("operations").then_some("Q1") });
        let refusal = team.owner.post(body.to_string()).await.refusal();
        is_plain(&refusal, &codes.split(' ').collect::<Vec<_>>(), name);
        assert!(started.elapsed() < ANSWER_TIME_MAX, "{name} took {:?}", started.elapsed());
    }
}

async fn the_deepest_document_that_is_allowed_is_answered(team: Team) {
    let create = "mutation { createCodeAgent(input: { name: \"deep\", language: \"json\", source: \"[]\" }) { codeAgent { id } } }";
    let agent = team.owner.query(create, json!({})).await["createCodeAgent"]["codeAgent"]["id"].clone();
    let id = id_of(&team.owner.start(json!({ "codeAgentId": agent })).await);
    // Three levels a turn.
    let turns = GRAPHQL_DEPTH_MAX.to_usize() / 3 - 1;
    let leaf = "executions(first: 1) { nodes { id } }".to_owned();
    let deep = (0..turns).fold(leaf, |below, _| {
        format!("executions(first: 1) {{ nodes {{ id inputs visual {{ enabled }} codeAgent {{ name {below} }} }} }}")
    });
    let mut answer = team.owner.query(&format!("{{ {deep} }}"), json!({})).await;
    for _ in 0..turns {
        answer = answer["executions"]["nodes"][0]["codeAgent"].take();
    }
    assert_eq!(answer["executions"]["nodes"][0]["id"], json!(id));
}

async fn variables_that_do_not_fit_are_refused(team: Team) {
    let document = "query ($id: ID!, $first: Int, $filter: ExecutionFilter, $from: DateTime) {
        execution(id: $id) { id }
        executions(first: $first, filter: $filter) { nodes { id } }
        created: executions(filter: { createdAt: { from: $from } }) { nodes { id } }
    }";
    let id = runledger::clock::new_id();
    // Its text is known to be valid from here on.
    team.owner.query(document, json!({ "id": id })).await;
    for (number, variables) in [
        json!({}),
        json!({ "id": null }),
        json!({ "id": { "x": 1 } }),
        json!({ "id": "not a UUID" }),
        json!({ "id": "" }),
        json!({ "id": format!("{id}0") }),
        json!({ "id": id, "first": "ten" }),
        json!({ "id": id, "first": 1.5 }),
        json!({ "id": id, "first": 4_294_967_296_i64 }),
        json!({ "id": id, "filter": [] }),
        json!({ "id": id, "filter": { "colour": "RED" } }),
        json!({ "id": id, "filter": { "statuses": [null] } }),
        json!({ "id": id, "filter": { "visualOnly": "yes" } }),
        json!({ "id": id, "filter": { "durationMs": { "min": 1.5 } } }),
        json!({ "id": id, "filter": { "durationMs": { "min": 18_446_744_073_709_551_615_u64 } } }),
        json!({ "id": id, "from": "2026-13-01T00:00:00Z" }),
        json!({ "id": id, "from": "2026-11-21" }),
        json!({ "id": id, "from": 1_763_700_000 }),
    ]
    .into_iter()
    .enumerate()
    {
        let refusal = team.owner.refused(document, variables.clone()).await;
        is_plain(&refusal, &["BAD_INPUT"], &variables.to_string());
        let new = format!("{document} # {number}");
        let of_new = team.owner.refused(&new, variables.clone()).await;
        assert_eq!(said(&refusal), said(&of_new), "a known document and a new one: {variables}");
    }
}

/// A refusal without what is different every time.
fn said(refusal: &Refusal) -> (u16, Vec<Value>) {
    let mut errors = refusal.errors.clone();
    for error in &mut errors {
        error["extensions"]["requestId"].take();
    }
    (refusal.status, errors)
}

async fn input_that_breaks_a_rule_is_refused_and_nothing_is_written(team: Team) {
    let running = team.owner.start_any().await;
    let before = team.owner.execution(&running).await;
    let long = too_long(SHORT_TEXT_CHARS_MAX);
    let huge = too_long(PAYLOAD_JSON_BYTES_MAX);
    let starts = [
        (json!({ "name": "nul \u{0} byte" }), "BAD_INPUT"),
        (json!({ "name": "" }), "BAD_INPUT"),
        (json!({ "name": long }), "TOO_LARGE"),
        (json!({ "workflowId": "line\nbreak" }), "BAD_INPUT"),
        (json!({ "workflowRunId": "\u{0}" }), "BAD_INPUT"),
        (json!({ "projectKey": "\u{0}" }), "BAD_INPUT"),
        (json!({ "projectKey": long }), "TOO_LARGE"),
        (json!({ "id": "not a UUID" }), "BAD_INPUT"),
        (json!({ "status": "COMPLETED" }), "BAD_INPUT"),
        (json!({ "mode": "ON_MARS" }), "BAD_INPUT"),
        (json!({ "inputs": huge }), "TOO_LARGE"),
        (json!({ "startedAt": "yesterday" }), "BAD_INPUT"),
        (json!({ "visual": { "eventsCaptured": -1 } }), "BAD_INPUT"),
        (json!({ "visual": { "quality": "\u{0}" } }), "BAD_INPUT"),
        (json!({ "onBehalfOf": { "userId": "\u{0}" } }), "FORBIDDEN BAD_INPUT"),
        (json!({ "surprise": true }), "BAD_INPUT"),
        (json!(null), "BAD_INPUT"),
    ];
    for (input, codes) in starts {
        refuse(&team, "startExecution", "StartExecutionInput", input, codes).await;
    }
    let finishes = [
        (json!({ "error": "nul \u{0} byte", "status": "FAILED" }), "BAD_INPUT"),
        (json!({ "error": too_long(ERROR_TEXT_BYTES_MAX), "status": "FAILED" }), "TOO_LARGE"),
        (json!({ "result": huge, "status": "COMPLETED" }), "TOO_LARGE"),
        (json!({ "durationMs": -1, "status": "COMPLETED" }), "BAD_INPUT"),
        (json!({ "tokens": { "input": i64::MAX }, "status": "COMPLETED" }), "BAD_INPUT TOO_LARGE"),
        (json!({ "costUsd": "99999999999", "status": "COMPLETED" }), "BAD_INPUT TOO_LARGE"),
        (json!({ "status": null }), "BAD_INPUT"),
        (json!({}), "BAD_INPUT"),
    ];
    for (mut input, codes) in finishes {
        input["id"] = json!(running);
        refuse(&team, "finishExecution", "FinishExecutionInput", input, codes).await;
    }
    assert_eq!(team.owner.execution(&running).await, before);
    let count = &team.owner.query("{ executions { totalCount } projects { totalCount } }", json!({})).await;
    assert_eq!(*count, json!({ "executions": { "totalCount": 1 }, "projects": { "totalCount": 0 } }));
}

/// A library of the server's writes what is below this key without quotes.
async fn text_cannot_pass_for_json(team: Team) {
    let id = team.owner.start_any().await;
    let before = team.owner.execution(&id).await;
    let disguised = json!({ "$serde_json::private::RawValue": "{\"type\":4,\n\"timestamp\":1}" });
    let now = "2026-11-20T10:00:00Z";
    let line = json!({ "timestamp": now, "level": "INFO", "message": "x", "fields": { "deep": disguised } });
    let ended = json!({ "id": runledger::clock::new_id(), "status": "COMPLETED", "startedAt": now,
                        "completedAt": now, "inputs": { "beside": 1, "it": disguised } });
    for (input_type, field, input) in [
        ("StartExecutionInput", "startExecution", json!({ "name": "x", "inputs": disguised })),
        (
            "FinishExecutionInput",
            "finishExecution",
            json!({ "id": id, "status": "COMPLETED", "result": [disguised] }),
        ),
        ("[RecordExecutionInput!]", "recordExecutions", json!([ended])),
        ("AppendLogsInput", "appendLogs", json!({ "executionId": id, "lines": [line] })),
        (
            "AppendVisualEventsInput",
            "appendVisualEvents",
            json!({ "executionId": id, "events": [disguised] }),
        ),
    ] {
        let argument = if input.is_array() { "inputs" } else { "input" };
        let document =
            format!("mutation ($input: {input_type}!) {{ {field}({argument}: $input) {{ __typename }} }}");
        let refusal = team.owner.refused(&document, json!({ "input": input })).await;
        is_plain(&refusal, &["BAD_INPUT"], field);
        assert!(refusal.errors[0]["message"].to_string().contains("RawValue"), "{field}: {refusal:?}");
    }
    assert_eq!(team.owner.execution(&id).await, before);
}

async fn a_batch_with_one_bad_member_writes_nothing(team: Team) {
    let good = json!({ "id": runledger::clock::new_id(), "status": "COMPLETED", "projectKey": "new",
                       "startedAt": "2026-11-20T10:00:00Z", "completedAt": "2026-11-20T10:00:01Z" });
    let with = |field: &str, value: Value| {
        let mut bad = good.clone();
        bad["id"] = json!(runledger::clock::new_id());
        bad[field] = value;
        bad
    };
    for (bad, codes) in [
        (with("name", json!("\u{0}")), "BAD_INPUT"),
        (with("costUsd", json!("-1")), "BAD_INPUT"),
        (with("id", json!("x")), "BAD_INPUT"),
        (with("id", good["id"].clone()), "BAD_INPUT CONFLICT"),
        (with("result", json!(too_long(PAYLOAD_JSON_BYTES_MAX))), "TOO_LARGE"),
    ] {
        let refusal = team.owner.record(json!([good, bad])).await.expect_err("one is bad");
        is_plain(&refusal, &codes.split(' ').collect::<Vec<_>>(), codes);
    }
    let count = &team.owner.query("{ executions { totalCount } projects { totalCount } }", json!({})).await;
    assert_eq!(*count, json!({ "executions": { "totalCount": 0 }, "projects": { "totalCount": 0 } }));
}

/// What no row can hold must not reach the database as a fault of its own.
async fn strange_texts_and_numbers_do_no_harm_to_reads(team: Team) {
    let id = team.owner.start_any().await;
    team.owner.append(&id, &[line("a line")]).await;
    let document = "query ($id: ID!, $text: String!, $texts: [String!]!, $number: BigInt!, $time: DateTime!) {
        workflowRun(id: $text) { id }
        byText: executions(filter: { workflowIds: $texts, ownerIds: $texts, projectKeys: $texts }) { totalCount }
        byNumber: executions(filter: { durationMs: { min: $number }, totalTokens: { max: $number } }) { totalCount }
        byTime: executions(filter: { createdAt: { from: $time }, completedAt: { to: $time } }) { totalCount }
        execution(id: $id) { logs(filter: { search: $text, stream: $text }) { totalCount } }
    }";
    let megabyte = "x".repeat(1024 * 1024);
    for text in [
        "",
        " ",
        "\u{0}",
        "a\u{0}b",
        "\u{fffe}\u{10ffff}",
        "'; DROP TABLE execution; --",
        "%_\\",
        "{}",
        &megabyte,
    ] {
        let variables =
            json!({ "id": id, "text": text, "texts": [text], "number": 0, "time": "2026-11-21T00:00:00Z" });
        harmless(team.owner.try_query(document, variables).await, text);
    }
    for number in [i64::MIN, -1, 0, i64::MAX] {
        let variables =
            json!({ "id": id, "text": "x", "texts": [], "number": number, "time": "2026-11-21T00:00:00Z" });
        harmless(team.owner.try_query(document, variables).await, &number.to_string());
    }
    for time in [
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:60Z",
        "-262143-01-01T00:00:00Z",
        "+262142-12-31T23:59:59.999999999Z",
    ] {
        let variables = json!({ "id": id, "text": "x", "texts": [], "number": 0, "time": time });
        harmless(team.owner.try_query(document, variables).await, time);
        let line = json!({ "message": "m", "timestamp": time });
        harmless(team.owner.try_append(&id, &[line], None).await, time);
        harmless(team.stranger.try_query(START, json!({ "input": { "startedAt": time } })).await, time);
    }
    let pages = "query ($id: ID!, $cursor: String!) {
        executions(after: $cursor) { totalCount }
        projects(before: $cursor) { totalCount }
        execution(id: $id) { logs(after: $cursor) { totalCount } }
    }";
    for cursor in ["", "\u{0}", "AAAA", "====", "////", "LTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ", &megabyte] {
        harmless(team.owner.try_query(pages, json!({ "id": id, "cursor": cursor })).await, cursor);
    }
}

async fn a_subscription_with_bad_arguments_is_refused(team: Team) {
    let id = team.owner.start_any().await;
    let socket = Socket::connect(&team.owner).await;
    for arguments in [
        r#"executionId: "x""#.to_owned(),
        format!(r#"executionId: "{id}" fromSeq: -1"#),
        format!(r#"executionId: "{id}" last: -1"#),
        format!(r#"executionId: "{id}" fromSeq: "first""#),
        format!(r#"executionId: "{id}" filter: {{ levels: [LOUD] }}"#),
        format!(r#"executionId: "{id}" colour: RED"#),
    ] {
        let document = format!("subscription {{ logTail({arguments}) {{ nextSeq }} }}");
        let refusal = socket.subscribe(&document, json!({})).refused().await;
        is_plain(&refusal, &["BAD_INPUT"], &arguments);
    }
    let mut fine =
        socket.subscribe("subscription ($id: ID!) { executionChanged(id: $id) { id } }", json!({ "id": id }));
    assert_eq!(fine.next().await["executionChanged"]["id"], json!(id), "the socket goes on");
}

const START: &str = "mutation ($input: StartExecutionInput!) { startExecution(input: $input) { created } }";

async fn refuse(team: &Team, mutation: &str, input_type: &str, input: Value, codes: &str) {
    let document =
        format!("mutation ($input: {input_type}!) {{ {mutation}(input: $input) {{ execution {{ id }} }} }}");
    let mut shown = input.to_string();
    shown.truncate(200);
    let refusal = team.owner.refused(&document, json!({ "input": input })).await;
    is_plain(&refusal, &codes.split(' ').collect::<Vec<_>>(), &shown);
}

/// Checks that a refusal has one of `codes` and what else clients rely on, and nothing that is not for them.
fn is_plain(refusal: &Refusal, codes: &[&str], of: &str) {
    assert!(codes.contains(&refusal.code()), "{of}: {codes:?} was due: {refusal:?}");
    assert!(refusal.errors.len() <= 25, "{of}: {} errors", refusal.errors.len());
    for error in &refusal.errors {
        let extensions = &error["extensions"];
        assert_eq!(extensions["retryable"], false, "{of}: {error}");
        assert!(extensions["requestId"].is_string(), "{of}: {error}");
        let message = error["message"].as_str().expect("an error has a message");
        assert!(!message.is_empty() && message.len() < 2_000, "{of}: {message}");
    }
}

/// Checks that there was an answer, or a refusal that is the caller's own fault.
fn harmless(answer: Result<Value, Refusal>, of: &str) {
    if let Err(refusal) = answer {
        let of: String = of.chars().take(50).collect();
        is_plain(&refusal, &["BAD_INPUT", "TOO_LARGE"], &of);
    }
}

fn aliases(count: usize) -> String {
    let fields: String = (0..count).map(|n| format!("a{n}:__typename ")).collect();
    format!("{{ {fields} }}")
}

/// A walk around the circle of types and fields.
fn introspection(turns: usize) -> String {
    format!(
        "{{ __schema {{ types {{ {} name {} }} }} }}",
        "fields { type { ".repeat(turns),
        "} }".repeat(turns)
    )
}
