//! `statsChanged`: what is counted now, and again when it has changed.

use serde_json::{Value, json};

use crate::harness::{Socket, Team, for_each_backend};

for_each_backend!(
    statistics_are_shown_as_they_are_and_again_when_they_have_changed,
    what_does_not_change_them_is_not_told,
    following_ends_with_the_token,
    a_filter_that_makes_no_sense_is_refused,
);

const STATS_CHANGED: &str = "subscription ($filter: StatsFilter) {
    statsChanged(filter: $filter) { totalExecutions running failed series(by: DAY) { stats { running } } }
}";

async fn statistics_are_shown_as_they_are_and_again_when_they_have_changed(team: Team) {
    let socket = Socket::connect(&team.colleague).await;
    let mut following = socket.subscribe(STATS_CHANGED, json!({}));
    let mut next = async || following.next().await["statsChanged"].take();
    assert_eq!(next().await, json!({ "totalExecutions": 0, "running": 0, "failed": 0, "series": [] }));
    let id = team.owner.start_any().await;
    let series = |running: i64| json!([{ "stats": { "running": running } }]);
    assert_eq!(next().await, json!({ "totalExecutions": 1, "running": 1, "failed": 0, "series": series(1) }));
    team.owner.finish(json!({ "id": id, "status": "FAILED" })).await.expect("it runs");
    assert_eq!(next().await, json!({ "totalExecutions": 1, "running": 0, "failed": 1, "series": series(0) }));
}

async fn what_does_not_change_them_is_not_told(team: Team) {
    let socket = Socket::connect(&team.owner).await;
    let filter = json!({ "workflowId": "nightly" });
    let mut following = socket.subscribe(STATS_CHANGED, json!({ "filter": filter }));
    assert_eq!(following.next().await["statsChanged"]["totalExecutions"], 0);
    team.owner.start(json!({ "workflowId": "weekly" })).await;
    team.stranger.start(json!({ "workflowId": "nightly" })).await;
    team.owner.start(json!({ "workflowId": "nightly" })).await;
    // Fast changes show as one.
    for _ in 0..20 {
        team.owner.start(json!({ "workflowId": "nightly" })).await;
    }
    let mut counts = Vec::new();
    while counts.last() != Some(&21) {
        counts.push(following.next().await["statsChanged"]["totalExecutions"].as_i64().expect("a number"));
    }
    assert!(counts.len() <= 3 && counts.is_sorted_by(|earlier, later| earlier < later), "{counts:?}");
}

async fn following_ends_with_the_token(team: Team) {
    let client = team.server.client(&team.owner_claims().expiring_in(2));
    let socket = Socket::connect(&client).await;
    let mut following = socket.subscribe(STATS_CHANGED, json!({}));
    following.next().await;
    assert_eq!(socket.closed().await, 4403);
}

async fn a_filter_that_makes_no_sense_is_refused(team: Team) {
    let socket = Socket::connect(&team.owner).await;
    let filter: Value = json!({ "codeAgentId": "x" });
    let refusal = socket.subscribe(STATS_CHANGED, json!({ "filter": filter })).refused().await;
    assert_eq!(refusal.code(), "BAD_INPUT");
}
