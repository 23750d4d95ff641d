//! Any history, looked at in any way, gives what counting the list of executions gives.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Backend, Client, Server, Team, chance, for_each_backend, id_of, soon, unique};

for_each_backend!(
    statistics_of_nothing_are_zero,
    statistics_that_make_no_sense_are_refused,
    any_history_adds_up_to_what_counting_its_executions_gives,
    what_is_not_kept_counts_while_it_runs,
    changes_that_are_not_summed_up_yet_are_counted,
);

const STATS: &str = "
    totalExecutions queued running completed failed cancelled totalErrors successRate avgDurationMs
    p50: durationMs(quantile: 0.5) p95: durationMs(quantile: 0.95) p99: durationMs(quantile: 0.99)
    tokens { input cachedInput output total } totalCostUsd byMode { mode executions }
    visual { executions eventsCaptured streamDurationMs }";

/// What counting gives; durations by themselves.
#[derive(Debug, Default, PartialEq)]
struct Counted {
    statuses: BTreeMap<&'static str, i64>,
    modes: [i64; 2],
    tokens: [i64; 3],
    cost_microusd: i64,
    durations: Vec<i64>,
    visual: [i64; 3],
}

const STATUSES: [&str; 5] = ["QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"];

impl Counted {
    fn of<'e>(executions: impl IntoIterator<Item = &'e Value>) -> Self {
        let number = |value: &Value| value.as_i64().expect("it is a number");
        let mut counted = Self::default();
        for execution in executions {
            let status = STATUSES.into_iter().find(|status| execution["status"] == *status);
            *counted.statuses.entry(status.expect("it is a status")).or_default() += 1;
            counted.modes[usize::from(execution["mode"] == "LOCAL_RUN")] += 1;
            for (sum, name) in counted.tokens.iter_mut().zip(["input", "cachedInput", "output"]) {
                *sum += number(&execution["tokens"][name]);
            }
            counted.cost_microusd += microusd(&execution["costUsd"]);
            counted.durations.extend(execution["durationMs"].as_i64());
            let visual = &execution["visual"];
            if visual["enabled"] == true {
                counted.visual[0] += 1;
            }
            counted.visual[1] += number(&visual["eventsCaptured"]);
            counted.visual[2] += number(&visual["streamDurationMs"]);
        }
        counted.durations.sort_unstable();
        counted
    }

    fn in_status(&self, status: &str) -> i64 {
        self.statuses.get(status).copied().unwrap_or(0)
    }

    /// Compares with an answer.
    fn check(&self, stats: &Value, what: &str) {
        let total: i64 = self.statuses.values().sum();
        let [input, cached, output] = self.tokens;
        let rated = self.in_status("COMPLETED") + self.in_status("FAILED");
        let expected = json!({
            "totalExecutions": total,
            "queued": self.in_status("QUEUED"),
            "running": self.in_status("RUNNING"),
            "completed": self.in_status("COMPLETED"),
            "failed": self.in_status("FAILED"),
            "cancelled": self.in_status("CANCELLED"),
            "totalErrors": self.in_status("FAILED"),
            "tokens": { "input": input, "cachedInput": cached, "output": output, "total": input + output },
            "totalCostUsd": format!("{}.{:06}", self.cost_microusd / 1_000_000, self.cost_microusd % 1_000_000),
            "byMode": [{ "mode": "CLOUD_RUN", "executions": self.modes[0] },
                       { "mode": "LOCAL_RUN", "executions": self.modes[1] }],
            "visual": { "executions": self.visual[0], "eventsCaptured": self.visual[1],
                        "streamDurationMs": self.visual[2] },
        });
        for (name, value) in expected.as_object().expect("it is an object") {
            assert_eq!(&stats[name], value, "{name} of {what}");
        }
        let rate = (rated > 0).then(|| self.in_status("COMPLETED") as f64 / rated as f64 * 100.0);
        assert!(
            is_near(&stats["successRate"], rate, 1e-9),
            "successRate of {what}: {}",
            stats["successRate"]
        );
        let count = self.durations.len();
        let average = (count > 0).then(|| self.durations.iter().sum::<i64>() as f64 / count as f64);
        assert!(is_near(&stats["avgDurationMs"], average, 1e-9), "avgDurationMs of {what}");
        for (name, percent) in [("p50", 50), ("p95", 95), ("p99", 99)] {
            let rank = (count * percent).div_ceil(100).max(1);
            let exact = self.durations.get(rank - 1).map(|duration| *duration as f64);
            assert!(is_near(&stats[name], exact, 0.01), "{name} of {what}: {} for {exact:?}", stats[name]);
        }
    }
}

fn is_near(found: &Value, expected: Option<f64>, relative: f64) -> bool {
    match (found.as_f64(), expected) {
        (None, None) => true,
        (Some(found), Some(expected)) => (found - expected).abs() <= expected * relative + 1e-9,
        _ => false,
    }
}

fn microusd(decimal: &Value) -> i64 {
    decimal.as_str().expect("it is a decimal").replace('.', "").parse().expect("it has six places")
}

pub(super) async fn stats(client: &Client, filter: Value) -> Value {
    let document = format!("query ($filter: StatsFilter) {{ stats(filter: $filter) {{ {STATS} }} }}");
    client.query(&document, json!({ "filter": filter })).await["stats"].take()
}

/// Everything that the list shows `client`.
pub(super) async fn executions(client: &Client) -> Vec<Value> {
    let document = "query ($after: String) { executions(first: 200, after: $after) {
        nodes { id status mode codeAgent { id } workflowId project { key } ownerId durationMs createdAt costUsd
            tokens { input cachedInput output } visual { enabled eventsCaptured streamDurationMs } }
        pageInfo { hasNextPage endCursor }
    } }";
    let (mut all, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut page = client.query(document, json!({ "after": after })).await["executions"].take();
        for mut execution in page["nodes"].as_array_mut().expect("it is a list").drain(..) {
            // Read once: it is compared often.
            execution["createdMicros"] = json!(micros(&execution["createdAt"]));
            all.push(execution);
        }
        after = page["pageInfo"]["endCursor"].take();
        if page["pageInfo"]["hasNextPage"] == false {
            return all;
        }
    }
}

/// Waits until all changes have been summed up.
pub(super) async fn summed_up(server: &Server) {
    let waiting = "change_event WHERE figures IS NOT NULL AND
        (xid > (SELECT xid FROM statistic_state) OR (xid = (SELECT xid FROM statistic_state)
            AND seq > (SELECT seq FROM statistic_state)))";
    soon("the sum", async {
        while server.count_rows(waiting).await > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn statistics_of_nothing_are_zero(team: Team) {
    Counted::default().check(&stats(&team.owner, Value::Null).await, "nothing");
    let series = "{ stats { asOf series(by: DAY) { start } } }";
    assert_eq!(team.owner.query(series, json!({})).await["stats"]["series"], json!([]));
    let from = json!({ "from": "2026-01-01T00:30:00Z", "to": "2026-01-01T03:00:00Z" });
    let series = "query ($filter: StatsFilter) { stats(filter: $filter) {
        series(by: HOUR) { start end stats { totalExecutions successRate durationMs(quantile: 1) } }
    } }";
    let empty = |start: &str, end: &str| {
        json!({ "start": start, "end": end,
                "stats": { "totalExecutions": 0, "successRate": null, "durationMs": null } })
    };
    assert_eq!(
        team.owner.query(series, json!({ "filter": from })).await["stats"]["series"],
        json!([
            empty("2026-01-01T00:30:00Z", "2026-01-01T01:00:00Z"),
            empty("2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"),
            empty("2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"),
        ]),
        "empty buckets are there"
    );
}

async fn statistics_that_make_no_sense_are_refused(team: Team) {
    let owner = &team.owner;
    for (document, code, field) in [
        (
            "{ stats(filter: { from: \"2026-02-01T00:00:00Z\", to: \"2026-01-01T00:00:00Z\" }) { queued } }",
            "BAD_INPUT",
            "filter.to",
        ),
        ("{ stats(filter: { codeAgentId: \"x\" }) { queued } }", "BAD_INPUT", "filter.codeAgentId"),
        ("{ stats { durationMs(quantile: 1.01) } }", "BAD_INPUT", "quantile"),
        ("{ stats { durationMs(quantile: -0.1) } }", "BAD_INPUT", "quantile"),
        (
            "{ stats(filter: { from: \"2020-01-01T00:00:00Z\", to: \"2026-01-01T00:00:00Z\" }) { series(by: HOUR) { start } } }",
            "TOO_LARGE",
            "by",
        ),
        (
            "{ stats(filter: { from: \"0000-01-01T00:00:00Z\", to: \"9999-12-31T23:59:59Z\" }) { series(by: DAY) { start } } }",
            "TOO_LARGE",
            "by",
        ),
        (
            "{ registryStats(from: \"2026-02-01T00:00:00Z\", to: \"2026-01-01T00:00:00Z\") { publishes } }",
            "BAD_INPUT",
            "to",
        ),
    ] {
        let refusal = owner.refused(document, json!({})).await;
        let extensions = &refusal.errors[0]["extensions"];
        assert_eq!((refusal.code(), &extensions["field"]), (code, &json!(field)), "{document}");
        if code == "TOO_LARGE" {
            assert_eq!(extensions["limit"]["name"], "stats_points_max");
        }
    }
    for (from, to) in
        [("0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"), ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")]
    {
        let found = stats(owner, json!({ "from": from, "to": to })).await;
        assert_eq!(found["totalExecutions"], 0, "a long time and no time at all are fine");
    }
}

async fn what_is_not_kept_counts_while_it_runs(team: Team) {
    let id = id_of(&team.owner.start(json!({ "keepHistory": false, "status": "QUEUED" })).await);
    assert_eq!(stats(&team.owner, Value::Null).await["queued"], 1);
    team.owner.update(json!({ "id": id, "status": "RUNNING", "costUsd": "1" })).await.expect("it waits");
    let found = stats(&team.owner, Value::Null).await;
    assert_eq!(
        (&found["queued"], &found["running"], &found["totalCostUsd"]),
        (&json!(0), &json!(1), &json!("1.000000"))
    );
    team.owner.complete(&id).await;
    Counted::default().check(&stats(&team.owner, Value::Null).await, "what has gone");
}

async fn changes_that_are_not_summed_up_yet_are_counted(server: Server) {
    let team = Team::of(&server);
    let id = team.owner.start_any().await;
    summed_up(&server).await;
    // At once after each change, sooner than any timer.
    for (change, name) in [("COMPLETED", "completed"), ("", "completed")] {
        if change.is_empty() {
            team.owner
                .query(
                    "mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }",
                    json!({ "id": id }),
                )
                .await;
            assert_eq!(stats(&team.owner, Value::Null).await[name], 0);
        } else {
            team.owner.complete(&id).await;
            assert_eq!(stats(&team.owner, Value::Null).await[name], 1);
        }
    }
    summed_up(&server).await;
    assert_eq!(stats(&team.owner, Value::Null).await["totalExecutions"], 0);
    assert_eq!(server.count_rows("statistic").await, 0, "what adds up to nothing has no rows");
}

/// Callers that work at the same time.
const WORKERS: usize = 6;
const STEPS: usize = 25;
const ROUNDS: usize = 5;

async fn any_history_adds_up_to_what_counting_its_executions_gives(backend: Backend) {
    let server = Server::builder(backend).await.start().await;
    let mut team = Team::of(&server);
    let agents = vec![agent(&team.owner).await, agent(&team.owner).await];
    for round in 0..ROUNDS {
        let mut workers = JoinSet::new();
        for worker in 0..WORKERS {
            let client = if worker % 3 == 2 { team.colleague.clone() } else { team.owner.clone() };
            workers.spawn(work(client, agents.clone()));
        }
        while let Some(worker) = workers.join_next().await {
            worker.expect("no step is refused");
        }
        check_everything(&team, &agents, &format!("round {round}")).await;
        match round {
            1 => {
                server.kill9();
                server.restart().await;
                team = team.after_a_restart();
                check_everything(&team, &agents, "after a kill").await;
            }
            3 => {
                summed_up(&server).await;
                check_everything(&team, &agents, "summed up").await;
            }
            _ => {}
        }
    }
    // Everything goes, and so do its sums.
    let delete = "mutation { deleteExecutions(filter: { modes: [CLOUD_RUN, LOCAL_RUN] }) { deletedCount } }";
    team.admin.query(delete, json!({})).await;
    check_everything(&team, &agents, "the end").await;
    summed_up(&server).await;
    assert_eq!(server.count_rows("statistic").await, 0, "what adds up to nothing has no rows");
}

pub(super) async fn agent(client: &Client) -> String {
    let create = "mutation ($name: String!) {
        createCodeAgent(input: { name: $name, language: \"json\", source: \"[1]\" }) { codeAgent { id } }
    }";
    let created = client.query(create, json!({ "name": unique("agent") })).await;
    id_of(&created["createCodeAgent"]["codeAgent"])
}

/// Random steps on executions of its own.
pub(super) async fn work(client: Client, agents: Vec<String>) {
    let mut running: Vec<String> = Vec::new();
    for _ in 0..STEPS {
        let step = chance(12);
        if running.is_empty() || step < 4 {
            running.push(id_of(&client.start(any_start(&agents)).await));
            continue;
        }
        let at = usize::try_from(chance(running.len() as u64)).expect("it is small");
        let id = running[at].clone();
        match step {
            4 | 5 => {
                let mut input = any_figures();
                input["id"] = json!(id);
                if chance(2) == 0 {
                    input["status"] = json!("RUNNING");
                }
                client.update(input).await.expect("it has not ended");
            }
            6 | 7 => {
                client.update(json!({ "id": id, "status": "RUNNING" })).await.expect("it has not ended");
                let mut input = any_figures();
                input["id"] = json!(id);
                input["status"] = json!(any_of(&["COMPLETED", "COMPLETED", "FAILED"]));
                input["durationMs"] = json!(any_duration());
                client.finish(input).await.expect("it has not ended");
                running.swap_remove(at);
            }
            8 => {
                client.cancel(&id, Some("enough")).await.expect("it has not ended");
                running.swap_remove(at);
            }
            9 => {
                let delete = "mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }";
                client.query(delete, json!({ "id": id })).await;
                running.swap_remove(at);
            }
            10 => {
                let input = |id: &String| json!({ "id": id, "costUsd": format!("{}.5", chance(9)), "status": "RUNNING" });
                let inputs: Vec<_> = running.iter().map(input).collect();
                let update = "mutation ($inputs: [UpdateExecutionInput!]!) {
                    updateExecutions(inputs: $inputs) { executions { id } }
                }";
                client.query(update, json!({ "inputs": inputs })).await;
            }
            _ => {
                let inputs: Vec<_> = (0..=chance(9)).map(|_| any_record(&agents)).collect();
                client.record(json!(inputs)).await.expect("they are fine");
            }
        }
    }
}

fn any_of<T>(of: &[T]) -> &T {
    &of[usize::try_from(chance(of.len() as u64)).expect("it is small")]
}

fn any_dimensions(agents: &[String]) -> Value {
    let mut input = json!({ "mode": any_of(&["CLOUD_RUN", "CLOUD_RUN", "LOCAL_RUN"]) });
    if chance(3) > 0 {
        input["codeAgentId"] = json!(any_of(agents));
    }
    if chance(3) > 0 {
        input["workflowId"] = json!(format!("workflow {}", chance(3)));
    }
    if chance(3) > 0 {
        input["projectKey"] = json!(any_of(&["a", "b", "c"]));
    }
    input
}

fn any_start(agents: &[String]) -> Value {
    let mut input = any_dimensions(agents);
    input["status"] = json!(any_of(&["RUNNING", "RUNNING", "QUEUED"]));
    input["keepHistory"] = json!(chance(5) > 0);
    input["visual"] = json!({ "enabled": chance(3) == 0 });
    input
}

fn any_figures() -> Value {
    let input = chance(10_000);
    let mut figures = json!({ "costUsd": format!("{}.{:06}", chance(20), chance(1_000_000)) });
    if chance(2) == 0 {
        figures["tokens"] =
            json!({ "input": input, "cachedInput": chance(input + 1), "output": chance(999) });
    }
    if chance(2) == 0 {
        figures["visual"] = json!({ "enabled": chance(2) == 0, "eventsCaptured": chance(500), "streamDurationMs": chance(90_000) });
    }
    figures
}

/// From nothing to years, as many short ones as long ones.
fn any_duration() -> u64 {
    chance(10_u64.pow(u32::try_from(chance(11)).expect("it is small")))
}

fn any_record(agents: &[String]) -> Value {
    let mut input = any_dimensions(agents);
    let figures = any_figures();
    input.as_object_mut().expect("an object").extend(figures.as_object().expect("an object").clone());
    input["status"] = json!(any_of(&STATUSES[2..]));
    let started = runledger::clock::now() - chrono_micros(chance(100 * 24 * 3_600 * 1_000_000));
    input["startedAt"] = json!(started.to_rfc3339());
    input["completedAt"] = json!((started + chrono_micros(chance(3_600_000_000))).to_rfc3339());
    if chance(2) == 0 {
        input["durationMs"] = json!(any_duration());
    }
    input
}

fn chrono_micros(micros: u64) -> chrono::TimeDelta {
    chrono::TimeDelta::microseconds(micros.cast_signed())
}

/// Compares statistics, looked at in many ways, with what counting the list gives.
pub(super) async fn check_everything(team: &Team, agents: &[String], when: &str) {
    for (name, client) in [("owner", &team.owner), ("service", &team.service), ("stranger", &team.stranger)] {
        let all = executions(client).await;
        let mut filters = vec![
            json!({}),
            json!({ "mode": "LOCAL_RUN" }),
            json!({ "ownerId": Team::OWNER }),
            json!({ "ownerId": Team::COLLEAGUE, "codeAgentId": agents[1] }),
            json!({ "codeAgentId": agents[0] }),
            json!({ "workflowId": "workflow 1" }),
            json!({ "projectKey": "b" }),
            json!({ "ownerId": Team::OWNER, "workflowId": "workflow 1" }),
            json!({ "ownerId": Team::OWNER, "projectKey": "a" }),
            json!({ "codeAgentId": agents[0], "workflowId": "workflow 2" }),
            json!({ "codeAgentId": agents[1], "projectKey": "b", "mode": "CLOUD_RUN" }),
            json!({ "workflowId": "workflow 0", "projectKey": "c" }),
            json!({ "workflowId": "workflow 0", "projectKey": "b", "codeAgentId": agents[1] }),
            json!({ "projectKey": "a", "workflowId": "workflow 0", "codeAgentId": agents[0], "ownerId": Team::OWNER, "mode": "CLOUD_RUN" }),
            json!({ "workflowId": "nothing" }),
        ];
        for (from, to) in any_spans(&all) {
            filters.push(json!({ "from": from, "to": to }));
            filters.push(json!({ "from": from, "to": to, "codeAgentId": agents[0] }));
            filters.push(json!({ "from": from, "to": to, "projectKey": "b", "mode": "CLOUD_RUN" }));
            filters.push(json!({ "from": from, "to": to, "projectKey": "a", "workflowId": "workflow 1" }));
        }
        for filter in filters {
            let expected = Counted::of(matching(&all, &filter));
            expected.check(&stats(client, filter.clone()).await, &format!("{filter} as {name}, {when}"));
        }
        check_series(client, &json!({}), &all, &format!("{name}, {when}")).await;
    }
    let all = executions(&team.owner).await;
    let combined = json!({ "projectKey": "b", "codeAgentId": agents[0] });
    let of_them: Vec<_> = matching(&all, &combined).cloned().collect();
    check_series(&team.owner, &combined, &of_them, &format!("{combined}, {when}")).await;
    check_pages(&team.owner, &all, when).await;
}

/// Some that cut through hours, and some that do not.
fn any_spans(executions: &[Value]) -> Vec<(Value, Value)> {
    let mut times: Vec<_> = executions.iter().map(|execution| text(&execution["createdAt"])).collect();
    times.sort_unstable();
    let mut spans = Vec::new();
    for _ in 0..4 {
        if times.is_empty() {
            break;
        }
        let (mut from, mut to) = (any_of(&times).clone(), any_of(&times).clone());
        if from > to {
            std::mem::swap(&mut from, &mut to);
        }
        // To the hour, to the day, or as they are.
        let to = match chance(3) {
            0 => format!("{}:00:00Z", &to[..13]),
            _ => to,
        };
        if from <= to {
            let begins = if chance(4) == 0 { Value::Null } else { json!(from) };
            let ends = if chance(4) == 0 { Value::Null } else { json!(to) };
            spans.push((begins, ends));
        }
    }
    spans
}

fn text(value: &Value) -> String {
    value.as_str().expect("it is a text").to_owned()
}

/// Times of one length sort as texts.
fn micros(value: &Value) -> Option<i64> {
    let time: chrono::DateTime<chrono::Utc> = value.as_str()?.parse().expect("it is RFC 3339");
    Some(time.timestamp_micros())
}

/// Those of them that `filter` asks for.
fn matching<'e>(all: &'e [Value], filter: &'e Value) -> impl Iterator<Item = &'e Value> + 'e {
    let span = (micros(&filter["from"]), micros(&filter["to"]));
    all.iter().filter(move |execution| passes(execution, filter, span))
}

fn passes(execution: &Value, filter: &Value, (from, to): (Option<i64>, Option<i64>)) -> bool {
    let is = |name: &str, value: &Value| filter[name].is_null() || filter[name] == *value;
    let created_at = execution["createdMicros"].as_i64().expect("it was read");
    is("mode", &execution["mode"])
        && is("ownerId", &execution["ownerId"])
        && is("codeAgentId", &execution["codeAgent"]["id"])
        && is("workflowId", &execution["workflowId"])
        && is("projectKey", &execution["project"]["key"])
        && from.is_none_or(|from| from <= created_at)
        && to.is_none_or(|to| created_at < to)
}

/// Each point is what counting its time gives, and no time is missing.
async fn check_series(client: &Client, filter: &Value, all: &[Value], what: &str) {
    let document = format!(
        "query ($filter: StatsFilter) {{ stats(filter: $filter) {{ totalExecutions
            days: series(by: DAY) {{ start end stats {{ {STATS} hours: series(by: HOUR) {{ start end stats {{ {STATS} }} }} }} }}
        }} }}"
    );
    for since in [None, Some(3), Some(8)] {
        let from = since.map(|days| (runledger::clock::now() - chrono::TimeDelta::days(days)).to_rfc3339());
        let is_open = from.is_none();
        if is_open {
            // Its hours would be too many.
            let days = "query ($filter: StatsFilter) { stats(filter: $filter) {
                totalExecutions series(by: DAY) { start end stats { totalExecutions } } } }";
            let found = client.query(days, json!({ "filter": filter })).await["stats"].take();
            let points = found["series"].as_array().expect("it is a list");
            let counts =
                points.iter().map(|point| point["stats"]["totalExecutions"].as_i64().expect("a number"));
            assert_eq!(json!(counts.sum::<i64>()), found["totalExecutions"], "days of {what}");
            assert!(points.first().is_none_or(|point| point["stats"]["totalExecutions"] != 0));
            assert!(points.windows(2).all(|two| two[0]["end"] == two[1]["start"]));
            continue;
        }
        let mut within = filter.clone();
        within["from"] = json!(from);
        let found = client.query(&document, json!({ "filter": within })).await["stats"].take();
        let days = found["days"].as_array().expect("it is a list");
        assert!(days.windows(2).all(|two| two[0]["end"] == two[1]["start"]), "{what}");
        for day in days {
            check_point(day, all, what);
            let hours = day["stats"]["hours"].as_array().expect("it is a list");
            assert_eq!(hours[0]["start"], day["start"], "{what}");
            // The hours of today end with this one.
            let is_today = day["end"] == days[days.len() - 1]["end"];
            assert!(is_today || hours[hours.len() - 1]["end"] == day["end"], "{what}");
            assert!(hours.windows(2).all(|two| two[0]["end"] == two[1]["start"]), "{what}");
            for hour in hours {
                check_point(hour, all, what);
            }
        }
    }
}

fn check_point(point: &Value, all: &[Value], what: &str) {
    let within = json!({ "from": point["start"], "to": point["end"] });
    let expected = Counted::of(matching(all, &within));
    expected.check(&point["stats"], &format!("{within} as {what}"));
}

/// Agents and projects have their own.
async fn check_pages(client: &Client, all: &[Value], when: &str) {
    let document = format!(
        "{{ codeAgents {{ nodes {{ id stats {{ {STATS} }} late: stats(from: \"2026-10-01T10:30:00Z\") {{ {STATS} }} }} }}
            projects {{ nodes {{ key stats {{ {STATS} series(by: DAY) {{ stats {{ totalExecutions }} }} }} }} }} }}"
    );
    let found = client.query(&document, json!({})).await;
    for agent in found["codeAgents"]["nodes"].as_array().expect("a list") {
        let filter = json!({ "codeAgentId": agent["id"] });
        Counted::of(matching(all, &filter)).check(&agent["stats"], &format!("an agent, {when}"));
        let filter = json!({ "codeAgentId": agent["id"], "from": "2026-10-01T10:30:00Z" });
        Counted::of(matching(all, &filter)).check(&agent["late"], &format!("an agent of late, {when}"));
    }
    for project in found["projects"]["nodes"].as_array().expect("a list") {
        let filter = json!({ "projectKey": project["key"] });
        Counted::of(matching(all, &filter)).check(&project["stats"], &format!("a project, {when}"));
        let points = project["stats"]["series"].as_array().expect("it is a list").iter();
        let count: i64 =
            points.map(|point| point["stats"]["totalExecutions"].as_i64().expect("a number")).sum();
        assert_eq!(json!(count), project["stats"]["totalExecutions"]);
    }
}
