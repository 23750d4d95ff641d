//! Code agents: versions that never change, sources that read back byte for byte, mistakes that are found, executions
//! that know what they ran.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{
    Backend, Client, Refusal, Server, Team, for_each_backend, id_of, line, lines, messages, unique,
};

for_each_backend!(
    an_agent_reads_back_as_it_was_made,
    an_update_changes_only_what_it_names,
    versions_are_numbered_in_the_order_of_publishing,
    a_hundred_concurrent_publishers_make_versions_without_gaps_or_doubles,
    concurrent_publishers_of_one_source_make_one_version,
    source_that_the_newest_version_has_makes_no_new_one,
    any_source_reads_back_byte_for_byte,
    a_mistake_is_refused_with_its_line_and_makes_no_version,
    source_that_is_fine_is_taken_in_each_language,
    source_that_is_not_valid_can_be_kept_and_says_so,
    source_in_another_language_is_kept_and_says_that_it_was_not_checked,
    an_agent_with_invalid_source_is_not_made,
    hostile_source_is_answered_in_time_and_harms_nobody,
    agents_are_found_by_words_name_language_and_tags,
    agents_and_versions_are_paged,
    an_execution_is_bound_to_the_version_of_its_start,
    an_execution_of_what_is_not_there_is_refused,
    the_executions_of_an_agent_are_its_own,
    the_logs_of_an_agent_are_the_newest_lines_of_its_executions,
    a_deleted_agent_is_gone_and_its_executions_stay,
    what_breaks_a_rule_is_refused_and_nothing_is_written,
    agents_and_versions_are_nodes,
    all_is_there_after_a_restart,
);

const AGENT: &str = "id name description language tags ownerId createdAt updatedAt";
const VERSION: &str = "id number source sizeBytes sha256 storage storageKey createdBy createdAt
    validation { valid checked problems { message line column } }";

/// A source in each language with a mistake, and the line of the mistake.
const MISTAKES: [(&str, &str, i64); 8] = [
    ("python", "import os\n\ndef f():\n    return )\n", 4),
    ("javascript", "const a = 1;\n\nlet y = ;\n", 3),
    ("typescript", "interface A { x: number }\nconst a: = 1;\n", 2),
    ("rust", "fn main() {\n    let x = 1;\n    let y = ;\n}\n", 3),
    ("go", "package main\n\nfunc main() {\n\tx := )\n}\n", 4),
    ("bash", "set -e\necho )\n", 2),
    ("sql", "SELECT 1;\nSELECT (a FROM t;\n", 2),
    ("json", "{\n  \"a\": 1,\n  \"b\": ,\n  \"c\": 3\n}\n", 3),
];

const FINE: [(&str, &str); 8] = [
    ("python", "import os\n\n\nclass A:\n    def f(self, *a):\n        return {x: 1 for x in a}\n"),
    ("javascript", "export const f = async (a) => {\n  await a?.b;\n};\n"),
    ("typescript", "export function f<T>(a: T): T | undefined {\n  return a as T;\n}\n"),
    ("rust", "fn main() {\n    let Some(x) = f() else { return };\n    println!(\"{x}\");\n}\n"),
    ("go", "package main\n\nfunc main() {\n\tfor i := range 3 {\n\t\tprintln(i)\n\t}\n}\n"),
    ("bash", "for x in \"$@\"; do\n  cat <<EOF\n$x\nEOF\ndone\n"),
    ("sql", "SELECT a, count(*) FROM t WHERE b = 'c' GROUP BY a;\n"),
    ("json", "{ \"a\": [1, 2, { \"b\": null }] }\n"),
];

async fn an_agent_reads_back_as_it_was_made(team: Team) {
    let input = json!({ "name": "Fixer ✓", "language": "Python", "description": "Fixes\nthings", "tags": ["b", "a", "b"],
                        "source": "x = 1\n" });
    let agent = create(&team.owner, input).await.expect("it is fine");
    let expected = json!({ "name": "Fixer ✓", "language": "python", "description": "Fixes\nthings", "tags": ["b", "a"],
                           "ownerId": Team::OWNER });
    for (field, value) in expected.as_object().expect("it is an object") {
        assert_eq!(agent[field], *value, "{field}");
    }
    assert_eq!(agent["latestVersion"]["number"], 1);
    let id = id_of(&agent);
    assert_eq!(read(&team.colleague, &id).await, agent, "it is the tenant's to read");
    assert!(read(&team.stranger, &id).await.is_null());

    let bare = create(&team.owner, json!({ "name": "bare", "language": "x" })).await.expect("it is fine");
    for nothing in ["description", "latestVersion"] {
        assert!(bare[nothing].is_null(), "{nothing}");
    }
    assert_eq!(bare["tags"], json!([]));
}

async fn an_update_changes_only_what_it_names(team: Team) {
    let input = json!({ "name": "old", "language": "sql", "description": "d", "tags": ["t"] });
    let mut expected = create(&team.owner, input).await.expect("it is fine");
    let id = id_of(&expected);
    for (field, value) in [
        ("name", json!("new")),
        ("description", json!("other")),
        ("description", json!(null)),
        ("tags", json!(["x", "y"])),
        ("tags", json!([])),
    ] {
        let changed = update(&team.owner, json!({ "id": id, field: value })).await.expect("it is ours");
        expected[field] = value;
        assert!(changed["updatedAt"].as_str() >= expected["updatedAt"].as_str());
        expected["updatedAt"] = changed["updatedAt"].clone();
        assert_eq!(changed, expected, "{field}");
    }
    let unchanged = update(&team.owner, json!({ "id": id, "name": "new" })).await.expect("it is ours");
    assert_eq!(unchanged, expected, "a change of nothing leaves no trace");
    assert_eq!(
        update(&team.colleague, json!({ "id": id })).await.expect_err("not theirs").code(),
        "FORBIDDEN"
    );
    assert_eq!(
        found(&team.owner, json!({ "search": "OLD" })).await,
        BTreeSet::new(),
        "the old name is forgotten"
    );
}

async fn versions_are_numbered_in_the_order_of_publishing(team: Team) {
    let id = any_agent(&team.owner, "python").await;
    for number in 1..=3 {
        let published = publish(&team.owner, &id, &format!("x = {number}\n")).await;
        assert_eq!((&published["created"], &published["version"]["number"]), (&json!(true), &json!(number)));
    }
    for number in 1..=3 {
        let version = version(&team.colleague, &id, number).await;
        assert_eq!(version["source"], format!("x = {number}\n"));
        assert_eq!(version["createdBy"], Team::OWNER);
        assert_eq!((&version["storage"], &version["storageKey"]), (&json!("DATABASE"), &json!(null)));
        assert_eq!(version["validation"], json!({ "valid": true, "checked": true, "problems": [] }));
    }
    for number in [-1, 0, 4, i32::MAX.into()] {
        assert!(version(&team.owner, &id, number).await.is_null(), "{number}");
    }
    assert_eq!(read(&team.owner, &id).await["latestVersion"]["number"], 3);
}

async fn a_hundred_concurrent_publishers_make_versions_without_gaps_or_doubles(team: Team) {
    let id = any_agent(&team.owner, "json").await;
    let sources: Vec<_> = (0..100).map(|number| format!("[{number}]")).collect();
    let published =
        futures_util::future::join_all(sources.iter().map(|source| publish(&team.owner, &id, source)));
    let numbers: BTreeSet<_> = published
        .await
        .iter()
        .map(|published| {
            assert_eq!(published["created"], true);
            published["version"]["number"].as_i64().expect("it is a number")
        })
        .collect();
    assert_eq!(numbers, (1..=100).collect());
    let stored: BTreeSet<_> =
        futures_util::future::join_all((1..=100).map(|number| version(&team.owner, &id, number)))
            .await
            .iter()
            .map(|version| version["source"].as_str().expect("it has a source").to_owned())
            .collect();
    assert_eq!(stored, sources.into_iter().collect(), "each is there once");
}

async fn concurrent_publishers_of_one_source_make_one_version(team: Team) {
    let id = any_agent(&team.owner, "json").await;
    let published = futures_util::future::join_all((0..20).map(|_| publish(&team.owner, &id, "[1]"))).await;
    assert_eq!(published.iter().filter(|published| published["created"] == true).count(), 1);
    assert!(published.iter().all(|published| published["version"]["number"] == 1));
}

async fn source_that_the_newest_version_has_makes_no_new_one(team: Team) {
    let id = any_agent(&team.owner, "python").await;
    let first = publish(&team.owner, &id, "x = 1\n").await;
    let again = publish(&team.admin, &id, "x = 1\n").await;
    assert_eq!((&again["created"], &again["version"]), (&json!(false), &first["version"]));
    publish(&team.owner, &id, "x = 2\n").await;
    let back = publish(&team.owner, &id, "x = 1\n").await;
    assert_eq!(
        (&back["created"], &back["version"]["number"]),
        (&json!(true), &json!(3)),
        "only the newest counts"
    );
}

async fn any_source_reads_back_byte_for_byte(team: Team) {
    let id = any_agent(&team.owner, "plain").await;
    let large = "0123456789abcde\n".repeat(128 * 1024);
    for source in [
        "",
        "\n",
        "a\r\nb\rc\n\n",
        "\u{feff}with a mark",
        "nul \u{0} and \u{1}\u{7f}",
        "é 🦀 \u{2028} \u{fffe} \u{10ffff} e\u{301}",
        "  trailing  \t",
        "\\u0000 \\' \" $1 %s {}",
        &large,
    ] {
        let published = publish(&team.owner, &id, source).await;
        let version =
            version(&team.colleague, &id, published["version"]["number"].as_i64().expect("it is there"))
                .await;
        assert!(version["source"] == source, "{:?}", source.chars().take(50).collect::<String>());
        assert_eq!(version["sizeBytes"], source.len());
    }
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(version(&team.owner, &id, 1).await["sha256"], empty);
}

async fn a_mistake_is_refused_with_its_line_and_makes_no_version(team: Team) {
    for (language, source, line) in MISTAKES {
        let id = any_agent(&team.owner, language).await;
        let published = publish(&team.owner, &id, source).await;
        assert_eq!(
            (&published["created"], &published["version"]),
            (&json!(false), &json!(null)),
            "{language}"
        );
        let validation = &published["validation"];
        assert_eq!(
            (&validation["valid"], &validation["checked"]),
            (&json!(false), &json!(true)),
            "{language}"
        );
        assert_eq!(validation["problems"][0]["line"], line, "{language}: {validation}");
        assert!(read(&team.owner, &id).await["latestVersion"].is_null());
    }
}

async fn source_that_is_fine_is_taken_in_each_language(team: Team) {
    for (language, source) in FINE {
        let id = any_agent(&team.owner, language).await;
        let published = publish(&team.owner, &id, source).await;
        assert_eq!(published["created"], true, "{language}: {published}");
        assert_eq!(published["validation"], json!({ "valid": true, "checked": true, "problems": [] }));
    }
}

async fn source_that_is_not_valid_can_be_kept_and_says_so(team: Team) {
    let id = any_agent(&team.owner, "python").await;
    let input = json!({ "codeAgentId": id, "source": "x = )\n", "allowInvalid": true });
    let published = try_publish(&team.owner, input).await.expect("it is to be kept");
    assert_eq!((&published["created"], &published["version"]["number"]), (&json!(true), &json!(1)));
    let validation = version(&team.owner, &id, 1).await["validation"].take();
    assert_eq!(validation, published["validation"]);
    assert_eq!((&validation["valid"], &validation["problems"][0]["line"]), (&json!(false), &json!(1)));
    let again = publish(&team.owner, &id, "x = )\n").await;
    assert_eq!((&again["created"], &again["validation"]), (&json!(false), &validation), "it is the newest");
}

async fn source_in_another_language_is_kept_and_says_that_it_was_not_checked(team: Team) {
    let id = any_agent(&team.owner, "COBOL").await;
    let published = publish(&team.owner, &id, ") ( }{").await;
    assert_eq!(published["created"], true);
    assert_eq!(published["validation"], json!({ "valid": true, "checked": false, "problems": [] }));
    assert_eq!(version(&team.owner, &id, 1).await["validation"], published["validation"]);
}

async fn an_agent_with_invalid_source_is_not_made(team: Team) {
    let input = json!({ "name": "broken", "language": "python", "source": "x = 1\ny = )\n" });
    let refusal = create(&team.owner, input.clone()).await.expect_err("it is not valid");
    assert_eq!((refusal.code(), refusal.field()), ("BAD_INPUT", Some("input.source")));
    assert!(refusal.message().contains("line 2"), "{refusal:?}");
    assert_eq!(found(&team.owner, json!({})).await, BTreeSet::new());
    let mut input = input;
    input["allowInvalid"] = json!(true);
    let kept = create(&team.owner, input).await.expect("it is to be kept");
    assert_eq!(kept["latestVersion"]["validation"]["valid"], false);
}

async fn hostile_source_is_answered_in_time_and_harms_nobody(team: Team) {
    let deep: String = (0..600).map(|depth| format!("{}if x:\n", " ".repeat(depth))).collect();
    let string = format!("{deep}{}f'{{\n", " ".repeat(600));
    let megabyte = |unit: &str| unit.repeat(1024 * 1024 / unit.len());
    for (language, source) in [
        ("python", string),
        ("python", megabyte("(")),
        ("typescript", megabyte("x<")),
        ("javascript", megabyte("let a = [(b")),
        ("rust", megabyte("a ")),
        ("bash", megabyte("<<E\n")),
        ("sql", megabyte("$a$ ")),
        // Brackets are counted before the request is read.
        ("json", "[".repeat(100_000)),
    ] {
        let id = any_agent(&team.owner, language).await;
        let began = Instant::now();
        let published = publish(&team.owner, &id, &source).await;
        assert!(began.elapsed() < Duration::from_secs(15), "{language}: {:?}", began.elapsed());
        assert_eq!(published["created"], published["validation"]["valid"], "{language}");
        publish(&team.owner, &id, "").await;
    }
}

async fn agents_are_found_by_words_name_language_and_tags(team: Team) {
    let agent = |name: &str, language: &str, description: &str, tags: &[&str]| json!({ "name": name, "language": language, "description": description, "tags": tags });
    for input in [
        agent("Log cleaner", "python", "Removes 100% of old lines", &["ops", "logs"]),
        agent("log reader", "rust", "Reads_lines", &["logs"]),
        agent("Ärger", "python", "", &["a,b", "op"]),
        agent("Log cleaner", "go", "the same name", &[]),
    ] {
        create(&team.owner, input).await.expect("it is fine");
    }
    create(&team.stranger, agent("Log cleaner", "python", "theirs", &["ops"])).await.expect("it is fine");
    for (filter, expected) in [
        (json!({}), vec!["Log cleaner", "log reader", "Ärger"]),
        (json!({ "search": "LOG" }), vec!["Log cleaner", "log reader"]),
        (json!({ "search": "lines  reader" }), vec!["log reader"]),
        (json!({ "search": "lean" }), vec!["Log cleaner"]),
        (json!({ "search": "ärg" }), vec!["Ärger"]),
        (json!({ "search": "%" }), vec!["Log cleaner"]),
        (json!({ "search": "_" }), vec!["log reader"]),
        (json!({ "search": "nothing" }), vec![]),
        (json!({ "name": "log reader" }), vec!["log reader"]),
        (json!({ "name": "log" }), vec![]),
        (json!({ "language": "Python" }), vec!["Log cleaner", "Ärger"]),
        (json!({ "tags": ["ops"] }), vec!["Log cleaner"]),
        (json!({ "tags": ["op"] }), vec!["Ärger"]),
        (json!({ "tags": ["a,b", "logs"] }), vec!["Log cleaner", "log reader", "Ärger"]),
        (json!({ "tags": [] }), vec![]),
        (json!({ "tags": ["logs"], "language": "rust", "search": "read" }), vec!["log reader"]),
    ] {
        let expected = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(found(&team.owner, filter.clone()).await, expected, "{filter}");
    }
}

async fn agents_and_versions_are_paged(team: Team) {
    let mut ids = Vec::new();
    for number in 0..5 {
        let input = json!({ "name": format!("agent {number}"), "language": "json" });
        ids.insert(0, id_of(&create(&team.owner, input).await.expect("it is fine")));
    }
    for number in 0..5 {
        publish(&team.owner, &ids[0], &format!("[{number}]")).await;
    }
    let agents = "query ($first: Int, $after: String, $last: Int, $before: String) { list: codeAgents(
        first: $first, after: $after, last: $last, before: $before
    ) { nodes { key: id } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } }";
    let versions = agents
        .replace("codeAgents(", &format!("codeAgent(id: \"{}\") {{ list: versions(", ids[0]))
        .replace("list: codeAgent", "codeAgent")
        .replace("key: id", "key: number")
        + " }";
    let numbers: Vec<_> = (1..=5).rev().map(|number| json!(number)).collect();
    for (document, whole) in
        [(agents, ids.iter().map(|id| json!(id)).collect()), (versions.as_str(), numbers)]
    {
        let mut walked = Vec::new();
        let mut after = json!(null);
        loop {
            let page = list(&team.owner, document, json!({ "first": 2, "after": after })).await;
            walked.extend(keys(&page));
            after = page["pageInfo"]["endCursor"].clone();
            assert_eq!(page["totalCount"], 5);
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(walked, whole);
        let last = list(&team.owner, document, json!({ "last": 2 })).await;
        assert_eq!(keys(&last), whole[3..]);
        let before =
            list(&team.owner, document, json!({ "last": 9, "before": last["pageInfo"]["startCursor"] }))
                .await;
        assert_eq!(keys(&before), whole[..3]);
        for (variables, code) in [
            (json!({ "first": 201 }), "TOO_LARGE"),
            (json!({ "first": -1 }), "BAD_INPUT"),
            (json!({ "after": "garbage" }), "BAD_INPUT"),
        ] {
            assert_eq!(team.owner.refused(document, variables.clone()).await.code(), code, "{variables}");
        }
    }
}

async fn an_execution_is_bound_to_the_version_of_its_start(team: Team) {
    let id = any_agent(&team.owner, "json").await;
    let without = start(&team.owner, json!({ "codeAgentId": id })).await.expect("it is there");
    assert_eq!(without, json!({ "id": without["id"], "codeAgent": { "id": id }, "codeVersion": null }));
    publish(&team.owner, &id, "[1]").await;
    publish(&team.owner, &id, "[2]").await;
    let newest = start(&team.colleague, json!({ "codeAgentId": id })).await.expect("it is there");
    let first =
        start(&team.owner, json!({ "codeAgentId": id, "codeVersion": 1 })).await.expect("it is there");
    publish(&team.owner, &id, "[3]").await;
    for (execution, number) in [(newest, 2), (first, 1)] {
        let document =
            "query ($id: ID!) { execution(id: $id) { codeVersion { number source codeAgent { id } } } }";
        let data = team.owner.query(document, json!({ "id": execution["id"] })).await;
        let expected =
            json!({ "number": number, "source": format!("[{number}]"), "codeAgent": { "id": id } });
        assert_eq!(data["execution"]["codeVersion"], expected);
    }
    team.owner.complete(&id_of(&without)).await;
    let again =
        start(&team.owner, json!({ "id": without["id"], "codeAgentId": id })).await.expect("it was started");
    assert_eq!(again["codeVersion"], json!(null), "it stays as it was started");

    let recorded = |version: Option<i32>| {
        json!({ "status": "COMPLETED", "codeAgentId": id, "codeVersion": version,
                "startedAt": "2026-11-20T10:00:00Z", "completedAt": "2026-11-20T10:00:01Z" })
    };
    let document = "mutation ($inputs: [RecordExecutionInput!]!) {
        recordExecutions(inputs: $inputs) { executions { codeAgent { id } codeVersion { number } } }
    }";
    let data = team.owner.query(document, json!({ "inputs": [recorded(Some(2)), recorded(None)] })).await;
    let numbers = data["recordExecutions"]["executions"].as_array().expect("a list").iter();
    let numbers: Vec<_> = numbers.map(|execution| execution["codeVersion"]["number"].clone()).collect();
    assert_eq!(numbers, [2, 3]);
}

async fn an_execution_of_what_is_not_there_is_refused(team: Team) {
    let (id, theirs) = (any_agent(&team.owner, "json").await, any_agent(&team.stranger, "json").await);
    publish(&team.owner, &id, "[1]").await;
    for (input, code) in [
        (json!({ "codeAgentId": runledger::clock::new_id() }), "NOT_FOUND"),
        (json!({ "codeAgentId": theirs }), "NOT_FOUND"),
        (json!({ "codeAgentId": id, "codeVersion": 2 }), "NOT_FOUND"),
        (json!({ "codeAgentId": id, "codeVersion": 0 }), "NOT_FOUND"),
        (json!({ "codeVersion": 1 }), "BAD_INPUT"),
        (json!({ "codeAgentId": "x" }), "BAD_INPUT"),
    ] {
        assert_eq!(start(&team.owner, input.clone()).await.expect_err("refused").code(), code, "{input}");
        let mut record = input.clone();
        for (field, value) in [
            ("status", "FAILED"),
            ("startedAt", "2026-11-20T10:00:00Z"),
            ("completedAt", "2026-11-20T10:00:01Z"),
        ] {
            record[field] = json!(value);
        }
        assert_eq!(team.owner.record(json!([record])).await.expect_err("refused").code(), code, "{input}");
    }
    // A service acts in a tenant, too: that of whom it acts for.
    let for_owner = json!({ "userId": Team::OWNER, "orgId": team.org });
    let of = |agent: &str| json!({ "codeAgentId": agent, "onBehalfOf": for_owner });
    assert_eq!(start(&team.service, of(&theirs)).await.expect_err("another tenant's").code(), "NOT_FOUND");
    start(&team.service, of(&id)).await.expect("it is the tenant's");
    assert_eq!(
        team.owner.query("{ executions { totalCount } }", json!({})).await["executions"]["totalCount"],
        1
    );
}

async fn the_executions_of_an_agent_are_its_own(team: Team) {
    let (one, other) = (any_agent(&team.owner, "json").await, any_agent(&team.owner, "json").await);
    let mut of_one = BTreeSet::new();
    for _ in 0..3 {
        of_one.insert(id_of(&start(&team.owner, json!({ "codeAgentId": one })).await.expect("it is there")));
        start(&team.owner, json!({ "codeAgentId": other })).await.expect("it is there");
        team.owner.start_any().await;
    }
    let failed = of_one.first().expect("there are some").clone();
    team.owner.finish(json!({ "id": failed, "status": "FAILED" })).await.expect("it is running");
    let document = "query ($id: ID!, $ids: [ID!], $other: [ID!]) {
        codeAgent(id: $id) {
            all: executions { nodes { id } totalCount }
            failed: executions(filter: { statuses: [FAILED] }) { nodes { id } }
            none: executions(filter: { codeAgentIds: $other }) { nodes { id } }
        }
        executions(filter: { codeAgentIds: $ids }) { nodes { id } totalCount }
    }";
    let data = team.owner.query(document, json!({ "id": one, "ids": [one], "other": [other] })).await;
    let ids =
        |list: &Value| list["nodes"].as_array().expect("a list").iter().map(id_of).collect::<BTreeSet<_>>();
    assert_eq!(ids(&data["codeAgent"]["all"]), of_one);
    assert_eq!(data["codeAgent"]["all"]["totalCount"], 3);
    assert_eq!(ids(&data["codeAgent"]["failed"]), BTreeSet::from([failed]));
    assert_eq!(ids(&data["codeAgent"]["none"]), BTreeSet::new());
    assert_eq!(ids(&data["executions"]), of_one);
}

async fn the_logs_of_an_agent_are_the_newest_lines_of_its_executions(team: Team) {
    let (agent, other) = (any_agent(&team.owner, "json").await, any_agent(&team.owner, "json").await);
    for (name, agent, count) in [("old", &agent, 150), ("other", &other, 10), ("new", &agent, 30)] {
        let id = id_of(&start(&team.owner, json!({ "codeAgentId": agent })).await.expect("it is there"));
        team.owner.append(&id, &lines(name, count)).await;
        let error = json!({ "message": format!("{name} failed"), "level": "ERROR" });
        team.owner.append(&id, &[error]).await;
    }
    let stray = team.owner.start_any().await;
    team.owner.append(&stray, &[line("of no agent")]).await;
    let document = "query ($id: ID!, $last: Int = 100, $filter: LogFilter) {
        codeAgent(id: $id) { logs(last: $last, filter: $filter) { message } }
    }";
    let data = team.owner.query(document, json!({ "id": agent })).await;
    let mut expected: Vec<_> = (81..150).map(|number| format!("old {number}")).collect();
    expected.push("old failed".into());
    expected.extend((0..30).map(|number| format!("new {number}")));
    expected.push("new failed".into());
    assert_eq!(messages(&data["codeAgent"]["logs"]), expected[expected.len() - 100..]);
    let filtered = json!({ "id": agent, "filter": { "levels": ["ERROR"] } });
    let data = team.owner.query(document, filtered).await;
    assert_eq!(messages(&data["codeAgent"]["logs"]), ["old failed", "new failed"]);
    assert_eq!(team.owner.refused(document, json!({ "id": agent, "last": -1 })).await.code(), "BAD_INPUT");
    assert_eq!(
        team.owner.refused(document, json!({ "id": agent, "last": 10_001 })).await.code(),
        "TOO_LARGE"
    );
}

async fn a_deleted_agent_is_gone_and_its_executions_stay(team: Team) {
    let id = any_agent(&team.owner, "json").await;
    let version = publish(&team.owner, &id, "[1]").await["version"]["id"].clone();
    let execution = start(&team.owner, json!({ "codeAgentId": id })).await.expect("it is there");
    let before = team.owner.execution(&id_of(&execution)).await;
    let delete = "mutation ($id: ID!) { deleteCodeAgent(id: $id) { deletedCount dryRun } }";
    let count = async |client: &Client| {
        client.query(delete, json!({ "id": id })).await["deleteCodeAgent"]["deletedCount"].clone()
    };
    assert_eq!(team.colleague.refused(delete, json!({ "id": id })).await.code(), "FORBIDDEN");
    assert_eq!(count(&team.stranger).await, 0);
    assert_eq!(count(&team.owner).await, 1);
    assert_eq!(count(&team.owner).await, 0, "deleting again is not an error");

    let document = "query ($id: ID!, $version: ID!, $execution: ID!, $ids: [ID!]) {
        codeAgent(id: $id) { id } agent: node(id: $id) { id } version: node(id: $version) { id }
        execution(id: $execution) { codeAgent { id } codeVersion { id } }
        executions(filter: { codeAgentIds: $ids }) { totalCount }
    }";
    let variables = json!({ "id": id, "version": version, "execution": execution["id"], "ids": [id] });
    let data = team.owner.query(document, variables).await;
    assert_eq!(
        data,
        json!({ "codeAgent": null, "agent": null, "version": null,
                "execution": { "codeAgent": null, "codeVersion": null }, "executions": { "totalCount": 1 } })
    );
    assert_eq!(team.owner.execution(&id_of(&execution)).await, before);
    let input = json!({ "codeAgentId": id, "source": "[2]" });
    assert_eq!(try_publish(&team.owner, input).await.expect_err("it is gone").code(), "NOT_FOUND");
}

async fn what_breaks_a_rule_is_refused_and_nothing_is_written(team: Team) {
    let id = any_agent(&team.owner, "json").await;
    let before = read(&team.owner, &id).await;
    let (long, tags) = ("x".repeat(256), vec!["t"; 51]);
    let large = "x".repeat(2 * 1024 * 1024 + 1);
    for (field, value, code, at) in [
        ("name", json!(""), "BAD_INPUT", "input.name"),
        ("name", json!("a\u{0}b"), "BAD_INPUT", "input.name"),
        ("name", json!(long), "TOO_LARGE", "input.name"),
        ("description", json!("\u{0}"), "BAD_INPUT", "input.description"),
        ("description", json!("x".repeat(16 * 1024 + 1)), "TOO_LARGE", "input.description"),
        ("tags", json!(["fine", "a\nb"]), "BAD_INPUT", "input.tags.1"),
        ("tags", json!(tags), "TOO_LARGE", "input.tags"),
        ("language", json!(" "), "BAD_INPUT", "input.language"),
        ("source", json!(large), "TOO_LARGE", "input.source"),
    ] {
        let mut input = json!({ "name": "new", "language": "json" });
        input[field] = value.clone();
        let refusal = create(&team.owner, input).await.expect_err("refused");
        assert_eq!((refusal.code(), refusal.field()), (code, Some(at)));
        if !["language", "source"].contains(&field) {
            let refusal = update(&team.owner, json!({ "id": id, field: value })).await.expect_err("refused");
            assert_eq!((refusal.code(), refusal.field()), (code, Some(at)));
        }
    }
    for (input, code) in [
        (json!({ "codeAgentId": id, "source": large }), "TOO_LARGE"),
        (json!({ "codeAgentId": "x", "source": "" }), "BAD_INPUT"),
        (json!({ "codeAgentId": id }), "BAD_INPUT"),
        (json!({ "codeAgentId": runledger::clock::new_id(), "source": "" }), "NOT_FOUND"),
    ] {
        assert_eq!(try_publish(&team.owner, input).await.expect_err("refused").code(), code);
    }
    let foreign = json!({ "codeAgentId": id, "source": "[1]" });
    assert_eq!(try_publish(&team.colleague, foreign.clone()).await.expect_err("refused").code(), "FORBIDDEN");
    assert_eq!(try_publish(&team.stranger, foreign).await.expect_err("refused").code(), "NOT_FOUND");
    for filter in [
        json!({ "search": "\u{0}" }),
        json!({ "search": "" }),
        json!({ "search": "a b c d e f g h i j k" }),
        json!({ "tags": ["\u{0}"] }),
    ] {
        let document = "query ($filter: CodeAgentFilter) { codeAgents(filter: $filter) { totalCount } }";
        let refusal = team.owner.refused(document, json!({ "filter": filter })).await;
        assert!(["BAD_INPUT", "TOO_LARGE"].contains(&refusal.code()), "{filter}");
    }
    assert_eq!(read(&team.owner, &id).await, before);
    assert_eq!(found(&team.owner, json!({})).await.len(), 1);
}

async fn agents_and_versions_are_nodes(team: Team) {
    let id = any_agent(&team.owner, "json").await;
    let version = publish(&team.owner, &id, "[1]").await["version"]["id"].clone();
    let execution = team.owner.start_any().await;
    let ids = json!([version, execution, id, version]);
    let document = "query ($ids: [ID!]!) {
        nodes(ids: $ids) { __typename id ... on CodeAgent { language } ... on CodeVersion { number source } }
    }";
    let version = json!({ "__typename": "CodeVersion", "id": version, "number": 1, "source": "[1]" });
    let agent = json!({ "__typename": "CodeAgent", "id": id, "language": "json" });
    for client in [&team.owner, &team.service] {
        let nodes = client.query(document, json!({ "ids": ids })).await["nodes"].take();
        assert_eq!(nodes, json!([version, { "__typename": "Execution", "id": execution }, agent, version]));
    }
    assert_eq!(
        team.stranger.query(document, json!({ "ids": ids })).await["nodes"],
        json!([null, null, null, null])
    );
}

async fn all_is_there_after_a_restart(backend: Backend) {
    let server = Server::builder(backend).await.start().await;
    let team = Team::of(&server);
    let input = json!({ "name": "kept", "language": "python", "tags": ["a"], "source": "x = 'é'\r\n" });
    let agent = create(&team.owner, input).await.expect("it is fine");
    let before = version(&team.owner, &id_of(&agent), 1).await;
    server.kill9();
    server.restart().await;
    assert_eq!(read(&team.owner, &id_of(&agent)).await, agent);
    assert_eq!(version(&team.owner, &id_of(&agent), 1).await, before);
    assert_eq!(publish(&team.owner, &id_of(&agent), "x = 2\n").await["version"]["number"], 2);
}

async fn create(client: &Client, input: Value) -> Result<Value, Refusal> {
    let document = format!(
        "mutation ($input: CreateCodeAgentInput!) {{
            createCodeAgent(input: $input) {{ codeAgent {{ {AGENT} latestVersion {{ {VERSION} }} }} }}
        }}"
    );
    let mut data = client.try_query(&document, json!({ "input": input })).await?;
    Ok(data["createCodeAgent"]["codeAgent"].take())
}

async fn update(client: &Client, input: Value) -> Result<Value, Refusal> {
    let document = format!(
        "mutation ($input: UpdateCodeAgentInput!) {{
            updateCodeAgent(input: $input) {{ codeAgent {{ {AGENT} latestVersion {{ {VERSION} }} }} }}
        }}"
    );
    let mut data = client.try_query(&document, json!({ "input": input })).await?;
    Ok(data["updateCodeAgent"]["codeAgent"].take())
}

/// An agent of no importance; its id.
async fn any_agent(client: &Client, language: &str) -> String {
    id_of(
        &create(client, json!({ "name": unique("agent"), "language": language })).await.expect("it is fine"),
    )
}

async fn try_publish(client: &Client, input: Value) -> Result<Value, Refusal> {
    let document = "mutation ($input: PublishCodeVersionInput!) { publishCodeVersion(input: $input) {
        created version { id number } validation { valid checked problems { message line column } }
    } }";
    let mut data = client.try_query(document, json!({ "input": input })).await?;
    Ok(data["publishCodeVersion"].take())
}

async fn publish(client: &Client, id: &str, source: &str) -> Value {
    let input = json!({ "codeAgentId": id, "source": source });
    try_publish(client, input).await.expect("it is ours to publish")
}

async fn read(client: &Client, id: &str) -> Value {
    let document =
        format!("query ($id: ID!) {{ codeAgent(id: $id) {{ {AGENT} latestVersion {{ {VERSION} }} }} }}");
    client.query(&document, json!({ "id": id })).await["codeAgent"].take()
}

async fn version(client: &Client, id: &str, number: i64) -> Value {
    let document = format!(
        "query ($id: ID!, $number: Int!) {{ codeAgent(id: $id) {{ version(number: $number) {{ {VERSION} }} }} }}"
    );
    client.query(&document, json!({ "id": id, "number": number })).await["codeAgent"]["version"].take()
}

/// The names of the agents that a filter finds.
async fn found(client: &Client, filter: Value) -> BTreeSet<String> {
    let document =
        "query ($filter: CodeAgentFilter) { codeAgents(filter: $filter) { nodes { name } totalCount } }";
    let data = client.query(document, json!({ "filter": filter })).await;
    let nodes = data["codeAgents"]["nodes"].as_array().expect("nodes are a list");
    assert_eq!(data["codeAgents"]["totalCount"], nodes.len(), "{filter}");
    nodes.iter().map(|node| node["name"].as_str().expect("it has a name").to_owned()).collect()
}

/// Starts an execution; what it runs.
async fn start(client: &Client, input: Value) -> Result<Value, Refusal> {
    let document = "mutation ($input: StartExecutionInput!) {
        startExecution(input: $input) { execution { id codeAgent { id } codeVersion { number } } }
    }";
    let mut data = client.try_query(document, json!({ "input": input })).await?;
    Ok(data["startExecution"]["execution"].take())
}

/// The page that a document calls `list`, wherever it is.
async fn list(client: &Client, document: &str, variables: Value) -> Value {
    let mut data = client.query(document, variables).await;
    let pointer = if data["list"].is_null() { "/codeAgent/list" } else { "/list" };
    data.pointer_mut(pointer).expect("the list is there").take()
}

fn keys(page: &Value) -> Vec<Value> {
    page["nodes"].as_array().expect("nodes are a list").iter().map(|node| node["key"].clone()).collect()
}
