//! Log lines: numbered densely, appended safely under retries, read by range, filtered and searched.

use runledger::domain::limits::{
    APPEND_LINES_MAX, LOG_FIELDS_BYTES_MAX, LOG_MESSAGE_BYTES_MAX, SHORT_TEXT_CHARS_MAX,
};
use serde_json::{Value, json};

use crate::harness::{
    Client, Team, for_each_backend, id_of, line, lines, messages, one_over, too_long, unique,
};

for_each_backend!(
    a_hole_in_the_numbers_is_a_conflict_and_appends_nothing,
    lines_for_a_finished_execution_are_a_conflict,
    nothing_to_append_is_refused,
    a_bad_line_keeps_the_whole_call_out,
    lines_are_numbered_densely_from_zero,
    a_retry_with_first_seq_skips_what_is_there,
    concurrent_appenders_share_one_dense_numbering,
    a_retry_after_the_end_learns_that_its_lines_are_there,
    a_line_reads_back_as_it_was_written,
    a_line_without_a_time_gets_the_servers,
    lines_are_read_by_range_in_both_directions,
    lines_are_filtered_by_level_stream_and_text,
    a_cursor_of_a_filtered_log_goes_on_after_its_line,
    a_page_of_lines_beyond_the_limits_is_refused,
    a_workflow_runs_log_is_its_newest_lines_in_order_of_time,
    a_page_of_long_lines_is_whole,
    lists_of_executions_give_each_its_own_lines,
    a_workflow_runs_log_of_long_lines_is_whole,
);

async fn a_hole_in_the_numbers_is_a_conflict_and_appends_nothing(team: Team) {
    let id = team.owner.start_any().await;
    team.owner.append(&id, &lines("line", 2)).await;
    for first_seq in [3, 100, i64::MAX] {
        let refusal =
            team.owner.try_append(&id, &[line("too far")], Some(first_seq)).await.expect_err("a hole");
        assert_eq!(refusal.code(), "CONFLICT", "{first_seq}");
    }
    let refusal =
        team.owner.try_append(&id, &[line("before the start")], Some(-1)).await.expect_err("not a number");
    assert_eq!(refusal.code(), "BAD_INPUT");
    assert_eq!(messages(&all_lines(&team.owner, &id).await), ["line 0", "line 1"]);
}

async fn lines_for_a_finished_execution_are_a_conflict(team: Team) {
    let id = team.owner.start_any().await;
    team.owner.complete(&id).await;
    let refusal = team.owner.try_append(&id, &[line("late")], None).await.expect_err("it has ended");
    assert_eq!(refusal.code(), "CONFLICT");
}

async fn nothing_to_append_is_refused(team: Team) {
    let id = team.owner.start_any().await;
    assert_eq!(team.owner.try_append(&id, &[], None).await.expect_err("no lines").code(), "BAD_INPUT");
}

async fn a_bad_line_keeps_the_whole_call_out(team: Team) {
    let id = team.owner.start_any().await;
    for (bad, code) in [
        (json!({ "message": too_long(LOG_MESSAGE_BYTES_MAX) }), "TOO_LARGE"),
        (json!({ "message": "m", "fields": { "big": too_long(LOG_FIELDS_BYTES_MAX) } }), "TOO_LARGE"),
        (json!({ "message": "m", "stream": too_long(SHORT_TEXT_CHARS_MAX) }), "TOO_LARGE"),
        (json!({ "message": "m", "stream": "" }), "BAD_INPUT"),
        (json!({ "message": "m", "timestamp": "yesterday" }), "BAD_INPUT"),
        (json!({ "message": "m", "level": "LOUD" }), "BAD_INPUT"),
        (json!({ "message": null }), "BAD_INPUT"),
    ] {
        let shown: String = bad.to_string().chars().take(80).collect();
        let refusal = team.owner.try_append(&id, &[line("good"), bad], None).await.expect_err(&shown);
        assert_eq!(refusal.code(), code, "{shown}: {refusal:?}");
    }
    let too_many = team
        .owner
        .try_append(&id, &lines("line", one_over(APPEND_LINES_MAX)), None)
        .await
        .expect_err("too many");
    assert_eq!(too_many.code(), "TOO_LARGE");
    assert_eq!(all_lines(&team.owner, &id).await, json!([]));
}

async fn lines_are_numbered_densely_from_zero(team: Team) {
    let id = team.owner.start_any().await;
    for (count, next_seq) in [(1, 1), (1_000, 1_001), (2, 1_003)] {
        let payload = team.owner.append(&id, &lines("line", count)).await;
        assert_eq!(payload, json!({ "nextSeq": next_seq, "appended": count }));
    }
    let newest = team.owner.query(LOGS, json!({ "id": id, "last": 3 })).await;
    let newest = &newest["execution"]["logs"];
    assert_eq!(seqs(&newest["nodes"]), [1_000, 1_001, 1_002]);
    assert_eq!(newest["totalCount"], 1_003);
}

async fn a_retry_with_first_seq_skips_what_is_there(team: Team) {
    let id = team.owner.start_any().await;
    let all = lines("line", 5);
    for (first_seq, count, appended, next_seq) in [
        (0, 3, 3, 3), // the first time
        (0, 3, 0, 3), // the answer was lost: the same again
        (1, 2, 0, 3), // a part of it again
        (0, 5, 2, 5), // the same and more
        (3, 2, 0, 5), // the rest again
    ] {
        let slice = &all[first_seq..first_seq + count];
        let payload = team.owner.try_append(&id, slice, Some(first_seq as i64)).await.expect("no hole");
        assert_eq!(payload, json!({ "nextSeq": next_seq, "appended": appended }), "{count} from {first_seq}");
    }
    assert_eq!(
        messages(&all_lines(&team.owner, &id).await),
        ["line 0", "line 1", "line 2", "line 3", "line 4"]
    );
}

async fn concurrent_appenders_share_one_dense_numbering(team: Team) {
    const APPENDERS: usize = 20;
    let id = team.owner.start_any().await;
    let appends = (0..APPENDERS).map(|appender| {
        let (owner, id) = (&team.owner, &id);
        async move { owner.append(id, &lines(&format!("of {appender}:"), 3)).await }
    });
    let mut next_seqs: Vec<_> = futures_util::future::join_all(appends)
        .await
        .iter()
        .map(|payload| payload["nextSeq"].as_i64().expect("it is a number"))
        .collect();
    next_seqs.sort_unstable();
    assert_eq!(next_seqs, (1..=APPENDERS as i64).map(|call| call * 3).collect::<Vec<_>>());

    let stored = all_lines(&team.owner, &id).await;
    assert_eq!(seqs(&stored), (0..APPENDERS as i64 * 3).collect::<Vec<_>>());
    for call in messages(&stored).chunks(3) {
        let name = call[0].trim_end_matches(" 0");
        assert_eq!(
            call,
            [format!("{name} 0"), format!("{name} 1"), format!("{name} 2")],
            "a call stays together"
        );
    }
}

async fn a_retry_after_the_end_learns_that_its_lines_are_there(team: Team) {
    let id = team.owner.start_any().await;
    team.owner.append(&id, &lines("line", 2)).await;
    team.owner.complete(&id).await;
    let payload = team.owner.try_append(&id, &lines("line", 2), Some(0)).await.expect("they are there");
    assert_eq!(payload, json!({ "nextSeq": 2, "appended": 0 }));
}

async fn a_line_reads_back_as_it_was_written(team: Team) {
    let id = team.owner.start_any().await;
    let texts = [
        "",
        " ",
        "a\u{0}b",
        "\u{1b}[31mred\u{1b}[0m",
        "two\nlines\r\n",
        "🦀 ünïcödé 漢字 \u{2028}",
        r#"{"json":"\\"}"#,
    ];
    let written: Vec<_> = texts
        .iter()
        .zip(["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].iter().cycle())
        .map(|(text, level)| {
            json!({ "timestamp": "2026-11-21T09:30:00.123456Z", "level": level, "stream": "stdout",
                    "message": text, "fields": { "text": text, "nested": [1, null, { "deep": true }] } })
        })
        .chain([json!({ "timestamp": "1999-12-31T23:59:59Z", "level": "INFO", "stream": null,
                    "message": "x".repeat(LOG_MESSAGE_BYTES_MAX.to_usize()), "fields": null })])
        .collect();
    team.owner.append(&id, &written).await;

    for (mut read, written) in
        all_lines(&team.owner, &id).await.as_array().expect("a list").clone().into_iter().zip(written)
    {
        let line = read.as_object_mut().expect("a line is an object");
        assert_eq!(line.remove("executionId"), Some(json!(id)));
        line.remove("seq");
        assert_eq!(read, written);
    }
}

async fn a_line_without_a_time_gets_the_servers(team: Team) {
    let id = team.owner.start_any().await;
    let before = runledger::clock::now();
    team.owner
        .append(
            &id,
            &[line("now"), json!({ "message": "in another zone", "timestamp": "2026-11-21T10:30:00+01:00" })],
        )
        .await;
    let stored = all_lines(&team.owner, &id).await;
    let time: runledger::clock::Timestamp =
        stored[0]["timestamp"].as_str().expect("it is set").parse().expect("it is RFC 3339");
    assert!(before <= time && time <= runledger::clock::now());
    assert_eq!(stored[0]["level"], "INFO");
    assert_eq!(stored[1]["timestamp"], "2026-11-21T09:30:00Z", "times are kept in UTC");
}

async fn lines_are_read_by_range_in_both_directions(team: Team) {
    const LINES: i64 = 23;
    let id = team.owner.start_any().await;
    for call in [10, 1, 12] {
        team.owner.append(&id, &lines("line", call)).await;
    }
    for page_rows in [1, 5, 22, 23, 100] {
        for (count, cursor, end, more) in [
            ("first", "after", "endCursor", "hasNextPage"),
            ("last", "before", "startCursor", "hasPreviousPage"),
        ] {
            let mut read = Vec::new();
            let mut variables = json!({ "id": id, count: page_rows });
            loop {
                let data = team.owner.query(LOGS, variables.clone()).await;
                let page = &data["execution"]["logs"];
                let numbers = seqs(&page["nodes"]);
                let edges = page["edges"].as_array().expect("edges are a list");
                assert_eq!(edges.iter().map(|edge| &edge["node"]["seq"]).collect::<Vec<_>>(), numbers);
                let at = if count == "first" { read.len() } else { 0 };
                read.splice(at..at, numbers);
                if page["pageInfo"][more] == false {
                    break;
                }
                variables[cursor] = page["pageInfo"][end].clone();
            }
            assert_eq!(read, (0..LINES).collect::<Vec<_>>(), "{count}: {page_rows}");
        }
    }
}

async fn lines_are_filtered_by_level_stream_and_text(team: Team) {
    let id = team.owner.start_any().await;
    let mixed = [
        json!({ "message": "Starting", "stream": "stdout", "level": "DEBUG" }),
        json!({ "message": "100% of the disk_space is used", "stream": "stderr", "level": "WARN" }),
        json!({ "message": "DISK FULL", "stream": "stderr", "level": "ERROR" }),
        json!({ "message": "größer als ÜBLICH", "level": "INFO" }),
        json!({ "message": "done", "stream": "stdout" }),
    ];
    team.owner.append(&id, &mixed).await;
    for (filter, expected) in [
        (json!({}), vec![0, 1, 2, 3, 4]),
        (json!({ "levels": ["ERROR", "DEBUG"] }), vec![0, 2]),
        (json!({ "levels": [] }), vec![]),
        (json!({ "stream": "stderr" }), vec![1, 2]),
        (json!({ "stream": "STDERR" }), vec![]),
        (json!({ "search": "disk" }), vec![1, 2]),
        (json!({ "search": "100%" }), vec![1]),
        (json!({ "search": "d_sk" }), vec![]),
        (json!({ "search": "üblich" }), vec![3]),
        (json!({ "search": "done\n" }), vec![]),
        (json!({ "stream": "stderr", "search": "disk", "levels": ["WARN"] }), vec![1]),
    ] {
        let data = team.owner.query(LOGS, json!({ "id": id, "first": 50, "filter": filter })).await;
        let page = &data["execution"]["logs"];
        assert_eq!(seqs(&page["nodes"]), expected, "{filter}");
        assert_eq!(page["totalCount"], expected.len(), "{filter}");
    }
}

async fn a_cursor_of_a_filtered_log_goes_on_after_its_line(team: Team) {
    let id = team.owner.start_any().await;
    let every_third_fails: Vec<_> = (0..30)
        .map(|number| json!({ "message": number.to_string(), "level": if number % 3 == 0 { "ERROR" } else { "INFO" } }))
        .collect();
    team.owner.append(&id, &every_third_fails).await;
    let mut variables = json!({ "id": id, "first": 4, "filter": { "levels": ["ERROR"] } });
    let mut read = Vec::new();
    loop {
        let data = team.owner.query(LOGS, variables.clone()).await;
        let page = &data["execution"]["logs"];
        read.extend(seqs(&page["nodes"]));
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        variables["after"] = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(read, (0..30).step_by(3).collect::<Vec<_>>());
}

async fn a_page_of_lines_beyond_the_limits_is_refused(team: Team) {
    let id = team.owner.start_any().await;
    for (arguments, code) in [
        (json!({ "first": 1, "last": 1 }), "BAD_INPUT"),
        (json!({ "first": -1 }), "BAD_INPUT"),
        (json!({ "last": -1 }), "BAD_INPUT"),
        (json!({ "first": 1, "after": "not a cursor" }), "BAD_INPUT"),
        (json!({ "first": 1_000_000 }), "TOO_LARGE"),
    ] {
        let mut variables = arguments.clone();
        variables["id"] = json!(id);
        assert_eq!(team.owner.refused(LOGS, variables).await.code(), code, "{arguments}");
    }
}

async fn a_workflow_runs_log_is_its_newest_lines_in_order_of_time(team: Team) {
    let run = unique("run");
    let mut executions = Vec::new();
    for _ in 0..3 {
        executions.push(id_of(&team.owner.start(json!({ "workflowRunId": run })).await));
    }
    // Minute by minute, from one execution after the other.
    for minute in 0..9 {
        let line = json!({ "message": format!("minute {minute}"), "timestamp": format!("2026-11-21T09:0{minute}:00Z"),
                           "level": if minute == 4 { "ERROR" } else { "INFO" } });
        team.owner.append(&executions[minute % 3], &[line]).await;
    }
    let document = "query ($run: String!, $last: Int!, $filter: LogFilter) {
        workflowRun(id: $run) { logs(last: $last, filter: $filter) { executionId message } }
    }";
    let newest = team.owner.query(document, json!({ "run": run, "last": 4 })).await;
    let newest = &newest["workflowRun"]["logs"];
    assert_eq!(messages(newest), ["minute 5", "minute 6", "minute 7", "minute 8"]);
    assert_eq!(newest[0]["executionId"], json!(executions[2]));

    let filter = json!({ "levels": ["ERROR"] });
    let errors = team.owner.query(document, json!({ "run": run, "last": 1_000, "filter": filter })).await;
    assert_eq!(messages(&errors["workflowRun"]["logs"]), ["minute 4"]);
    let refusal = team.owner.refused(document, json!({ "run": run, "last": -1 })).await;
    assert_eq!(refusal.code(), "BAD_INPUT");
}

async fn a_page_of_long_lines_is_whole(team: Team) {
    let id = team.owner.start_any().await;
    let long = line(&"x".repeat(60 * 1024));
    for _ in 0..20 {
        team.owner.append(&id, &[line("short")]).await;
    }
    for _ in 0..2 {
        team.owner.append(&id, &vec![long.clone(); 80]).await;
    }
    let document = "query ($id: ID!, $first: Int, $last: Int, $filter: LogFilter) {
        execution(id: $id) { logs(first: $first, last: $last, filter: $filter) { nodes { seq } totalCount pageInfo { hasNextPage } } }
    }";
    for variables in [json!({ "first": 200 }), json!({ "last": 200 }), json!({ "first": 180 })] {
        let mut with_id = variables.clone();
        with_id["id"] = json!(id);
        let data = team.owner.query(document, with_id).await;
        let page = &data["execution"]["logs"];
        assert_eq!(seqs(&page["nodes"]), (0..180).collect::<Vec<_>>(), "{variables}");
        assert_eq!(page["pageInfo"]["hasNextPage"], false);
        assert_eq!(page["totalCount"], 180);
    }
    let shorts = json!({ "id": id, "last": 30, "filter": { "search": "SHORT" } });
    let data = team.owner.query(document, shorts).await;
    assert_eq!(data["execution"]["logs"]["totalCount"], 20, "counted in several reads");
}

async fn lists_of_executions_give_each_its_own_lines(team: Team) {
    let mut ids = Vec::new();
    for count in 0..5 {
        let id = team.owner.start_any().await;
        for call in 0..count {
            team.owner.append(&id, &[line(&format!("{count} {call}"))]).await;
        }
        ids.push(id);
    }
    let document = "query ($ids: [ID!]!) {
        nodes(ids: $ids) { ... on Execution { id
            newest: logs(last: 2) { nodes { executionId message } totalCount pageInfo { hasPreviousPage } }
            oldest: logs(first: 1) { nodes { message } totalCount pageInfo { hasNextPage } }
            none: logs(filter: { search: \"nowhere\" }) { nodes { message } totalCount }
        } }
    }";
    let data = team.owner.query(document, json!({ "ids": ids })).await;
    for (count, execution) in data["nodes"].as_array().expect("a list").iter().enumerate() {
        let all: Vec<_> = (0..count).map(|call| format!("{count} {call}")).collect();
        assert_eq!(execution["id"], json!(ids[count]));
        assert_eq!(messages(&execution["newest"]["nodes"]), all[count.saturating_sub(2)..]);
        assert_eq!(messages(&execution["oldest"]["nodes"]), all[..count.min(1)]);
        assert_eq!(execution["newest"]["totalCount"], count);
        assert_eq!(execution["newest"]["pageInfo"]["hasPreviousPage"], count > 2);
        assert_eq!(execution["oldest"]["pageInfo"]["hasNextPage"], count > 1);
        assert_eq!(execution["none"], json!({ "nodes": [], "totalCount": 0 }));
        for line in execution["newest"]["nodes"].as_array().expect("a list") {
            assert_eq!(line["executionId"], json!(ids[count]));
        }
    }
}

async fn a_workflow_runs_log_of_long_lines_is_whole(team: Team) {
    let run = unique("run");
    let id = id_of(&team.owner.start(json!({ "workflowRunId": run })).await);
    for _ in 0..2 {
        team.owner.append(&id, &vec![line(&"x".repeat(60 * 1024)); 100]).await;
    }
    let document = "query ($run: String!) { workflowRun(id: $run) { logs(last: 1000) { seq } } }";
    let data = team.owner.query(document, json!({ "run": run })).await;
    assert_eq!(seqs(&data["workflowRun"]["logs"]), (0..200).collect::<Vec<_>>(), "12 MiB without a filter");
}

const LOGS: &str =
    "query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $filter: LogFilter) {
    execution(id: $id) {
        logs(first: $first, after: $after, last: $last, before: $before, filter: $filter) {
            edges { cursor node { seq } }
            nodes { executionId seq timestamp level stream message fields }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
            totalCount
        }
    }
}";

/// All lines of a log that is shorter than the longest page.
async fn all_lines(client: &Client, id: &str) -> Value {
    let mut data = client.query(LOGS, json!({ "id": id, "first": 200 })).await;
    data["execution"]["logs"]["nodes"].take()
}

fn seqs(lines: &Value) -> Vec<i64> {
    let lines = lines.as_array().expect("lines are a list");
    lines.iter().map(|line| line["seq"].as_i64().expect("a line has a number")).collect()
}
