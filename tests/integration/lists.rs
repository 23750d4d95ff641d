//! Lists of executions: every filter alone and together, every order, pages that neither skip nor repeat.

use std::collections::BTreeSet;

use runledger::domain::limits::{FILTER_MEMBERS_MAX, PAGE_ROWS_MAX};
use serde_json::{Value, json};

use crate::harness::{Client, Team, for_each_backend, id_of, one_over, unique};

for_each_backend!(
    a_page_that_cannot_be_is_refused,
    a_cursor_of_another_order_is_refused,
    a_filter_beyond_the_limits_is_refused,
    a_filter_gives_exactly_what_matches,
    filters_hold_together,
    each_order_sorts_by_its_key,
    pages_of_any_size_in_both_directions_make_up_the_list,
    pages_say_truthfully_whether_there_are_more,
    a_page_without_arguments_is_the_first_fifty,
    rows_that_are_added_or_removed_do_not_shift_the_next_page,
    counting_does_not_depend_on_the_page,
    active_executions_are_those_that_have_not_ended,
    projects_are_paged_too,
    plain_fields_alone_are_what_they_are_beside_others,
);

const EXECUTIONS: &str =
    "query ($filter: ExecutionFilter, $order: ExecutionOrder, $first: Int, $after: String,
                                 $last: Int, $before: String) {
    executions(filter: $filter, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
        edges { cursor node { id } }
        nodes { id status mode workflowId workflowRunId project { key } ownerId visual { enabled }
                createdAt completedAt durationMs tokens { total } costUsd }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        totalCount
    }
}";

const ORDERS: [&str; 4] = ["NEWEST", "OLDEST", "LONGEST", "COSTLIEST"];

async fn a_page_that_cannot_be_is_refused(team: Team) {
    for (arguments, code) in [
        (json!({ "first": 1, "last": 1 }), "BAD_INPUT"),
        (json!({ "first": -1 }), "BAD_INPUT"),
        (json!({ "last": -1 }), "BAD_INPUT"),
        (json!({ "first": one_over(PAGE_ROWS_MAX) }), "TOO_LARGE"),
        (json!({ "last": one_over(PAGE_ROWS_MAX) }), "TOO_LARGE"),
        (json!({ "first": 1, "after": "no cursor of ours" }), "BAD_INPUT"),
        (json!({ "last": 1, "before": "" }), "BAD_INPUT"),
    ] {
        let refusal = team.owner.refused(EXECUTIONS, arguments.clone()).await;
        assert_eq!(refusal.code(), code, "{arguments}");
        assert!(refusal.field().is_some(), "{arguments}: the refusal names the argument");
    }
}

async fn a_cursor_of_another_order_is_refused(team: Team) {
    team.owner.start_any().await;
    let newest = page(&team.owner, json!({ "order": "NEWEST", "first": 1 })).await;
    let after = &newest["pageInfo"]["endCursor"];
    let refusal = team.owner.refused(EXECUTIONS, json!({ "order": "LONGEST", "after": after })).await;
    assert_eq!((refusal.code(), refusal.field()), ("BAD_INPUT", Some("after")));
}

async fn a_filter_beyond_the_limits_is_refused(team: Team) {
    let many: Vec<_> = (0..one_over(FILTER_MEMBERS_MAX)).map(|number| number.to_string()).collect();
    for (filter, code) in [
        (json!({ "workflowIds": many }), "TOO_LARGE"),
        (json!({ "ids": ["not a UUID"] }), "BAD_INPUT"),
        (json!({ "statuses": ["SLEEPING"] }), "BAD_INPUT"),
        (json!({ "createdAt": { "from": "yesterday" } }), "BAD_INPUT"),
        (json!({ "costUsd": { "min": "cheap" } }), "BAD_INPUT"),
    ] {
        assert_eq!(
            team.owner.refused(EXECUTIONS, json!({ "filter": filter })).await.code(),
            code,
            "{filter}"
        );
    }
}

async fn a_filter_gives_exactly_what_matches(team: Team) {
    let all = fill(&team).await;
    for case in cases(&all) {
        check(&team.owner, &all, &[&case]).await;
    }
}

async fn filters_hold_together(team: Team) {
    let all = fill(&team).await;
    let cases = cases(&all);
    for (index, one) in cases.iter().enumerate() {
        for other in cases[..index].iter().filter(|other| other.field != one.field) {
            check(&team.owner, &all, &[one, other]).await;
        }
    }
}

async fn each_order_sorts_by_its_key(team: Team) {
    fill(&team).await;
    // An execution without a duration comes last in LONGEST, as if it were shorter than any.
    let sorted_by: [(&str, Key); 4] = [
        ("NEWEST", |node| -time(&node["createdAt"])),
        ("OLDEST", |node| time(&node["createdAt"])),
        ("LONGEST", |node| -node["durationMs"].as_i64().unwrap_or(-1)),
        ("COSTLIEST", |node| -microusd(node)),
    ];
    for (order, key) in sorted_by {
        let list = page(&team.owner, json!({ "order": order, "first": 200 })).await;
        assert!(list["nodes"].as_array().expect("nodes are a list").is_sorted_by_key(key), "{order}: {list}");
    }
}

async fn pages_of_any_size_in_both_directions_make_up_the_list(team: Team) {
    let all = fill(&team).await;
    for order in ORDERS {
        let whole = ids(&page(&team.owner, json!({ "order": order, "first": 200 })).await);
        assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), all.len(), "{order}: each row once");
        for rows in [1, 2, 7, all.len() - 1, all.len(), all.len() + 1] {
            assert_eq!(walk_forward(&team.owner, order, rows).await, whole, "{order}, {rows} rows, forward");
            assert_eq!(
                walk_backward(&team.owner, order, rows).await,
                whole,
                "{order}, {rows} rows, backward"
            );
        }
    }
}

async fn pages_say_truthfully_whether_there_are_more(team: Team) {
    for _ in 0..3 {
        team.owner.start_any().await;
    }
    let first = page(&team.owner, json!({ "first": 2 })).await;
    assert_eq!(
        (&first["pageInfo"]["hasPreviousPage"], &first["pageInfo"]["hasNextPage"]),
        (&json!(false), &json!(true))
    );
    let second = page(&team.owner, json!({ "first": 2, "after": first["pageInfo"]["endCursor"] })).await;
    assert_eq!(
        (&second["pageInfo"]["hasPreviousPage"], &second["pageInfo"]["hasNextPage"]),
        (&json!(true), &json!(false))
    );
    for list in [&first, &second] {
        let edges = list["edges"].as_array().expect("edges are a list");
        assert_eq!(edges[0]["cursor"], list["pageInfo"]["startCursor"]);
        assert_eq!(edges[edges.len() - 1]["cursor"], list["pageInfo"]["endCursor"]);
        assert_eq!(edges.iter().map(|edge| id_of(&edge["node"])).collect::<Vec<_>>(), ids(list));
    }
    for none in [json!({ "first": 0 }), json!({ "first": 2, "after": second["pageInfo"]["endCursor"] })] {
        let empty = page(&team.owner, none).await;
        assert_eq!(empty["nodes"], json!([]));
        assert_eq!(
            (&empty["pageInfo"]["startCursor"], &empty["pageInfo"]["endCursor"]),
            (&json!(null), &json!(null))
        );
    }
}

async fn a_page_without_arguments_is_the_first_fifty(team: Team) {
    let run = unique("run");
    let inputs: Vec<_> = (0..51).map(|_| recorded(&run, 1, "0")).collect();
    team.owner.record(json!(inputs)).await.expect("they are fine");
    let list = page(&team.owner, json!({})).await;
    assert_eq!(ids(&list).len(), 50);
    assert_eq!(list["totalCount"], 51);
}

async fn rows_that_are_added_or_removed_do_not_shift_the_next_page(team: Team) {
    for order in ["NEWEST", "OLDEST"] {
        let whole_before = {
            for _ in 0..6 {
                team.owner.start_any().await;
            }
            ids(&page(&team.owner, json!({ "order": order, "first": 200 })).await)
        };
        let first = page(&team.owner, json!({ "order": order, "first": 3 })).await;
        team.owner.start_any().await;
        // Even the row that the cursor is of.
        let delete = "mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }";
        team.owner.query(delete, json!({ "id": ids(&first)[2] })).await;
        let next =
            page(&team.owner, json!({ "order": order, "first": 3, "after": first["pageInfo"]["endCursor"] }))
                .await;
        assert_eq!(ids(&next), whole_before[3..6], "{order}");
    }
}

async fn counting_does_not_depend_on_the_page(team: Team) {
    for _ in 0..3 {
        team.owner.start_any().await;
    }
    for arguments in [json!({ "first": 0 }), json!({ "first": 1 }), json!({ "last": 2 }), json!({})] {
        assert_eq!(page(&team.owner, arguments).await["totalCount"], 3);
    }
}

async fn active_executions_are_those_that_have_not_ended(team: Team) {
    let mut active = BTreeSet::new();
    for status in ["QUEUED", "RUNNING"] {
        active.insert(id_of(&team.owner.start(json!({ "status": status })).await));
    }
    for status in ["COMPLETED", "FAILED", "CANCELLED"] {
        let id = team.owner.start_any().await;
        team.owner.finish(json!({ "id": id, "status": status })).await.expect("it is running");
    }
    team.stranger.start_any().await;

    let document = "query ($first: Int, $after: String) {
        activeExecutions(first: $first, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } totalCount }
    }";
    let first = &team.owner.query(document, json!({ "first": 1 })).await["activeExecutions"];
    assert_eq!((&first["totalCount"], &first["pageInfo"]["hasNextPage"]), (&json!(2), &json!(true)));
    let variables = json!({ "first": 1, "after": first["pageInfo"]["endCursor"] });
    let second = &team.owner.query(document, variables).await["activeExecutions"];
    assert_eq!(second["pageInfo"]["hasNextPage"], false);
    assert_eq!([ids(first), ids(second)].concat().into_iter().collect::<BTreeSet<_>>(), active);
}

async fn projects_are_paged_too(team: Team) {
    let keys: BTreeSet<_> = (0..5).map(|number| format!("project {number}")).collect();
    for key in &keys {
        team.owner.start(json!({ "projectKey": key })).await;
    }
    let document = "query ($first: Int, $after: String) {
        projects(first: $first, after: $after) { nodes { key } pageInfo { hasNextPage endCursor } totalCount }
    }";
    let mut seen = Vec::new();
    let mut variables = json!({ "first": 2 });
    loop {
        let list = &team.owner.query(document, variables.clone()).await["projects"];
        assert_eq!(list["totalCount"], 5);
        seen.extend(
            list["nodes"].as_array().expect("nodes are a list").iter().map(|node| text(&node["key"])),
        );
        if list["pageInfo"]["hasNextPage"] == false {
            break;
        }
        variables["after"] = list["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(seen.len(), 5);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), keys);
}

/// What a list is sorted by, smallest first.
type Key = fn(&Value) -> i64;

/// One field of the filter with a value, and what it must let through.
struct Case {
    field: &'static str,
    value: Value,
    matches: Box<dyn Fn(&Value) -> bool>,
}

fn case(field: &'static str, value: Value, matches: impl Fn(&Value) -> bool + 'static) -> Case {
    Case { field, value, matches: Box::new(matches) }
}

/// Cases for each field of `ExecutionFilter`, most of which match some of `all` and not others.
fn cases(all: &[Value]) -> Vec<Case> {
    let some_ids: Vec<_> = all.iter().step_by(3).map(id_of).collect();
    let created = &all[all.len() / 3]["createdAt"];
    let completed =
        &all.iter().find(|node| !node["completedAt"].is_null()).expect("some have ended")["completedAt"];
    let (wanted_ids, from, to, end) = (some_ids.clone(), time(created), time(created), time(completed));
    vec![
        case("ids", json!(some_ids), move |node| wanted_ids.contains(&id_of(node))),
        case("ids", json!([]), |_| false),
        case("statuses", json!(["FAILED"]), |node| node["status"] == "FAILED"),
        case("statuses", json!(["RUNNING", "QUEUED"]), |node| {
            node["status"] == "RUNNING" || node["status"] == "QUEUED"
        }),
        case("statuses", json!([]), |_| false),
        case("modes", json!(["LOCAL_RUN"]), |node| node["mode"] == "LOCAL_RUN"),
        case("workflowIds", json!(["build", "missing"]), |node| node["workflowId"] == "build"),
        case("workflowRunIds", json!(["build-1", "deploy-2"]), |node| {
            node["workflowRunId"] == "build-1" || node["workflowRunId"] == "deploy-2"
        }),
        case("projectKeys", json!(["website"]), |node| node["project"]["key"] == "website"),
        case("projectKeys", json!(["no such project"]), |_| false),
        case("ownerIds", json!([Team::COLLEAGUE]), |node| node["ownerId"] == Team::COLLEAGUE),
        case("visualOnly", json!(true), |node| node["visual"]["enabled"] == true),
        case("visualOnly", json!(false), |_| true),
        case("createdAt", json!({ "from": created }), move |node| time(&node["createdAt"]) >= from),
        case("createdAt", json!({ "to": created }), move |node| time(&node["createdAt"]) < to),
        case("createdAt", json!({}), |_| true),
        case("completedAt", json!({ "from": completed }), move |node| {
            !node["completedAt"].is_null() && time(&node["completedAt"]) >= end
        }),
        case("durationMs", json!({ "min": 2_000 }), |node| node["durationMs"].as_i64() >= Some(2_000)),
        case("durationMs", json!({ "max": 2_000 }), |node| {
            node["durationMs"].as_i64().is_some_and(|ms| ms <= 2_000)
        }),
        case("durationMs", json!({ "min": 1_000, "max": 3_000 }), |node| {
            node["durationMs"].as_i64().is_some_and(|ms| (1_000..=3_000).contains(&ms))
        }),
        case("totalTokens", json!({ "min": 5, "max": 20 }), |node| {
            (5..=20).contains(&node["tokens"]["total"].as_i64().expect("it is a number"))
        }),
        case("costUsd", json!({ "min": "0.5" }), |node| microusd(node) >= 500_000),
        case("costUsd", json!({ "min": "0.5", "max": "0.500000" }), |node| microusd(node) == 500_000),
    ]
}

/// Asks for what matches all of `cases`, and compares with what should.
async fn check(client: &Client, all: &[Value], cases: &[&Case]) {
    let filter: Value = cases.iter().map(|case| (case.field.to_owned(), case.value.clone())).collect();
    let list = page(client, json!({ "filter": filter, "first": 200 })).await;
    let expected: Vec<_> =
        all.iter().filter(|node| cases.iter().all(|case| (case.matches)(node))).map(id_of).collect();
    assert_eq!(ids(&list), expected, "{filter}");
    assert_eq!(list["totalCount"], expected.len(), "{filter}");
}

/// Fills a tenant with executions of all kinds, many of them alike in what lists are sorted by. All of them, newest
/// first.
async fn fill(team: &Team) -> Vec<Value> {
    team.owner
        .record(json!((0..8).map(|n| recorded("build-1", n % 3, "0.5")).collect::<Vec<_>>()))
        .await
        .expect("fine");
    for number in 0..24_i64 {
        let client = if number % 4 == 0 { &team.colleague } else { &team.owner };
        let started = client
            .start(json!({
                "status": if number % 6 == 5 { "QUEUED" } else { "RUNNING" },
                "mode": if number % 3 == 0 { "LOCAL_RUN" } else { "CLOUD_RUN" },
                "workflowId": (["build", "deploy"].get(number as usize % 3)),
                "workflowRunId": (["build-1", "deploy-2", "deploy-3"].get(number as usize % 4)),
                "projectKey": (["website", "backend"].get(number as usize % 3)),
                "visual": { "enabled": number % 5 == 0 },
            }))
            .await;
        if number % 2 == 0 {
            let status = ["COMPLETED", "FAILED", "CANCELLED"][number as usize % 3];
            let finish = json!({
                "id": started["id"], "status": status, "durationMs": number % 5 * 1_000,
                "costUsd": format!("0.{}", number % 7), "tokens": { "input": number, "output": number % 4 },
            });
            client.finish(finish).await.expect("it is running");
        }
    }
    team.stranger.start_any().await;
    let all = page(&team.owner, json!({ "first": 200 })).await;
    let nodes = all["nodes"].as_array().expect("nodes are a list").clone();
    assert_eq!(nodes.len(), 32, "the tenant's, and nobody else's");
    nodes
}

/// A finished execution to be recorded.
fn recorded(run: &str, seconds: i64, cost: &str) -> Value {
    json!({
        "status": "COMPLETED", "workflowRunId": run, "costUsd": cost, "durationMs": seconds * 1_000,
        "startedAt": "2026-11-20T10:00:00Z", "completedAt": format!("2026-11-20T10:00:0{seconds}Z"),
    })
}

async fn page(client: &Client, variables: Value) -> Value {
    client.query(EXECUTIONS, variables).await["executions"].take()
}

async fn walk_forward(client: &Client, order: &str, rows: usize) -> Vec<String> {
    let mut walked = Vec::new();
    let mut variables = json!({ "order": order, "first": rows });
    loop {
        let list = page(client, variables.clone()).await;
        walked.extend(ids(&list));
        if list["pageInfo"]["hasNextPage"] == false {
            return walked;
        }
        variables["after"] = list["pageInfo"]["endCursor"].clone();
    }
}

async fn walk_backward(client: &Client, order: &str, rows: usize) -> Vec<String> {
    let mut walked = Vec::new();
    let mut variables = json!({ "order": order, "last": rows });
    loop {
        let list = page(client, variables.clone()).await;
        walked.splice(0..0, ids(&list));
        if list["pageInfo"]["hasPreviousPage"] == false {
            return walked;
        }
        variables["before"] = list["pageInfo"]["startCursor"].clone();
    }
}

fn ids(list: &Value) -> Vec<String> {
    list["nodes"].as_array().expect("nodes are a list").iter().map(id_of).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("it is a text").to_owned()
}

/// Microseconds since 1970.
fn time(value: &Value) -> i64 {
    text(value).parse::<runledger::clock::Timestamp>().expect("it is RFC 3339").timestamp_micros()
}

fn microusd(node: &Value) -> i64 {
    text(&node["costUsd"]).replace('.', "").parse().expect("an amount has six decimals")
}

/// Rows of which only plain fields are selected are written another way; `heartbeatAt` is not plain.
async fn plain_fields_alone_are_what_they_are_beside_others(team: Team) {
    let owner = &team.owner;
    let project = unique("project \" \\ \u{1f980}");
    owner.start(json!({ "name": "quote \" backslash \\ \u{2028} é \u{1f980}", "mode": "CLOUD_RUN", "status": "QUEUED" })).await;
    owner.start(json!({ "mode": "LOCAL_RUN", "projectKey": project, "staleAfterSeconds": 7, "status": "RUNNING" })).await;
    owner
        .record(json!([{
            "status": "FAILED", "mode": "CLOUD_RUN", "workflowId": "w", "workflowRunId": "r", "costUsd": "0.012500",
            "tokens": { "input": 1_000_000_000_000_i64, "cachedInput": 2, "output": 3 }, "durationMs": 17,
            "startedAt": "2026-01-02T03:04:05.000001Z", "completedAt": "2026-01-02T03:04:06Z",
        }]))
        .await
        .expect("it is fine");
    let fields = "id status mode name workflowId workflowRunId projectKey ownerId costUsd durationMs createdAt startedAt
        completedAt updatedAt staleAfterSeconds revision __typename again: id ...More
        tokens { input cachedInput output total __typename } ... on Execution { s: status } ... { m: mode }
        skipped: name @skip(if: true) kept: name @include(if: true)";
    let document = |other: &str| {
        format!(
            "{{ executions {{ nodes {{ {fields} {other} }} edges {{ cursor __typename node {{ {fields} {other} }} }} }} }}
             fragment More on Execution {{ more: revision tokens {{ t: total }} }}"
        )
    };
    let alone = owner.query(&document(""), json!({})).await;
    let mut beside = owner.query(&document("heartbeatAt"), json!({})).await;
    forget(&mut beside, "heartbeatAt");
    assert_eq!(alone, beside);
    let nodes = alone["executions"]["nodes"].as_array().expect("it is a list");
    assert_eq!(nodes.len(), 3);
    for node in nodes {
        let document = |other: &str| {
            format!(
                "query ($id: ID!) {{ execution(id: $id) {{ id name tokens {{ total }} createdAt {other} }} }}"
            )
        };
        let id = json!({ "id": node["id"] });
        let alone = owner.query(&document(""), id.clone()).await;
        let mut beside = owner.query(&document("heartbeatAt"), id).await;
        forget(&mut beside, "heartbeatAt");
        assert_eq!(alone, beside);
        assert_eq!(alone["execution"]["name"], node["name"]);
    }
}

fn forget(value: &mut Value, field: &str) {
    match value {
        Value::Object(fields) => {
            fields.remove(field);
            fields.values_mut().for_each(|value| forget(value, field));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forget(item, field)),
        _ => {}
    }
}
