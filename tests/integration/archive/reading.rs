//! Reading joins the object and the database: the answer is the same before, while and after lines are archived.

use serde_json::{Value, json};

use super::{Archive, NEVER};
use crate::harness::{Backend, for_each_backend, id_of, unique};

for_each_backend!(
    storage_that_is_away_makes_archived_lines_unavailable_and_no_others,
    every_way_of_reading_gives_the_same_before_while_and_after_archiving,
    readers_never_see_that_lines_are_being_archived,
    the_end_of_a_long_archived_log_is_read_without_the_rest,
);

/// Executions of one run and one agent that take turns in appending.
struct Logs {
    ids: Vec<String>,
    run: String,
    agent: Value,
}

const LEVELS: [&str; 3] = ["INFO", "ERROR", "DEBUG"];

impl Logs {
    async fn start(archive: &Archive, count: usize) -> Self {
        let agent = archive.owner().new_code_agent(&unique("agent"), "[1]").await;
        let run = unique("run");
        let mut ids = Vec::new();
        for _ in 0..count {
            let input = json!({ "workflowRunId": run, "codeAgentId": agent });
            ids.push(id_of(&archive.owner().start(input).await));
        }
        Self { ids, run, agent }
    }

    /// Appends `lines` lines to each, `per_call` a call.
    async fn append(&self, archive: &Archive, lines: usize, per_call: usize) {
        for call in 0..lines.div_ceil(per_call) {
            for (number, id) in self.ids.iter().enumerate() {
                let line = |index: usize| {
                    json!({
                        "message": format!("execution {number} call {call} line {index}"),
                        "level": LEVELS[(call + index) % 3], "stream": if index.is_multiple_of(2) { "stdout" } else { "stderr" },
                        // All at one time: then the order is that of their arrival.
                        "timestamp": "2026-11-21T09:30:00Z",
                    })
                };
                archive.owner().append(id, &(0..per_call).map(line).collect::<Vec<_>>()).await;
            }
        }
    }

    /// Every way of reading them.
    async fn answers(&self, archive: &Archive) -> Vec<(String, Value)> {
        let mut answers = Vec::new();
        let document = "query ($id: ID!) { execution(id: $id) { logs(first: 200) { edges { cursor } } } }";
        let data = archive.owner().query(document, json!({ "id": self.ids[0] })).await;
        let at = |line: usize| data["execution"]["logs"]["edges"][line]["cursor"].to_string();
        let arguments = [
            "first: 200".to_owned(),
            "last: 200".into(),
            format!("first: 7, after: {}", at(4)),
            format!("last: 7, before: {}", at(40)),
            format!("first: 3, after: {}, before: {}", at(28), at(31)),
            "first: 10, filter: { levels: [ERROR] }".into(),
            "last: 10, filter: { levels: [ERROR, DEBUG] }".into(),
            "first: 10, filter: { stream: \"stderr\" }".into(),
            "last: 10, filter: { search: \"LINE 1\" }".into(),
            "first: 10, filter: { search: \"nowhere\" }".into(),
        ];
        for arguments in arguments {
            let fields = "nodes { seq message level stream timestamp } totalCount
                pageInfo { hasNextPage hasPreviousPage startCursor endCursor }";
            let document = format!(
                "query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on Execution {{ id logs({arguments}) {{ {fields} }} }} }} }}"
            );
            let answer = archive.owner().query(&document, json!({ "ids": self.ids })).await;
            answers.push((arguments, answer));
        }
        let of_many = [
            "last: 1",
            "last: 10",
            "last: 1000",
            "last: 10, filter: { levels: [ERROR] }",
            "last: 10, filter: { search: \"LINE 1\" }",
            "last: 5, filter: { stream: \"stderr\" }",
        ];
        for arguments in of_many {
            let document = format!(
                "query ($run: String!, $agent: ID!) {{
                    workflowRun(id: $run) {{ logs({arguments}) {{ executionId seq message }} }}
                    codeAgent(id: $agent) {{ logs({arguments}) {{ executionId seq message }} }}
                }}"
            );
            let answer =
                archive.owner().query(&document, json!({ "run": self.run, "agent": self.agent })).await;
            answers.push((arguments.to_owned(), answer));
        }
        answers
    }
}

async fn storage_that_is_away_makes_archived_lines_unavailable_and_no_others(backend: Backend) {
    let archive = Archive::in_s3(backend, NEVER, &[]).await;
    let logs = Logs::start(&archive, 2).await;
    logs.append(&archive, 10, 5).await;
    archive.owner().complete(&logs.ids[0]).await;
    archive.owner().archived(&logs.ids[0], 10).await;
    archive.cloud().front().go_away().await;
    let document = "query ($id: ID!) { execution(id: $id) { status logs { nodes { seq } } } }";
    let refusal = archive.owner().refused(document, json!({ "id": logs.ids[0] })).await;
    assert_eq!(refusal.code(), "UNAVAILABLE");
    let waiting = archive.owner().query(document, json!({ "id": logs.ids[1] })).await;
    assert_eq!(waiting["execution"]["logs"]["nodes"].as_array().map(Vec::len), Some(10));
}

async fn every_way_of_reading_gives_the_same_before_while_and_after_archiving(backend: Backend) {
    let archive = Archive::after(backend, NEVER).await;
    let logs = Logs::start(&archive, 3).await;
    logs.append(&archive, 60, 3).await;
    let before = logs.answers(&archive).await;
    for id in &logs.ids {
        archive.owner().complete(id).await;
        archive.owner().archived(id, 60).await;
        assert_eq!(logs.answers(&archive).await, before);
    }
}

async fn readers_never_see_that_lines_are_being_archived(archive: Archive) {
    for _ in 0..4 {
        let logs = Logs::start(&archive, 4).await;
        logs.append(&archive, 60, 2).await;
        let first = logs.answers(&archive).await;
        loop {
            let mut archived = 0;
            for id in &logs.ids {
                archived += archive.owner().archived_lines(id).await;
            }
            assert_eq!(logs.answers(&archive).await, first, "{archived} lines were archived before");
            if archived == 4 * 60 {
                break;
            }
        }
    }
}

async fn the_end_of_a_long_archived_log_is_read_without_the_rest(backend: Backend) {
    let archive = Archive::in_s3(backend, NEVER, &[]).await;
    let id = archive.owner().start_any().await;
    let line = json!({ "message": "x".repeat(1_000) });
    for _ in 0..10 {
        archive.owner().append(&id, &vec![line.clone(); 1_000]).await;
    }
    archive.owner().complete(&id).await;
    archive.owner().archived(&id, 10_000).await;
    let document = "query ($id: ID!) { execution(id: $id) { logs(last: 100) { nodes { seq } } } }";
    let before = archive.cloud().front().seen().len();
    let data = archive.owner().query(document, json!({ "id": id })).await;
    let seqs = data["execution"]["logs"]["nodes"].as_array().expect("a list").iter().map(|line| &line["seq"]);
    assert!(seqs.eq(&(9_900..10_000).map(|seq| json!(seq)).collect::<Vec<_>>()));
    let read: u64 = archive.cloud().front().seen()[before..]
        .iter()
        .filter(|seen| seen.method == "GET")
        .map(|seen| {
            let range = seen.headers["range"].to_str().expect("it is ASCII").trim_start_matches("bytes=");
            let (from, to) = range.split_once('-').expect("it has two ends");
            to.parse::<u64>().expect("an end") - from.parse::<u64>().expect("a start") + 1
        })
        .sum();
    assert!((100_000..1_000_000).contains(&read), "{read} bytes were read for 100 lines of 1,000");
}
