//! Pages of a history that is too long to be gone through: whichever way they are found, they have exactly what matches.

use std::cmp::Reverse;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::{Backend, Client, Server, Team, for_each_backend, id_of};

for_each_backend!(
    pages_of_a_long_history_have_exactly_what_matches,
    pages_of_ones_own_long_history_have_exactly_what_matches,
);

/// More than are counted of what meets a condition, of each of two kinds.
const EXECUTIONS: i64 = 15_000;
const PAGE: usize = 20;
/// So many have the old ones, at least, and the new ones fewer.
const OLD_TOKENS: i64 = 2_000;

const LIST: &str = "query ($filter: ExecutionFilter, $order: ExecutionOrder, $first: Int, $after: String,
                                 $last: Int, $before: String) {
    executions(filter: $filter, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
        nodes { id name status mode workflowId createdAt completedAt durationMs tokens { total } costUsd codeAgent { id } }
        pageInfo { hasNextPage hasPreviousPage endCursor }
    }
}";

const COUNT: &str = "query ($filter: ExecutionFilter, $order: ExecutionOrder) {
    executions(filter: $filter, orderBy: $order, first: 0) { totalCount pageInfo { hasNextPage } }
}";

/// A filter, and what it must let through.
type Case = (Value, Box<dyn Fn(&Value) -> bool>);

async fn pages_of_a_long_history_have_exactly_what_matches(team: Team) {
    have_exactly_what_matches(&team).await;
}

/// Of members who see no others'.
async fn pages_of_ones_own_long_history_have_exactly_what_matches(backend: Backend) {
    let server = Server::builder(backend).await.env("RUNLEDGER_OWNERSHIP", "user").start().await;
    let team = Team::of(&server);
    let agent = team.colleague.new_code_agent("quick", "{}").await;
    let agent = agent.as_str().expect("it has an id");
    let others: Vec<_> = (0..1_000).map(|number| recorded(number, agent, runledger::clock::now())).collect();
    team.colleague.record(json!(others)).await.expect("they are fine");
    have_exactly_what_matches(&team).await;
}

async fn have_exactly_what_matches(team: &Team) {
    let now = runledger::clock::now().trunc_subsecs(0);
    let agent = team.owner.new_code_agent("quick", "{}").await;
    let agent = agent.as_str().expect("it has an id");
    fill(&team.owner, agent, now).await;
    let all = everything(&team.owner).await;
    assert_eq!(all.len() as i64, EXECUTIONS + 1);
    for order in ["NEWEST", "OLDEST", "LONGEST", "COSTLIEST"] {
        let sorted = sorted(&all, order);
        for (filter, matches) in cases(agent, now) {
            let expected: Vec<_> = sorted.iter().filter(|node| matches(node)).map(id_of).collect();
            check(&team.owner, &filter, order, &expected).await;
        }
    }
}

/// From both ends, on to the third page, and back from there.
async fn check(client: &Client, filter: &Value, order: &str, expected: &[String]) {
    let (mut after, mut before) = (Value::Null, None);
    for (number, page) in expected.chunks(PAGE).chain([&[][..]]).take(3).enumerate() {
        if number > 0 && after.is_null() {
            break;
        }
        let asked = json!({ "filter": filter, "order": order, "first": PAGE, "after": after });
        let found = list(client, asked).await;
        assert_eq!(ids(&found), page, "{order} {filter}, page {number}");
        let is_last = (number + 1) * PAGE >= expected.len();
        if number == 1 && page.len() == PAGE {
            before = Some(found["pageInfo"]["endCursor"].clone());
        }
        assert_eq!(found["pageInfo"]["hasNextPage"], !is_last, "{order} {filter}, page {number}");
        after = if is_last { Value::Null } else { found["pageInfo"]["endCursor"].clone() };
    }
    if let Some(place) = before {
        let asked = json!({ "filter": filter, "order": order, "last": PAGE, "before": place });
        let back = list(client, asked).await;
        assert_eq!(ids(&back), &expected[PAGE - 1..2 * PAGE - 1], "{order} {filter}, back");
    }
    let counted = client.query(COUNT, json!({ "filter": filter, "order": order })).await;
    assert_eq!(counted["executions"]["totalCount"], expected.len(), "how many are {filter}");
    assert_eq!(
        counted["executions"]["pageInfo"]["hasNextPage"],
        !expected.is_empty(),
        "whether any is {filter}"
    );
    let found = list(client, json!({ "filter": filter, "order": order, "last": PAGE })).await;
    assert_eq!(ids(&found), &expected[expected.len().saturating_sub(PAGE)..], "the end of {order} {filter}");
    assert_eq!(found["pageInfo"]["hasPreviousPage"], expected.len() > PAGE, "the end of {order} {filter}");
}

/// Many of one kind, then many of another, and few of others among them. Those of the code agent are shorter than others.
fn recorded(number: i64, agent: &str, now: DateTime<Utc>) -> Value {
    let is_old = number >= EXECUTIONS / 2;
    let is_of_agent = number % 2 == 0;
    let started = now - TimeDelta::seconds(60 * (number + 1));
    let minutes = if number % 4_000 == 7 { 24 * 60 } else { number % 50 };
    json!({
        "name": match number {
            _ if is_old => "zz old",
            _ if number % 40 == 3 => "zz late, seldom",
            _ if number % 1_500 == 5 => "zz late, rare",
            _ => "zz late",
        },
        "mode": if number % 3_000 == 2_999 { "CLOUD_RUN" } else { "LOCAL_RUN" },
        "status": if is_old == (number % 500 == 499) { "COMPLETED" } else { "FAILED" },
        "codeAgentId": is_of_agent.then_some(agent),
        "workflowId": if is_old { "old" } else { "new" },
        "startedAt": started, "completedAt": started + TimeDelta::minutes(minutes),
        "durationMs": match number {
            _ if number % 4_000 == 1 => 900_000 + number,
            _ if is_of_agent => number % 70,
            _ => number % 90 * 1_000,
        },
        "tokens": {
            "input": match number {
                _ if number % 5_000 == 3 => 1_000_000,
                _ if is_old => OLD_TOKENS + number % 1_000,
                _ => number % 1_000,
            },
            "output": 7,
        },
        "costUsd": match number % 6_000 {
            4 => "3",
            5 => "7",
            _ => "0",
        },
    })
}

async fn fill(client: &Client, agent: &str, now: DateTime<Utc>) {
    for batch in 0..EXECUTIONS / 1_000 {
        let numbers = batch * 1_000..(batch + 1) * 1_000;
        let batch: Vec<_> = numbers.map(|number| recorded(number, agent, now)).collect();
        client.record(json!(batch)).await.expect("they are fine");
    }
    // One that Runledger is told of long after it has completed.
    let started = now - TimeDelta::days(100);
    let late = client.start(json!({ "status": "RUNNING", "startedAt": started })).await;
    let finish =
        json!({ "id": late["id"], "status": "COMPLETED", "completedAt": started + TimeDelta::hours(1) });
    client.finish(finish).await.expect("it is running");
}

/// As many as a filter takes.
fn many_workflows() -> Vec<String> {
    (1..200).map(|number| format!("workflow {number}")).chain(["old".to_owned()]).collect()
}

fn cases(agent: &str, now: DateTime<Utc>) -> Vec<Case> {
    let of_agent = |node: &Value| !node["codeAgent"].is_null();
    let ago = move |minutes: i64| now - TimeDelta::minutes(minutes);
    let is = |field: &'static str, value: &'static str| move |node: &Value| node[field] == value;
    let completed = move |from: DateTime<Utc>, to: DateTime<Utc>| -> Case {
        let filter = json!({ "completedAt": { "from": from, "to": to } });
        (filter, Box::new(move |node| is_in(&node["completedAt"], from, to)))
    };
    let created =
        move |from: DateTime<Utc>, to: DateTime<Utc>| move |node: &Value| is_in(&node["createdAt"], from, to);
    let at_least = |field: &'static str, least: i64| move |node: &Value| number(node, field) >= least;
    vec![
        (json!({ "codeAgentIds": [agent] }), Box::new(of_agent)),
        (
            json!({ "codeAgentIds": [agent], "durationMs": { "min": 5, "max": 60 } }),
            Box::new(move |node| of_agent(node) && (5..=60).contains(&number(node, "durationMs"))),
        ),
        (
            json!({ "codeAgentIds": [agent], "statuses": ["COMPLETED"], "costUsd": { "max": "5" } }),
            Box::new(move |node| of_agent(node) && is("status", "COMPLETED")(node)),
        ),
        (
            json!({ "codeAgentIds": [agent], "createdAt": { "from": ago(12_000), "to": ago(8_000) } }),
            Box::new(move |node| of_agent(node) && created(ago(12_000), ago(8_000))(node)),
        ),
        (json!({ "modes": ["CLOUD_RUN"] }), Box::new(is("mode", "CLOUD_RUN"))),
        (json!({ "statuses": ["COMPLETED", "FAILED"] }), Box::new(|node| !node["status"].is_null())),
        (json!({ "statuses": ["CANCELLED", "RUNNING"] }), Box::new(|_| false)),
        // Many of each, few of both.
        (
            json!({ "statuses": ["COMPLETED"], "workflowIds": ["old"] }),
            Box::new(move |node| is("status", "COMPLETED")(node) && is("workflowId", "old")(node)),
        ),
        (
            json!({ "statuses": ["COMPLETED", "CANCELLED"], "workflowIds": ["old"] }),
            Box::new(move |node| is("status", "COMPLETED")(node) && is("workflowId", "old")(node)),
        ),
        (
            json!({ "statuses": ["FAILED"], "workflowIds": ["new"], "modes": ["LOCAL_RUN"] }),
            Box::new(move |node| {
                is("status", "FAILED")(node) && is("workflowId", "new")(node) && is("mode", "LOCAL_RUN")(node)
            }),
        ),
        // Several values of several conditions; some are named twice, and some nothing has.
        (
            json!({
                "workflowIds": ["old", "none", "new", "old"],
                "statuses": ["COMPLETED", "FAILED", "COMPLETED"],
                "modes": ["CLOUD_RUN", "LOCAL_RUN"],
            }),
            Box::new(|node| !node["workflowId"].is_null()),
        ),
        (
            json!({ "workflowIds": ["new", "old"], "codeAgentIds": [agent], "statuses": ["COMPLETED"] }),
            Box::new(move |node| of_agent(node) && is("status", "COMPLETED")(node)),
        ),
        (json!({ "workflowIds": [], "statuses": ["FAILED"] }), Box::new(|_| false)),
        (json!({ "workflowIds": ["old"], "statuses": [] }), Box::new(|_| false)),
        // Words that all have, half of which are not among the first of any order, that some have, and that few have.
        (json!({ "search": "zz" }), Box::new(has_word("zz"))),
        (json!({ "search": "old" }), Box::new(has_word("old"))),
        (json!({ "search": "seldom" }), Box::new(has_word("seldom"))),
        (json!({ "search": "zz rare" }), Box::new(has_word("rare"))),
        (json!({ "search": "late old" }), Box::new(|_| false)),
        (
            json!({ "search": "old", "codeAgentIds": [agent], "statuses": ["FAILED", "COMPLETED"] }),
            Box::new(move |node| has_word("old")(node) && of_agent(node)),
        ),
        (
            json!({ "search": "zz", "statuses": ["COMPLETED"], "workflowIds": ["old"] }),
            Box::new(move |node| is("status", "COMPLETED")(node) && is("workflowId", "old")(node)),
        ),
        // More values than are merged.
        (
            json!({ "workflowIds": many_workflows(), "statuses": ["COMPLETED"] }),
            Box::new(move |node| is("status", "COMPLETED")(node) && is("workflowId", "old")(node)),
        ),
        (json!({ "durationMs": { "min": 900_000 } }), Box::new(at_least("durationMs", 900_000))),
        (json!({ "totalTokens": { "min": 1_000_000 } }), Box::new(at_least("tokens", 1_000_000))),
        // Thousands, none of which is among the newest.
        (json!({ "totalTokens": { "min": OLD_TOKENS } }), Box::new(at_least("tokens", OLD_TOKENS))),
        (
            json!({ "totalTokens": { "min": OLD_TOKENS }, "createdAt": { "to": ago(9_000) } }),
            Box::new(move |node| {
                at_least("tokens", OLD_TOKENS)(node) && created(DateTime::<Utc>::MIN_UTC, ago(9_000))(node)
            }),
        ),
        (
            json!({ "totalTokens": { "min": OLD_TOKENS }, "statuses": ["COMPLETED"] }),
            Box::new(move |node| at_least("tokens", OLD_TOKENS)(node) && is("status", "COMPLETED")(node)),
        ),
        (json!({ "visualOnly": true }), Box::new(|_| false)),
        (json!({ "costUsd": { "min": "5" } }), Box::new(at_least("costUsd", 5))),
        (
            json!({ "costUsd": { "min": "5" }, "workflowIds": ["old"] }),
            Box::new(move |node| at_least("costUsd", 5)(node) && is("workflowId", "old")(node)),
        ),
        (
            json!({ "createdAt": { "from": ago(12_000), "to": ago(11_990) }, "workflowIds": ["old", "new"] }),
            Box::new(created(ago(12_000), ago(11_990))),
        ),
        (
            json!({ "createdAt": { "to": ago(8_000) }, "durationMs": { "min": 80_000 } }),
            Box::new(move |node| {
                created(DateTime::<Utc>::MIN_UTC, ago(8_000))(node) && at_least("durationMs", 80_000)(node)
            }),
        ),
        completed(ago(10_010), ago(10_000)),
        completed(ago(14_000), ago(9_000)),
        // In which one completes that was created a day before.
        completed(ago(10_600), ago(10_500)),
        completed(ago(10), ago(0)),
        // Until the end of time.
        completed(ago(100), "9999-12-31T23:59:59Z".parse().expect("it is RFC 3339")),
        (
            json!({ "createdAt": { "from": ago(12_345), "to": ago(12_100) } }),
            Box::new(created(ago(12_345), ago(12_100))),
        ),
        (
            json!({ "createdAt": { "from": ago(14_000) }, "statuses": ["COMPLETED"], "modes": ["LOCAL_RUN"] }),
            Box::new(move |node| {
                created(ago(14_000), DateTime::<Utc>::MAX_UTC)(node)
                    && is("status", "COMPLETED")(node)
                    && is("mode", "LOCAL_RUN")(node)
            }),
        ),
        // Only what completed before Runledger was told of it.
        completed(ago(120 * 24 * 60), ago(90 * 24 * 60)),
    ]
}

fn has_word(word: &'static str) -> impl Fn(&Value) -> bool {
    move |node| node["name"].as_str().is_some_and(|name| name.split([' ', ',']).any(|each| each == word))
}

fn is_in(time: &Value, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
    time.as_str().is_some_and(|time| {
        let time: DateTime<Utc> = time.parse().expect("it is RFC 3339");
        from <= time && time < to
    })
}

/// Those without one are left out by every filter.
fn number(node: &Value, field: &str) -> i64 {
    match field {
        "tokens" => node["tokens"]["total"].as_i64().expect("it is a number"),
        "costUsd" => {
            node["costUsd"].as_str().and_then(|cost| cost.parse::<f64>().ok()).expect("it is one") as i64
        }
        _ => node[field].as_i64().unwrap_or(-1),
    }
}

fn sorted(all: &[Value], order: &str) -> Vec<Value> {
    let created = |node: &Value| node["createdAt"].as_str().map(|time| time.parse::<DateTime<Utc>>().ok());
    let mut sorted = all.to_vec();
    match order {
        "NEWEST" => sorted.sort_by_key(|node| Reverse((created(node), id_of(node)))),
        "OLDEST" => sorted.sort_by_key(|node| (created(node), id_of(node))),
        "LONGEST" => sorted.sort_by_key(|node| Reverse((number(node, "durationMs"), id_of(node)))),
        _ => sorted.sort_by_key(|node| Reverse((number(node, "costUsd"), id_of(node)))),
    }
    sorted
}

async fn everything(client: &Client) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = list(client, json!({ "first": 200, "after": after })).await;
        all.extend(page["nodes"].as_array().expect("nodes are a list").iter().cloned());
        if page["pageInfo"]["hasNextPage"] == false {
            return all;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

async fn list(client: &Client, variables: Value) -> Value {
    client.query(LIST, variables).await["executions"].take()
}

fn ids(list: &Value) -> Vec<String> {
    list["nodes"].as_array().expect("nodes are a list").iter().map(id_of).collect()
}
