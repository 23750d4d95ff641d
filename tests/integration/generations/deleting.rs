//! Deleting: by whom it may be, once and for all; numbers are never given again.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::project;
use crate::harness::{Client, Event, Server, Team, for_each_backend, id_of, unique};

for_each_backend!(
    a_deleted_generation_is_gone_everywhere,
    deleting_again_deletes_none,
    members_delete_their_own_and_administrators_all,
    the_newest_that_is_left_is_the_latest_and_no_number_is_given_again,
    saving_and_deleting_at_once_disturb_nobody,
    a_follower_sees_the_state_and_then_the_end,
);

async fn a_deleted_generation_is_gone_everywhere(server: Server) {
    let team = Team::of(&server);
    let saved = team.owner.save(&unique("project"), &project()).await;
    let id = id_of(&saved);
    assert_eq!(server.files_in("objects").len(), 1);
    assert_eq!(team.owner.delete_generation(&id).await.expect("it is ours"), 1);
    assert!(team.owner.generation(&id).await.is_null());
    assert!(server.files_in("objects").is_empty(), "its archive, too");
    let list = "query ($id: ID!) { project(id: $id) { latestGeneration { id } generations { totalCount nodes { id } } } }";
    let left = team.owner.query(list, json!({ "id": saved["project"]["id"] })).await;
    let none = json!({ "latestGeneration": null, "generations": { "totalCount": 0, "nodes": [] } });
    assert_eq!(left["project"], none, "the project stays");
}

async fn deleting_again_deletes_none(team: Team) {
    let id = team.owner.save_any().await;
    for deleted in [1, 0, 0] {
        assert_eq!(team.owner.delete_generation(&id).await.expect("it is no error"), deleted);
    }
    let missing = runledger::clock::new_id().to_string();
    assert_eq!(team.owner.delete_generation(&missing).await.expect("it is no error"), 0);
}

async fn members_delete_their_own_and_administrators_all(team: Team) {
    let (one, other) = (team.owner.save_any().await, team.owner.save_any().await);
    let refusal = team.colleague.delete_generation(&one).await.expect_err("it is not theirs");
    assert_eq!(refusal.code(), "FORBIDDEN");
    assert_eq!(team.stranger.delete_generation(&one).await.expect("as if it were not there"), 0);
    assert!(team.owner.generation(&one).await.is_object());
    assert_eq!(team.admin.delete_generation(&one).await.expect("administrators may"), 1);
    assert_eq!(team.owner.delete_generation(&other).await.expect("it is theirs"), 1);
}

async fn latest(client: &Client, project: &Value) -> Value {
    let document = "query ($id: ID!) { project(id: $id) { latestGeneration { version } } }";
    client.query(document, json!({ "id": project })).await["project"]["latestGeneration"]["version"].take()
}

async fn the_newest_that_is_left_is_the_latest_and_no_number_is_given_again(team: Team) {
    let key = unique("project");
    let mut saved = Vec::new();
    for version in 1..=3 {
        saved.push(team.owner.save(&key, &project()).await);
        assert_eq!(latest(&team.owner, &saved[0]["project"]["id"]).await, version);
    }
    let project_id = &saved[0]["project"]["id"];
    for (deleted, newest) in [(2, json!(2)), (0, json!(2)), (1, json!(null))] {
        team.owner.delete_generation(&id_of(&saved[deleted])).await.expect("it is ours");
        assert_eq!(latest(&team.owner, project_id).await, newest);
    }
    assert_eq!(team.owner.save(&key, &project()).await["version"], 4);
    assert_eq!(latest(&team.owner, project_id).await, 4);
}

/// The folder of a project is made by one and removed, empty, by the other.
async fn saving_and_deleting_at_once_disturb_nobody(server: Server) {
    const ROUNDS: usize = 40;
    let (team, key) = (Team::of(&server), unique("project"));
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let (client, key) = (team.owner.clone(), key.clone());
        callers.spawn(async move {
            for _ in 0..ROUNDS {
                let id = id_of(&client.save(&key, &project()).await);
                assert_eq!(client.delete_generation(&id).await.expect("it is ours"), 1);
            }
        });
    }
    callers.join_all().await;
    assert_eq!(team.owner.save(&key, &project()).await["version"], 4 * ROUNDS + 1);
    assert_eq!(server.files_in("objects").len(), 1);
}

async fn a_follower_sees_the_state_and_then_the_end(team: Team) {
    let id = team.owner.save_any().await;
    let mut states = team.colleague.follow_upload(&id).await;
    assert_eq!(states.next().await["uploadState"], "LOCAL_ONLY");
    team.owner.delete_generation(&id).await.expect("it is ours");
    assert!(matches!(states.subscription.event().await, Event::Complete));
    let refusal = team.owner.follow_upload(&id).await.subscription.refused().await;
    assert_eq!(refusal.code(), "NOT_FOUND");
}
