//! Reading: lists, single files, and what is left when some are deleted.

use serde_json::{Value, json};

use super::project;
use crate::harness::{Client, Team, as_input, files, for_each_backend, id_of, unique};

for_each_backend!(
    a_projects_generations_are_paged_in_both_directions,
    a_cursor_of_another_list_is_refused,
    one_file_is_read_by_its_path,
    content_that_is_no_text_is_null_as_text,
    more_than_an_answer_may_hold_is_refused_and_one_file_is_not,
    a_generation_is_a_node,
    a_project_without_generations_has_none,
);

const PAGES: &str = "query ($project: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    project(id: $project) { generations(first: $first, after: $after, last: $last, before: $before) {
        nodes { version } edges { cursor node { version } } totalCount
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    } }
}";

async fn a_projects_generations_are_paged_in_both_directions(team: Team) {
    let key = unique("project");
    let mut project_id = Value::Null;
    for number in 0..7 {
        let saved = team.owner.save(&key, &files(&[("number", format!("{number}").as_bytes())])).await;
        project_id = saved["project"]["id"].clone();
    }
    team.owner.save(&unique("other"), &project()).await;
    let page = async |arguments: Value| {
        let mut variables = arguments;
        variables["project"] = project_id.clone();
        team.colleague.query(PAGES, variables).await["project"]["generations"].take()
    };
    let versions = |page: &Value| -> Vec<u64> {
        let nodes = page["nodes"].as_array().expect("a list");
        nodes.iter().map(|node| node["version"].as_u64().expect("a number")).collect()
    };

    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let found = page(json!({ "first": 3, "after": after })).await;
        assert_eq!(found["totalCount"], 7);
        seen.push(versions(&found));
        after = found["pageInfo"]["endCursor"].clone();
        if found["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(seen, [vec![7, 6, 5], vec![4, 3, 2], vec![1]], "newest first");

    let mut seen = Vec::new();
    let mut before = Value::Null;
    loop {
        let found = page(json!({ "last": 3, "before": before })).await;
        seen.push(versions(&found));
        before = found["pageInfo"]["startCursor"].clone();
        if found["pageInfo"]["hasPreviousPage"] == false {
            break;
        }
    }
    assert_eq!(seen, [vec![3, 2, 1], vec![6, 5, 4], vec![7]]);

    let all = page(json!({})).await;
    let cursor = |at: usize| all["edges"][at]["cursor"].clone();
    assert_eq!(versions(&page(json!({ "after": cursor(1), "before": cursor(5) })).await), [5, 4, 3]);
    assert_eq!(versions(&page(json!({ "first": 0 })).await), [0; 0]);
}

async fn a_cursor_of_another_list_is_refused(team: Team) {
    let (one, other) = (team.owner.save_any().await, team.owner.save_any().await);
    let list = "query ($id: ID!, $after: String, $before: String) { generation(id: $id) { project {
        generations(after: $after, before: $before) { nodes { id } pageInfo { endCursor } }
    } } }";
    let cursor_of = async |id: &str| {
        let data = team.owner.query(list, json!({ "id": id })).await;
        data["generation"]["project"]["generations"]["pageInfo"]["endCursor"].clone()
    };
    team.owner.start_any().await;
    let executions = team.owner.query("{ executions { pageInfo { endCursor } } }", json!({})).await;
    team.owner.query(list, json!({ "id": one, "after": cursor_of(&one).await })).await;
    for cursor in [
        cursor_of(&other).await,
        executions["executions"]["pageInfo"]["endCursor"].clone(),
        json!("nonsense"),
        json!(""),
    ] {
        for field in ["after", "before"] {
            let refusal = team.owner.refused(list, json!({ "id": one, field: cursor })).await;
            assert_eq!((refusal.code(), refusal.field()), ("BAD_INPUT", Some(field)), "{cursor}");
        }
    }
}

const FILE: &str = "query ($id: ID!, $path: String!) {
    generation(id: $id) { file(path: $path) { path sizeBytes text base64 } }
}";

async fn file(client: &Client, id: &str, path: &str) -> Value {
    client.query(FILE, json!({ "id": id, "path": path })).await["generation"]["file"].take()
}

async fn one_file_is_read_by_its_path(team: Team) {
    let id = id_of(&team.owner.save(&unique("project"), &project()).await);
    let expected = json!({ "path": "src/main.py", "sizeBytes": 13, "text": "\u{feff}import os\n",
                           "base64": "77u/aW1wb3J0IG9zCg==" });
    assert_eq!(file(&team.owner, &id, "src/main.py").await, expected);
    let empty = json!({ "path": "empty", "sizeBytes": 0, "text": "", "base64": "" });
    assert_eq!(file(&team.owner, &id, "empty").await, empty);
    for missing in ["src", "src/", "./src/main.py", "SRC/main.py", "", "..", "/etc/passwd", "main.py", "a\0b"]
    {
        assert!(file(&team.owner, &id, missing).await.is_null(), "{missing:?}");
    }
}

async fn content_that_is_no_text_is_null_as_text(team: Team) {
    let files = files(&[
        ("cut", b"\xf0\x9f\xa6"),
        ("latin", b"caf\xe9"),
        ("nul", b"a\0b"),
        ("surrogate", b"\xed\xa0\x80"),
    ]);
    let id = id_of(&team.owner.save(&unique("project"), &files).await);
    for (path, text, base64) in [
        ("cut", Value::Null, "8J+m"),
        ("latin", Value::Null, "Y2Fm6Q=="),
        ("nul", json!("a\0b"), "YQBi"),
        ("surrogate", Value::Null, "7aCA"),
    ] {
        let found = file(&team.owner, &id, path).await;
        assert_eq!((&found["text"], &found["base64"]), (&text, &json!(base64)), "{path}");
    }
}

async fn more_than_an_answer_may_hold_is_refused_and_one_file_is_not(team: Team) {
    let line = "a line of a text that is saved often, and is easy to pack\n";
    let large: String = (0..150_000).map(|number| format!("{number} {line}")).collect();
    let tar = ["a", "b", "c", "d"]
        .iter()
        .fold(crate::harness::Tar::default(), |tar, name| tar.file(name, large.as_bytes()));
    let input = json!({ "projectKey": unique("project") });
    let saved = team.owner.try_save_archive(input, &tar.gz()).await.expect("it is fine");
    let id = id_of(&saved["generation"]);
    assert!(4 * large.len() > 32 * 1024 * 1024 && large.len() < 16 * 1024 * 1024);
    let all = "query ($id: ID!) { generation(id: $id) { files { text } } }";
    let refusal = team.owner.refused(all, json!({ "id": id })).await;
    assert_eq!(refusal.code(), "TOO_LARGE", "{refusal:?}");
    let one = "query ($id: ID!) { generation(id: $id) { file(path: \"c\") { text } } }";
    let found = team.owner.query(one, json!({ "id": id })).await;
    assert!(found["generation"]["file"]["text"] == large.as_str());
}

async fn a_generation_is_a_node(team: Team) {
    let id = team.owner.save_any().await;
    let document =
        "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Generation { version files { path } } } }";
    let missing = runledger::clock::new_id().to_string();
    let nodes = team.owner.query(document, json!({ "ids": [id, missing, id] })).await;
    let node = json!({ "id": id, "version": 1, "files": [{ "path": "README.md" }] });
    assert_eq!(nodes["nodes"], json!([node, null, node]));
}

async fn a_project_without_generations_has_none(team: Team) {
    let key = unique("project");
    let document = "mutation ($key: String!) { createProject(input: { key: $key }) {
        project { latestGeneration { id } generations { nodes { id } totalCount pageInfo { endCursor } } }
    } }";
    let made = team.owner.query(document, json!({ "key": key })).await;
    let none = json!({ "latestGeneration": null,
                       "generations": { "nodes": [], "totalCount": 0, "pageInfo": { "endCursor": null } } });
    assert_eq!(made["createProject"]["project"], none);
    let input = json!({ "projectKey": key, "files": as_input(&project()) });
    assert_eq!(team.owner.try_save(input).await.expect("it is fine")["generation"]["version"], 1);
}
