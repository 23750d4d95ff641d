//! Large sources of code agents: in the database until storage has them, the same bytes wherever they are.

use serde_json::{Value, json};

use super::{Subject, eventually, for_each_cloud};
use crate::harness::{Backend, CODE, Client, ForBackend as _, Server, Team, unique};

for_each_cloud!(
    a_large_source_is_an_object_and_reads_back,
    a_large_source_stays_in_the_database_until_storage_answers,
    a_deleted_agent_leaves_no_objects,
);

fn large(number: usize) -> String {
    format!("{{ \"number\": {number}, \"text\": \"{}\" }}\n", "ünï🦀".repeat(12 * 1024))
}

async fn agent(client: &Client, source: &str) -> String {
    let id = client.new_code_agent(&unique("agent"), source).await;
    id.as_str().expect("it has an id").to_owned()
}

async fn publish(client: &Client, agent: &str, source: &str) {
    let document =
        "mutation ($input: PublishCodeVersionInput!) { publishCodeVersion(input: $input) { created } }";
    client.query(document, json!({ "input": { "codeAgentId": agent, "source": source } })).await;
}

async fn version(client: &Client, agent: &str, number: i32) -> Value {
    let document = "query ($id: ID!, $number: Int!) {
        codeAgent(id: $id) { version(number: $number) { source storage storageKey sizeBytes } }
    }";
    let data = client.query(document, json!({ "id": agent, "number": number })).await;
    data["codeAgent"]["version"].clone()
}

async fn until_it_is_an_object(client: &Client, agent: &str, number: i32) -> Value {
    eventually("the source is an object", async || {
        version(client, agent, number).await["storage"] == "OBJECT"
    })
    .await;
    version(client, agent, number).await
}

async fn a_large_source_is_an_object_and_reads_back(subject: Subject) {
    let (server, team) = subject.server().await;
    let id = agent(&team.owner, &large(1)).await;
    publish(&team.owner, &id, "\"small\"\n").await;
    publish(&team.owner, &id, &large(3)).await;
    for (number, source) in [(1, large(1)), (3, large(3))] {
        let found = until_it_is_an_object(&team.owner, &id, number).await;
        assert!(found["source"] == source.as_str());
        let key = format!("code-blobs/{id}/{number}.txt");
        assert_eq!(found["storageKey"], json!(key));
        assert!(subject.cloud.objects(CODE)[&key] == source.as_bytes());
    }
    assert_eq!(version(&team.owner, &id, 2).await["storage"], "DATABASE");
    assert_eq!(subject.cloud.objects(CODE).len(), 2);
    server.kill9();
    server.restart().await;
    let team = team.after_a_restart();
    assert!(version(&team.owner, &id, 1).await["source"] == large(1).as_str());
    subject.cloud.corrupt(CODE, &format!("code-blobs/{id}/1.txt"));
    let document = "query ($id: ID!) { codeAgent(id: $id) { version(number: 1) { source } } }";
    let refusal = team.owner.refused(document, json!({ "id": id })).await;
    assert!(["INTERNAL", "UNAVAILABLE"].contains(&refusal.code()), "never other bytes: {refusal:?}");
}

async fn a_large_source_stays_in_the_database_until_storage_answers(subject: Subject) {
    let (server, team) = subject.server().await;
    subject.cloud.front().go_away().await;
    let id = agent(&team.owner, &large(1)).await;
    let kept = version(&team.owner, &id, 1).await;
    assert_eq!((&kept["storage"], &kept["storageKey"]), (&json!("DATABASE"), &Value::Null));
    assert!(kept["source"] == large(1).as_str());
    server.kill9();
    server.restart().await;
    let team = team.after_a_restart();
    assert!(version(&team.owner, &id, 1).await["source"] == large(1).as_str());
    subject.cloud.front().come_back().await;
    let moved = until_it_is_an_object(&team.owner, &id, 1).await;
    assert!(moved["source"] == large(1).as_str());
    assert_eq!(subject.cloud.objects(CODE).len(), 1);
}

/// Where there is no cloud, the disk is where large sources are; only SQLite has a disk that nobody shares.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_agent_leaves_nothing_on_the_disk() {
    let server = Server::on(Backend::Sqlite).await.expect("SQLite is built in");
    let team = Team::of(&server);
    let (kept, deleted) = (agent(&team.owner, &large(1)).await, agent(&team.owner, &large(2)).await);
    let file = |agent: &str| std::path::PathBuf::from(format!("{CODE}/code-blobs/{agent}/1.txt"));
    let mut expected = vec![file(&kept), file(&deleted)];
    expected.sort();
    // The server may just be trying whether it can write there.
    eventually("both have a file", async || server.files_in("objects") == expected).await;
    delete(&team.owner, &deleted).await;
    eventually("its file goes", async || server.files_in("objects") == [file(&kept)]).await;
    assert!(version(&team.owner, &kept, 1).await["source"] == large(1).as_str());
}

async fn delete(client: &Client, agent: &str) {
    let document = "mutation ($id: ID!) { deleteCodeAgent(id: $id) { deletedCount } }";
    client.query(document, json!({ "id": agent })).await;
}

async fn a_deleted_agent_leaves_no_objects(subject: Subject) {
    let (_server, team) = subject.server().await;
    let (kept, deleted) = (agent(&team.owner, &large(1)).await, agent(&team.owner, &large(1)).await);
    publish(&team.owner, &deleted, &large(2)).await;
    until_it_is_an_object(&team.owner, &kept, 1).await;
    until_it_is_an_object(&team.owner, &deleted, 1).await;
    until_it_is_an_object(&team.owner, &deleted, 2).await;
    assert_eq!(subject.cloud.objects(CODE).len(), 3);
    delete(&team.owner, &deleted).await;
    let left = format!("code-blobs/{kept}/1.txt");
    eventually("its objects go", async || subject.cloud.objects(CODE).into_keys().eq([left.clone()])).await;
}
