//! What reading costs in SQL: as many statements for a hundred rows as for one, each by an index of the tenant's.

mod plan;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{
    Backend, Client, Cloud, CloudKind, Server, Socket, Team, events, files, for_each_backend, for_postgres,
    for_sqlite, get, id_of, line, soon, unique,
};

for_each_backend!(
    a_list_takes_as_many_statements_for_a_hundred_rows_as_for_one,
    logs_that_are_longer_than_a_read_are_read_together,
    lists_never_read_what_was_not_asked_for,
    every_list_and_look_up_uses_an_index_of_the_tenant,
    work_in_the_background_scans_no_table,
    archiving_scans_no_table,
    keeping_history_in_order_scans_no_table,
    summing_up_statistics_scans_no_table,
);

for_sqlite!(
    the_hits_of_a_search_are_looked_up_by_their_keys,
    the_longest_and_the_costliest_of_each_value_come_from_an_index_of_theirs,
    the_longest_and_the_costliest_are_asked_one_by_one_whether_they_have_the_words,
);
for_postgres!(
    a_page_of_a_search_does_not_look_at_all_that_have_its_words,
    the_longest_and_the_costliest_of_each_value_are_merged_from_an_index_of_theirs,
);

/// A server that logs each statement as a line of JSON.
async fn logging_server(backend: Backend) -> Server {
    let builder = Server::builder(backend).await;
    // The archiver's statements would look like those of readers.
    let builder = builder.env("RUNLEDGER_LOG_FLUSH_INTERVAL_SECONDS", "3600");
    builder.env("RUNLEDGER_LOG", "warn,sqlx::query=debug").env("RUNLEDGER_LOG_FORMAT", "json").start().await
}

const EXECUTION: &str = "id codeAgent { name latestVersion { source } version(number: 1) { number } }
    codeVersion { source codeAgent { id } } status name ownerId inputs result error project { id key name } heartbeatAt
    tokens { total } costUsd durationMs revision visual { enabled } createdAt";

/// Of executions that have lines: a log without lines is not read at all.
const WITH_LOGS: &str = "id logs(last: 3) { nodes { seq message } totalCount }
    oldest: logs(first: 1, filter: { levels: [INFO] }) { nodes { message } pageInfo { hasNextPage } }";

/// Of executions with a visual session.
const WITH_EVENTS: &str = "id visual { eventsCaptured streamDurationMs download { url } }
    visualEvents(first: 2) { events nextSeq } next: visualEvents(fromSeq: 2) { events }";

/// Of a generation: its list of files is read for the whole page, too, and so is its project.
const GENERATION: &str = "id version message sizeBytes files { path sha256 } file(path: \"a\") { sizeBytes }
    project { key latestGeneration { version } } storage { key uploadState } download { url }";

async fn a_list_takes_as_many_statements_for_a_hundred_rows_as_for_one(backend: Backend) {
    let team = Team::of(&logging_server(backend).await);
    let run = unique("run");
    let agent = agent(&team.owner, 0).await;
    // The oldest project, which the list of its generations is read of.
    let generation = team.owner.save("first", &files(&[("a", b"a")])).await;
    team.owner.record(json!([recorded_of(&agent, &run, 0, &generation)])).await.expect("it is fine");
    start_with_lines(&team.owner, &run, 1).await;

    let lists = [
        format!("query ($n: Int!) {{ executions(first: $n) {{ nodes {{ {EXECUTION} }} totalCount }} }}"),
        format!("query ($n: Int!) {{ executions(last: $n, orderBy: COSTLIEST) {{ edges {{ node {{ {EXECUTION} }} }} }} }}"),
        format!("query ($n: Int!) {{ activeExecutions(first: $n) {{ nodes {{ {EXECUTION} }} totalCount }} }}"),
        format!("query ($n: Int!) {{ activeExecutions(first: $n) {{ nodes {{ {WITH_LOGS} }} }} }}"),
        format!("query ($n: Int!) {{ visualSessions(first: $n) {{ nodes {{ {WITH_EVENTS} }} totalCount }} }}"),
        format!(
            "query ($n: Int!) {{
                executions(first: $n, filter: {{ statuses: [RUNNING] }}) {{ edges {{ node {{ {WITH_LOGS} }} }} }}
            }}"
        ),
        format!(
            "query ($n: Int!, $run: String!) {{
                workflowRun(id: $run) {{ status executions(first: $n) {{ nodes {{ {EXECUTION} }} }} logs(last: $n) {{ seq }} }}
            }}"
        ),
        format!("query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ id ... on Execution {{ {EXECUTION} }} }} }}"),
        format!(
            "query ($n: Int!) {{ projects(last: $n) {{ nodes {{ id key stats {{ failed }} latestGeneration {{ {GENERATION} }} }} totalCount }} }}"
        ),
        format!(
            "query ($n: Int!) {{ projects(last: 1) {{ nodes {{
                generations(first: $n) {{ nodes {{ {GENERATION} }} edges {{ cursor }} totalCount }}
            }} }} }}"
        ),
        format!(
            "query ($n: Int!) {{ executions(first: $n, orderBy: OLDEST) {{ nodes {{ generation {{ {GENERATION} }} }} }} }}"
        ),
        "query ($n: Int!) { codeAgents(first: $n) { nodes {
            stats { totalExecutions series(by: HOUR) { stats { failed } } } late: stats(from: \"2026-10-01T10:30:00Z\") { queued }
            name tags latestVersion { source codeAgent { id } } version(number: 1) { source } none: version(number: 9) { id }
        } totalCount } }"
            .into(),
    ];
    let mut counts = Vec::new();
    for list in &lists {
        counts.push(fewest_statements_of(&team, list, variables(&team, &run, 1).await).await.len());
    }
    let mut inputs = Vec::new();
    for number in 1..100 {
        // Other generations of the first project, and the first ones of others.
        team.owner.save("first", &files(&[("a", b"a")])).await;
        let generation = team.owner.save(&format!("project {number}"), &files(&[("a", b"a")])).await;
        inputs.push(recorded_of(&agent, &run, number, &generation));
    }
    team.owner.record(json!(inputs)).await.expect("they are fine");
    start_with_lines(&team.owner, &run, 99).await;
    for (list, count) in lists.iter().zip(counts) {
        let statements = fewest_statements_of(&team, list, variables(&team, &run, 100).await).await;
        assert!(
            count > 0 && statements.len() == count,
            "{count} for one row, now {}\n{list}",
            statements.join("\n")
        );
    }
}

async fn logs_that_are_longer_than_a_read_are_read_together(backend: Backend) {
    const DOCUMENT: &str = "query ($n: Int!) {
        activeExecutions(first: $n) { nodes { id logs(first: 60) { nodes { seq } pageInfo { hasNextPage } } } }
    }";
    let team = Team::of(&logging_server(backend).await);
    for _ in 0..4 {
        let id = team.owner.start_any().await;
        for _ in 0..3 {
            team.owner.append(&id, &vec![line(&"x".repeat(60 * 1024)); 20]).await;
        }
    }
    let one = fewest_statements_of(&team, DOCUMENT, json!({ "n": 1 })).await.len();
    let four = fewest_statements_of(&team, DOCUMENT, json!({ "n": 4 })).await;
    assert!(four.len() <= one + 2, "{one} for one log, now {}", four.join("\n"));
    let data = team.owner.query(DOCUMENT, json!({ "n": 4 })).await;
    for execution in data["activeExecutions"]["nodes"].as_array().expect("a list") {
        let seqs = execution["logs"]["nodes"].as_array().expect("lines").iter().map(|line| &line["seq"]);
        assert!(seqs.eq(&(0..60).map(|seq| json!(seq)).collect::<Vec<_>>()), "each log is whole");
        assert_eq!(execution["logs"]["pageInfo"]["hasNextPage"], false);
    }
}

async fn lists_never_read_what_was_not_asked_for(backend: Backend) {
    let team = Team::of(&logging_server(backend).await);
    team.owner.record(json!([recorded("run", 0)])).await.expect("it is fine");
    let slim =
        fewest_statements_of(&team, "{ executions { nodes { id status name costUsd } } }", json!({})).await;
    assert_eq!(slim.len(), 1, "neither the large values, nor the logs, nor a count: {slim:#?}");
}

async fn every_list_and_look_up_uses_an_index_of_the_tenant(backend: Backend) {
    let server = logging_server(backend).await;
    let team = Team::of(&server);
    let id = fill(&team).await;
    let mut statements = BTreeSet::new();
    for document in [
        "query ($id: ID!) { node(id: $id) { id } }",
        "query ($id: ID!) { nodes(ids: [$id]) { id ... on Execution { inputs heartbeatAt project { id } } } }",
        "query ($id: ID!) { execution(id: $id) { id inputs logs(first: 2) { nodes { seq } totalCount } } }",
        "query ($id: ID!) { execution(id: $id) { logs(last: 2, filter: { search: \"x\" }) { nodes { seq } totalCount } } }",
        "query ($agent: ID!) { codeAgent(id: $agent) {
            latestVersion { id source codeAgent { id } } version(number: 1) { number } logs { message }
            versions(first: 1) { nodes { source } totalCount } executions { nodes { id codeVersion { id } } totalCount }
            longest: executions(orderBy: LONGEST) { nodes { id } }
        } }",
        "query ($agent: ID!) { node(id: $agent) { ... on CodeAgent { versions(last: 1) { nodes { id } } } } }",
        "query ($id: ID!) { execution(id: $id) { logs(first: 200) { nodes { seq } } } }",
        "{ activeExecutions(first: 50) { nodes { logs(last: 3) { nodes { seq } totalCount } } } }",
        "{ activeExecutions(first: 50) { nodes { logs(first: 200) { nodes { seq } } } } }",
        "query ($project: ID!) { project(id: $project) { id stats { failed series(by: DAY) { end } } } node(id: $project) { id } }",
        "query ($agent: ID!) { codeAgent(id: $agent) { stats(to: \"2026-11-01T10:30:00Z\") { failed } } }",
        "{ codeAgents { nodes { stats(from: \"2026-11-01T10:30:00Z\") { failed } } } projects { nodes { stats { failed } } } }",
        "{ registryStats { reuseRate } day: registryStats(from: \"2026-11-01T10:30:00Z\") { reuseRate } }",
        "query ($agent: ID!) { stats(filter: { codeAgentId: $agent, from: \"2026-11-01T10:30:00Z\" }) { failed } }",
        "{ stats { failed series(by: HOUR) { start } } }",
        "{ stats(filter: { from: \"2025-11-01T10:30:00Z\", to: \"2026-11-01T10:30:00Z\" }) { failed series(by: DAY) { start } } }",
        "{ stats(filter: { workflowId: \"w\", from: \"2026-11-01T10:30:00Z\" }) { failed } }",
        "{ stats(filter: { projectKey: \"p\", ownerId: \"o\", mode: LOCAL_RUN, from: \"2026-11-01T10:30:00Z\" }) { failed } }",
        "{ stats(filter: { projectKey: \"p\", workflowId: \"w\" }) { failed series(by: DAY) { start } } }",
        "query ($agent: ID!) { stats(filter: { codeAgentId: $agent, workflowId: \"w\", ownerId: \"o\" }) { failed } }",
        "query ($generation: ID!) { generation(id: $generation) {
            files { path text } project { key latestGeneration { id } } download { url }
        } }",
        "query ($generation: ID!) { node(id: $generation) { ... on Generation { file(path: \"a\") { base64 } } } }",
        "query ($generation: ID!) { compareGenerations(from: $generation, to: $generation) { changed { diff } } }",
        "query ($id: ID!) { execution(id: $id) {
            visual { eventsCaptured streamDurationMs download { url } } visualEvents { events } next: visualEvents(fromSeq: 1, first: 1) { events }
        } }",
        "{ visualSessions(first: 50) { nodes { visual { eventsCaptured } visualEvents(first: 2) { events } } } }",
        "{ executions(first: 50) { nodes { generation { files { path } project { key } } } } }",
        "{ projects(first: 50) { nodes { latestGeneration { files { path } } } } }",
        "query ($run: String!) {
            workflowRun(id: $run) { status costUsd executions { nodes { id } totalCount } logs(filter: { levels: [INFO] }) { seq } }
        }",
    ] {
        statements.extend(statements_of(&team, document, variables_of(&team, &id).await).await);
    }
    for (list, arguments) in [
        (
            "executions",
            vec![
                json!({}),
                json!({ "orderBy": "OLDEST" }),
                json!({ "orderBy": "LONGEST" }),
                json!({ "orderBy": "COSTLIEST" }),
            ],
        ),
        ("executions", filters(&id)),
        ("activeExecutions", vec![json!({})]),
        ("visualSessions", vec![json!({}), json!({ "filter": { "statuses": ["RUNNING"] } })]),
        ("projects", vec![json!({})]),
        (
            "codeAgents",
            vec![
                json!({}),
                json!({ "filter": { "search": "agent x" } }),
                json!({ "filter": { "name": "agent 1" } }),
                json!({ "filter": { "language": "json" } }),
                json!({ "filter": { "tags": ["a", "b"] } }),
            ],
        ),
    ] {
        for arguments in arguments {
            statements.extend(statements_of_pages(&team, list, &arguments).await);
        }
    }
    statements.extend(statements_of_subscriptions(&team, &id).await);
    statements.extend(statements_of_generations(&team).await);

    let statements: Vec<_> = statements.into_iter().collect();
    let complaints = plan::complaints(&server, &statements).await;
    assert!(statements.len() > 20, "the walk came to {} statements", statements.len());
    assert!(
        complaints.is_empty(),
        "{} of {}:\n{}",
        complaints.len(),
        statements.len(),
        complaints.join("\n")
    );
}

/// By itself SQLite reads a page in the order of time and looks at each whether it is a hit: of rare words, at all there are.
async fn the_hits_of_a_search_are_looked_up_by_their_keys(backend: Backend) {
    let server = logging_server(backend).await;
    let team = Team::of(&server);
    fill(&team).await;
    let list = "query ($filter: ExecutionFilter!) { executions(filter: $filter) { nodes { id } } }";
    let mut looks = 0;
    for filter in
        [json!({ "search": "recorded" }), json!({ "search": "recorded number", "statuses": ["COMPLETED"] })]
    {
        let statements = statements_of(&team, list, json!({ "filter": filter })).await;
        for statement in statements.iter().filter(|statement| statement.contains("execution_words")) {
            let steps = plan::sqlite_steps(&server, statement).await;
            for step in steps.iter().filter(|step| step.starts_with("SEARCH execution USING")) {
                assert!(step.contains("(tenant_id=? AND id=?)"), "{step}\n    {statement}");
                looks += 1;
            }
        }
    }
    assert!(looks >= 2, "the hits of each are looked up");
}

const SORTED_LIST: &str = "query ($filter: ExecutionFilter!, $order: ExecutionOrder!) {
    executions(filter: $filter, orderBy: $order) { nodes { id } }
}";

/// One value of everything that has an index in the orders of duration and cost, by the indexes' names.
async fn one_of_each_value(team: &Team) -> [(&'static str, Value); 4] {
    [
        ("code_agent", json!({ "codeAgentIds": [agent(&team.owner, 0).await] })),
        ("workflow", json!({ "workflowIds": ["w"] })),
        ("project", json!({ "projectKeys": ["p"] })),
        ("owner", json!({ "ownerIds": [Team::OWNER] })),
    ]
}

async fn statement_of_page(team: &Team, filter: &Value, order: &str) -> String {
    let variables = json!({ "filter": filter, "order": order.to_uppercase() });
    let statements = statements_of(team, SORTED_LIST, variables).await;
    statements.into_iter().find(|statement| statement.contains("ORDER BY")).expect("a page")
}

/// Otherwise a page goes through all that is longer, or dearer, of others, or sorts all of them.
async fn the_longest_and_the_costliest_of_each_value_come_from_an_index_of_theirs(backend: Backend) {
    let server = logging_server(backend).await;
    let team = Team::of(&server);
    fill(&team).await;
    for order in ["longest", "costliest"] {
        let mut cases = vec![
            (json!({ "statuses": ["COMPLETED"], "modes": ["LOCAL_RUN"] }), "status", 1),
            (json!({ "statuses": ["COMPLETED"] }), "status", 2),
            (json!({ "modes": ["LOCAL_RUN"] }), "status", 5),
            (json!({ "statuses": ["FAILED", "COMPLETED", "FAILED"] }), "status", 4),
        ];
        for (value, filter) in one_of_each_value(&team).await {
            let with = |statuses: Value| {
                let mut filter = filter.clone();
                filter["statuses"] = statuses;
                filter
            };
            cases.push((filter.clone(), value, 5));
            cases.push((with(json!(["COMPLETED"])), value, 1));
            cases.push((with(json!(["COMPLETED", "FAILED"])), value, 2));
        }
        for (filter, value, strands) in cases {
            let page = statement_of_page(&team, &filter, order).await;
            let steps = plan::sqlite_steps(&server, &page).await;
            let index = format!("INDEX execution_{order}_of_{value} (");
            let of_index = steps.iter().filter(|step| step.contains(&index)).count();
            assert_eq!(of_index, strands, "{index}: {steps:?}\n    {page}");
            // The page is sorted, not what it comes from.
            let sorted = steps.iter().filter(|step| step.contains("TEMP B-TREE")).count();
            assert_eq!(sorted, usize::from(strands > 1), "sorted: {steps:?}\n    {page}");
        }
    }
}

/// Otherwise all that have the words are found for each page.
async fn the_longest_and_the_costliest_are_asked_one_by_one_whether_they_have_the_words(backend: Backend) {
    let server = logging_server(backend).await;
    let team = Team::of(&server);
    fill(&team).await;
    for order in ["LONGEST", "COSTLIEST"] {
        for filter in [
            json!({ "search": "recorded" }),
            json!({ "search": "recorded", "statuses": ["COMPLETED"] }),
            json!({ "search": "recorded", "modes": ["LOCAL_RUN"] }),
        ] {
            let variables = json!({ "filter": filter, "order": order });
            let statements = statements_of(&team, SORTED_LIST, variables).await;
            let asking: Vec<_> =
                statements.iter().filter(|statement| statement.contains("execution_words")).collect();
            assert_eq!(asking.len(), 1, "{order} {filter}: {statements:?}");
            let steps = plan::sqlite_steps(&server, asking[0]).await;
            let is_asked_one_by_one = steps.iter().any(|step| step.starts_with("CORRELATED SCALAR SUBQUERY"));
            assert!(is_asked_one_by_one, "{order} {filter}: {steps:?}\n    {}", asking[0]);
        }
    }
}

async fn the_longest_and_the_costliest_of_each_value_are_merged_from_an_index_of_theirs(backend: Backend) {
    let server = logging_server(backend).await;
    let team = Team::of(&server);
    fill(&team).await;
    for order in ["longest", "costliest"] {
        for (value, filter) in one_of_each_value(&team).await {
            let page = statement_of_page(&team, &filter, order).await;
            let indexes = plan::postgres_merged_indexes(&server, &page).await;
            // Of a value that all executions have PostgreSQL may look at each.
            let of_theirs = |index: &&String| {
                [value, "status"].iter().any(|of| **index == format!("execution_{order}_of_{of}"))
            };
            assert_eq!(indexes.iter().filter(of_theirs).count(), 5, "{indexes:?}\n    {page}");
        }
    }
}

async fn work_in_the_background_scans_no_table(backend: Backend) {
    let cloud = Cloud::start(CloudKind::S3).await;
    let builder = cloud.server(backend).await;
    let server = builder
        .env("RUNLEDGER_LOG", "warn,sqlx::query=debug")
        .env("RUNLEDGER_LOG_FORMAT", "json")
        .start()
        .await;
    let team = Team::of(&server);
    // A save and its upload, one that fails and waits, a deletion, a large source; then a start with all of them.
    for number in 0..60 {
        team.owner.save(&format!("project {}", number % 7), &files(&[("a", b"a")])).await;
    }
    let uploaded = team.owner.save_any().await;
    team.owner.follow_upload(&uploaded).await.until("UPLOADED").await;
    let source = format!("\"{}\"", "x".repeat(120 * 1024));
    team.owner.new_code_agent("large", &source).await;
    cloud.front().go_away().await;
    let waiting = team.owner.save_any().await;
    team.owner.follow_upload(&waiting).await.until_it_fails().await;
    server.kill9();
    cloud.front().come_back().await;
    server.restart().await;
    let team = team.after_a_restart();
    team.owner.follow_upload(&waiting).await.until("UPLOADED").await;
    assert_eq!(team.owner.delete_generation(&uploaded).await.expect("it is ours"), 1);

    let statements: BTreeSet<_> =
        logged(&server, 0, &["SELECT", "WITH", "DELETE", "UPDATE"]).into_iter().collect();
    let of_jobs: Vec<_> = statements
        .into_iter()
        .filter(|statement| {
            ["job", "generation", "code_version"]
                .iter()
                .any(|table| statement.contains(&format!("\"{table}\"")))
        })
        .collect();
    for part in ["FROM \"job\"", "DELETE FROM \"job\"", "FROM \"generation\"", "FROM \"code_version\""] {
        assert!(of_jobs.iter().any(|statement| statement.contains(part)), "there is a statement {part}");
    }
    let scans = plan::scans(&server, &of_jobs).await;
    assert!(scans.is_empty(), "{} of {}:\n{}", scans.len(), of_jobs.len(), scans.join("\n"));
}

async fn archiving_scans_no_table(backend: Backend) {
    let cloud = Cloud::start(CloudKind::S3).await;
    let server = cloud.server(backend).await;
    let server = server
        .env("RUNLEDGER_LOG", "warn,sqlx::query=debug")
        .env("RUNLEDGER_LOG_FORMAT", "json")
        .env("RUNLEDGER_LOG_FLUSH_INTERVAL_SECONDS", "1")
        .start()
        .await;
    let team = Team::of(&server);
    let id = fill(&team).await;
    team.owner.complete(&id).await;
    let document = "query ($id: ID!) { execution(id: $id) { logObject {
        lineCount archivedLineCount download { url }
    } } }";
    let link = loop {
        let log = team.owner.query(document, json!({ "id": id })).await["execution"]["logObject"].take();
        if log["lineCount"] == log["archivedLineCount"] {
            break log["download"]["url"].as_str().expect("a text").to_owned();
        }
    };
    assert_eq!(get(&link, &[]).await.status, 200);
    cloud.front().go_away().await;
    let waiting = team.owner.start_any().await;
    team.owner.append(&waiting, &[line("x")]).await;
    server.kill9();
    cloud.front().come_back().await;
    let past = |column: &str| match backend {
        Backend::Sqlite => format!("'2025' || substr({column}, 5)"),
        Backend::Postgres => format!("{column} - interval '1 year'"),
    };
    // One has expired, and one is of a time before there were objects.
    server.alter(&format!("UPDATE log_stream SET last_line_at = {} WHERE ended", past("last_line_at"))).await;
    server.alter("UPDATE log_stream SET archive_due_at = NULL WHERE next_seq > archived_seq").await;
    server.restart().await;
    let team = team.after_a_restart();
    let expired = "query ($id: ID!) { execution(id: $id) { logObject { expired } } }";
    while team.owner.query(expired, json!({ "id": id })).await["execution"]["logObject"]["expired"] != true {}

    let statements: BTreeSet<_> =
        logged(&server, 0, &["SELECT", "WITH", "DELETE", "UPDATE"]).into_iter().collect();
    let of_logs: Vec<_> = statements
        .into_iter()
        .filter(|statement| {
            ["log_stream", "log_chunk"].iter().any(|table| statement.contains(&format!("\"{table}\"")))
        })
        .collect();
    for part in [
        "\"archive_due_at\" IS NULL",
        "\"archive_due_at\" IS NOT NULL",
        "\"archive_due_at\" <=",
        "\"last_line_at\" <",
        "DELETE FROM \"log_chunk\"",
        "\"last_seq\", \"log_chunk\".\"byte_count\"",
    ] {
        assert!(of_logs.iter().any(|statement| statement.contains(part)), "there is a statement with {part}");
    }
    let scans = plan::scans(&server, &of_logs).await;
    assert!(scans.is_empty(), "{} of {}:\n{}", scans.len(), of_logs.len(), scans.join("\n"));
}

async fn keeping_history_in_order_scans_no_table(backend: Backend) {
    let server = logging_server(backend).await;
    let team = Team::of(&server);
    fill(&team).await;
    let silent = id_of(&team.owner.start(json!({ "staleAfterSeconds": 1 })).await);
    while team.owner.execution(&silent).await["status"] != "FAILED" {}
    let delete =
        "mutation ($filter: ExecutionFilter!) { deleteExecutions(filter: $filter) { deletion { id } } }";
    let filter = json!({ "search": "recorded", "durationMs": { "min": 1_000 } });
    let begun = team.owner.query(delete, json!({ "filter": filter })).await;
    let id = &begun["deleteExecutions"]["deletion"]["id"];
    let progress = "query ($id: ID!) { deletion(id: $id) { state } }";
    while team.owner.query(progress, json!({ "id": id })).await["deletion"]["state"] != "DONE" {}
    server.kill9();
    let past = match backend {
        Backend::Sqlite => "'2025' || substr(created_at, 5)",
        Backend::Postgres => "created_at - interval '1 year'",
    };
    let old = "WHERE status = 'COMPLETED' AND duration_ms < 10";
    server.alter(&format!("UPDATE execution SET created_at = {past}, completed_at = {past} {old}")).await;
    server
        .alter("UPDATE execution_search SET pending = true WHERE start_words = 'recorded 500 number'")
        .await;
    server.set_env("RUNLEDGER_EXECUTION_RETENTION_DAYS", "30");
    server.restart().await;
    let team = team.after_a_restart();
    let count = "{ executions(filter: { durationMs: { max: 9 } }, first: 0) { totalCount } }";
    while team.service.query(count, json!({})).await["executions"]["totalCount"] != 0 {}

    let parts = [
        "\"check_at\" <=",
        "\"deletion_item\"",
        "\"completed_at\" <",
        "pending LIMIT",
        "(\"tenant_id\", \"id\") >",
    ];
    let statements: BTreeSet<_> =
        logged(&server, 0, &["SELECT", "WITH", "DELETE", "UPDATE"]).into_iter().collect();
    let of_history: Vec<_> = statements
        .into_iter()
        .filter(|statement| parts.iter().any(|part| statement.contains(part)))
        .collect();
    for part in &parts[..4] {
        assert!(
            of_history.iter().any(|statement| statement.contains(part)),
            "there is a statement with {part}: {}",
            of_history.join("\n")
        );
    }
    let scans = plan::scans(&server, &of_history).await;
    assert!(scans.is_empty(), "{} of {}:\n{}", scans.len(), of_history.len(), scans.join("\n"));
}

async fn summing_up_statistics_scans_no_table(backend: Backend) {
    let server = logging_server(backend).await;
    let team = Team::of(&server);
    fill(&team).await;
    let workflow = unique("workflow");
    let id = id_of(&team.owner.start(json!({ "workflowId": workflow })).await);
    let rows = format!("statistic WHERE workflow_id = '{workflow}'");
    soon("the sum", async { while server.count_rows(&rows).await == 0 {} }).await;
    let delete = "mutation ($id: ID!) { deleteExecution(id: $id) { deletedCount } }";
    team.owner.query(delete, json!({ "id": id })).await;
    soon("the sum without it", async { while server.count_rows(&rows).await > 0 {} }).await;
    // Of two rows, both are read whatever the index.
    server.alter("INSERT INTO statistic_place SELECT 'org:' || seq, 0, 0 FROM change_event").await;
    let statements: BTreeSet<_> = logged(&server, 0, &["SELECT", "DELETE", "UPDATE"]).into_iter().collect();
    let of_statistics: Vec<_> = statements
        .into_iter()
        .filter(|statement| {
            ["\"statistic", "\"change_event\".\"figures\"", "GROUP BY \"change_event\""]
                .iter()
                .any(|part| statement.contains(part))
        })
        .collect();
    for part in [
        "FROM \"statistic\" WHERE",
        "FROM \"change_event\" WHERE",
        "GROUP BY \"change_event\"",
        "FROM \"statistic_state\"",
        "FROM \"statistic_place\"",
    ] {
        assert!(
            of_statistics.iter().any(|statement| statement.contains(part)),
            "there is a statement {part}"
        );
    }
    let scans = plan::scans(&server, &of_statistics).await;
    assert!(scans.is_empty(), "{} of {}:\n{}", scans.len(), of_statistics.len(), scans.join("\n"));
}

/// The filters of lists: each field alone.
fn filters(id: &str) -> Vec<Value> {
    [
        json!({ "ids": [id] }),
        json!({ "statuses": ["RUNNING"] }),
        json!({ "statuses": ["RUNNING", "QUEUED"] }),
        json!({ "modes": ["CLOUD_RUN"] }),
        json!({ "codeAgentIds": [id] }),
        json!({ "workflowIds": ["workflow"] }),
        json!({ "workflowRunIds": ["run 1", "run 2"] }),
        json!({ "projectKeys": ["project 1"] }),
        json!({ "ownerIds": [Team::OWNER] }),
        json!({ "visualOnly": true }),
        json!({ "createdAt": { "from": "2026-01-01T00:00:00Z", "to": "2036-01-01T00:00:00Z" } }),
        json!({ "completedAt": { "from": "2026-01-01T00:00:00Z" } }),
        json!({ "durationMs": { "min": 1 } }),
        json!({ "totalTokens": { "max": 1 } }),
        json!({ "costUsd": { "min": "1" } }),
        json!({ "search": "recorded" }),
        json!({ "search": "recorded 17", "statuses": ["COMPLETED"] }),
    ]
    .map(|filter| json!({ "filter": filter }))
    .into()
}

/// The statements of a first page, the one after it, the last page and the one before that, each with its count.
async fn statements_of_pages(team: &Team, list: &str, arguments: &Value) -> BTreeSet<String> {
    let both_ways = list != "activeExecutions";
    let mut statements = BTreeSet::new();
    for (count, cursor, of) in [("first", "after", "endCursor"), ("last", "before", "startCursor")] {
        if count == "last" && !both_ways {
            continue;
        }
        let page = |cursor_argument: &str| {
            let given: String = arguments
                .as_object()
                .expect("arguments are an object")
                .iter()
                .fold(String::new(), |given, (name, value)| given + &format!("{name}: {} ", literal(value)));
            format!(
                "{{ {list}({count}: 2 {given} {cursor_argument}) {{ nodes {{ id }} pageInfo {{ {of} }} totalCount }} }}"
            )
        };
        statements.extend(statements_of(team, &page(""), json!({})).await);
        let data = team.owner.query(&page(""), json!({})).await;
        if let Some(at) = data[list]["pageInfo"][of].as_str() {
            statements.extend(statements_of(team, &page(&format!("{cursor}: \"{at}\"")), json!({})).await);
        }
    }
    statements
}

/// The statements of the pages of a project's generations, and of a link that is followed.
async fn statements_of_generations(team: &Team) -> BTreeSet<String> {
    let mut statements = BTreeSet::new();
    let page = |arguments: &str| {
        format!(
            "query ($generation: ID!) {{ generation(id: $generation) {{ project {{
                generations({arguments}) {{ edges {{ cursor node {{ id }} }} totalCount }}
            }} }} }}"
        )
    };
    let variables = json!({ "generation": generation_in_the_middle(team).await });
    let data = team.owner.query(&page("first: 2"), variables.clone()).await;
    let cursor = &data["generation"]["project"]["generations"]["edges"][1]["cursor"];
    for arguments in
        ["first: 2", "last: 2", &format!("first: 2, after: {cursor}"), &format!("last: 2, before: {cursor}")]
    {
        statements.extend(statements_of(team, &page(arguments), variables.clone()).await);
    }
    let link = team.owner.link(variables["generation"].as_str().expect("an id")).await;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let before = team.server.log().len();
        assert_eq!(get(&link, &[]).await.status, 200);
        runs.push(logged_statements(&team.server, before));
    }
    let of_link = in_each(&runs);
    assert!(!of_link.is_empty(), "a link is looked up");
    statements.extend(of_link);
    statements
}

/// A generation of a project with several.
async fn generation_in_the_middle(team: &Team) -> Value {
    let document = "{ executions(first: 50) { nodes { generation { project { generations(first: 2) { nodes { id } } } } } } }";
    let data = team.owner.query(document, json!({})).await;
    let executions = data["executions"]["nodes"].as_array().expect("a list");
    let named =
        executions.iter().find(|execution| execution["generation"].is_object()).expect("one names one");
    named["generation"]["project"]["generations"]["nodes"][1]["id"].clone()
}

/// A value as GraphQL writes it: JSON but for the names of fields and enum values.
fn literal(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{name}: {}", literal(value))).collect();
            format!("{{ {} }}", fields.join(" "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(" ")),
        Value::String(word)
            if !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_') =>
        {
            word.clone()
        }
        plain => plain.to_string(),
    }
}

async fn statements_of_subscriptions(team: &Team, id: &str) -> BTreeSet<String> {
    let after = team.owner.query("{ changesCursor }", json!({})).await["changesCursor"].take();
    team.owner.update(json!({ "id": id, "costUsd": "1" })).await.expect("it is running");
    let generation = generation_in_the_middle(team).await;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let before = team.server.log().len();
        let socket = Socket::connect(&team.owner).await;
        for document in [
            "subscription ($id: ID!) { executionChanged(id: $id) { id inputs } }",
            "subscription ($after: String) { executionsChanged(after: $after) { execution { id inputs } } }",
            "subscription ($id: ID!) { logTail(executionId: $id) { nextSeq } }",
            "subscription ($id: ID!) { logTail(executionId: $id, last: 1) { nextSeq } }",
            "subscription ($id: ID!) { visualEvents(executionId: $id) { nextSeq } }",
            "subscription ($generation: ID!) { generationChanged(id: $generation) { version } }",
            "subscription { statsChanged(filter: { workflowId: \"w\" }) { failed } }",
        ] {
            let variables = match document {
                _ if document.contains("$id") => json!({ "id": id }),
                _ if document.contains("$generation") => json!({ "generation": generation }),
                _ => json!({ "after": after }),
            };
            socket.subscribe(document, variables).next().await;
        }
        runs.push(logged_statements(&team.server, before));
    }
    in_each(&runs).into_iter().collect()
}

/// What every execution has, what one a day has, what came long ago in one hour, and what nothing has.
async fn a_page_of_a_search_does_not_look_at_all_that_have_its_words(backend: Backend) {
    const STATEMENTS_MAX: usize = 40;
    let server = logging_server(backend).await;
    let team = Team::of(&server);
    let now = runledger::clock::now();
    let recorded = (0..1_600).map(|number: i64| {
        let (name, earlier) = match number {
            0..800 => ("common daily", chrono::TimeDelta::days(number)),
            800..1_000 => ("common", chrono::TimeDelta::hours(number)),
            _ => ("common burst", chrono::TimeDelta::days(1_500) + chrono::TimeDelta::seconds(number)),
        };
        let started = now - earlier;
        json!({ "id": runledger::clock::new_id(), "name": name, "status": "COMPLETED", "startedAt": started,
                "completedAt": started })
    });
    for part in recorded.collect::<Vec<_>>().chunks(400) {
        team.owner.record(json!(part)).await.expect("they are fine");
    }
    let list = "query ($filter: ExecutionFilter!, $order: ExecutionOrder, $after: String) {
        executions(filter: $filter, orderBy: $order, first: 50, after: $after) {
            nodes { id } pageInfo { hasNextPage endCursor } } }";
    for (word, hits) in [("common", 1_600), ("daily", 800), ("burst", 600), ("absent", 0)] {
        for order in ["NEWEST", "OLDEST"] {
            let (mut found, mut after) = (BTreeSet::new(), Value::Null);
            loop {
                let before = server.log().len();
                let variables = json!({ "filter": { "search": word }, "order": order, "after": after });
                let page = team.owner.query(list, variables).await["executions"].take();
                found.extend(page["nodes"].as_array().expect("a list").iter().map(id_of));
                let statements = logged_statements(&server, before);
                let of = format!("{word}, {order}, {} found", found.len());
                let looks =
                    statements.iter().filter(|statement| statement.contains("execution_search")).count();
                assert!((1..=STATEMENTS_MAX).contains(&looks), "{of}: {looks} statements");
                let looks_at_all = |statement: &&String| statement.contains("EXISTS");
                assert_eq!(statements.iter().find(looks_at_all), None, "{of}");
                after = page["pageInfo"]["endCursor"].clone();
                if page["pageInfo"]["hasNextPage"] == false {
                    break;
                }
            }
            assert_eq!(found.len(), hits, "{word}, {order}");
        }
    }
}

/// How often each operation runs, so that statements of the server's own that fall between can be told apart.
const RUNS: usize = 3;
/// The same where one that falls into each of those would do harm.
const MORE_RUNS: usize = 8;

/// The SELECT statements that an operation takes, in each of some runs.
async fn runs_of(team: &Team, document: &str, variables: Value, count: usize) -> Vec<Vec<String>> {
    let mut runs = Vec::new();
    for _ in 0..count {
        let before = team.server.log().len();
        team.owner.query(document, variables.clone()).await;
        runs.push(logged_statements(&team.server, before));
    }
    runs
}

async fn statements_of(team: &Team, document: &str, variables: Value) -> Vec<String> {
    in_each(&runs_of(team, document, variables, RUNS).await)
}

async fn fewest_statements_of(team: &Team, document: &str, variables: Value) -> Vec<String> {
    runs_of(team, document, variables, MORE_RUNS).await.into_iter().min_by_key(Vec::len).expect("it ran")
}

/// The statements that are in each run; those that are in one twice are in the answer twice.
fn in_each(runs: &[Vec<String>]) -> Vec<String> {
    let (shortest, others) = runs.split_first().expect("it ran");
    let mut rest: Vec<_> = others.to_vec();
    let is_in_each = |statement: &&String| {
        rest.iter_mut().all(|run| {
            let found = run.iter().position(|other| other == *statement);
            found.map(|at| run.swap_remove(at)).is_some()
        })
    };
    shortest.iter().filter(is_in_each).cloned().collect()
}

/// The SELECT statements in a server's log from an offset on.
fn logged_statements(server: &Server, from: usize) -> Vec<String> {
    let mut statements = logged(server, from, &["SELECT", "WITH"]);
    // The archiver looks for what is due, and how much waits, so often that it falls into each run.
    let is_archivers = |statement: &String| {
        ["<=", "IS NOT NULL"].iter().any(|of| statement.contains(&format!("\"archive_due_at\" {of}")))
    };
    // So does what sums up statistics, of all tenants.
    let is_sum = |statement: &String| {
        [
            "FROM \"statistic_state\"",
            "FROM \"statistic_place\"",
            "SELECT \"statistic\".\"id\"",
            "GROUP BY \"change_event\".\"tenant_id\"",
            "SELECT \"change_event\".\"xid\"",
        ]
        .iter()
        .any(|part| statement.contains(part))
    };
    statements.retain(|statement| !is_archivers(statement) && !is_sum(statement));
    statements
}

/// The statements that begin with one of these words in a server's log from an offset on.
fn logged(server: &Server, from: usize, words: &[&str]) -> Vec<String> {
    let log = server.log();
    let events = log[from..].lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events
        .filter(|event| event["target"] == "sqlx::query")
        .map(|event| {
            // A long statement is summed up, and then whole in another field.
            let field = |name: &str| event[name].as_str().unwrap_or("").trim().to_owned();
            Some(field("db.statement")).filter(|whole| !whole.is_empty()).unwrap_or_else(|| field("summary"))
        })
        .filter(|statement| words.iter().any(|word| statement.starts_with(word)))
        .collect()
}

async fn variables(team: &Team, run: &str, count: usize) -> Value {
    let list = "query ($n: Int!) { executions(first: $n) { nodes { id } } }";
    let data = team.owner.query(list, json!({ "n": count })).await;
    let ids: Vec<_> = data["executions"]["nodes"].as_array().expect("a list").iter().map(id_of).collect();
    assert_eq!(ids.len(), count);
    json!({ "n": count, "run": run, "ids": ids })
}

async fn variables_of(team: &Team, id: &str) -> Value {
    let data = team.owner.query("{ projects(first: 1) { nodes { id } } }", json!({})).await;
    let agents = team.owner.query("{ codeAgents(first: 1) { nodes { id } } }", json!({})).await;
    let agent = &agents["codeAgents"]["nodes"][0]["id"];
    let generation = generation_in_the_middle(team).await;
    json!({ "id": id, "run": "run 1", "agent": agent, "project": data["projects"]["nodes"][0]["id"],
            "generation": generation })
}

/// Fills the database of several tenants with enough rows that a planner would rather not scan. One running execution.
async fn fill(team: &Team) -> String {
    for client in [&team.owner, &team.stranger] {
        for batch in 0..3 {
            let inputs: Vec<_> = (0..1_000)
                .map(|number| recorded(&format!("run {}", number % 50), batch * 1_000 + number))
                .collect();
            client.record(json!(inputs)).await.expect("they are fine");
        }
        start_with_lines(client, "run 1", 50).await;
        for number in 0..300 {
            client.save(&format!("saved {}", number % 60), &files(&[("a", b"a")])).await;
        }
    }
    let generation = team.owner.save("saved 1", &files(&[("a", b"a")])).await;
    let input = json!({ "workflowRunId": "run 1", "inputs": {}, "generationId": generation["id"] });
    let id = id_of(&team.owner.start(input).await);
    for _ in 0..200 {
        team.owner.append(&id, &[line("x")]).await;
    }
    // More than a read takes at once.
    for _ in 0..3 {
        team.owner.append(&id, &vec![line(&"x".repeat(60 * 1024)); 20]).await;
    }
    for number in 0..100 {
        team.owner.append_events(&id, &events(number * 10..number * 10 + 10)).await;
    }
    id
}

async fn start_with_lines(client: &Client, run: &str, count: usize) {
    for number in 0..count {
        let agent = agent(client, number).await;
        let input = json!({ "workflowRunId": run, "codeAgentId": agent, "projectKey": format!("started {number}"), "inputs": { "n": number } });
        let id = id_of(&client.start(input).await);
        client.append(&id, &[line("a line")]).await;
        client.append_events(&id, &events(0..3)).await;
    }
}

/// A new code agent with one version; its id.
async fn agent(client: &Client, number: usize) -> Value {
    let input =
        json!({ "name": format!("agent {number}"), "language": "json", "tags": ["a"], "source": "[1]" });
    let create =
        "mutation ($input: CreateCodeAgentInput!) { createCodeAgent(input: $input) { codeAgent { id } } }";
    client.query(create, json!({ "input": input })).await["createCodeAgent"]["codeAgent"]["id"].take()
}

/// As [`recorded`], of a code agent that makes a generation.
fn recorded_of(agent: &Value, run: &str, number: usize, generation: &Value) -> Value {
    let mut input = recorded(run, number);
    input["codeAgentId"] = agent.clone();
    input["generationId"] = generation["id"].clone();
    input
}

/// A finished execution to be recorded.
fn recorded(run: &str, number: usize) -> Value {
    json!({
        "name": format!("recorded {number}"), "status": "COMPLETED", "workflowId": "workflow", "workflowRunId": run,
        "projectKey": format!("project {}", number % 300), "inputs": { "number": number }, "result": [number],
        "costUsd": format!("0.{number:06}"), "durationMs": number,
        "startedAt": "2026-11-20T10:00:00Z", "completedAt": "2026-11-20T10:00:01Z",
    })
}
