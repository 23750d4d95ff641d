//! `runledger compact` gives back the disk that deleted rows took, and nothing else.

use serde_json::json;

use crate::harness::{Backend, Server, Team, for_each_backend, for_sqlite};

for_each_backend!(a_compacted_database_is_smaller_and_has_what_was_not_deleted);
for_sqlite!(the_file_of_a_running_server_is_not_compacted);

const LIST: &str = "query ($search: String) {
    executions(filter: { search: $search }, first: 200) { totalCount nodes { id inputs } } }";

/// 16 KiB that no database makes smaller.
fn noise(seed: usize) -> String {
    let mut state = seed as u64;
    let mut letter = || {
        // https://en.wikipedia.org/wiki/Linear_congruential_generator, with the numbers of MMIX
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + (state >> 60) as u8)
    };
    (0..16 * 1024).map(|_| letter()).collect()
}

async fn a_compacted_database_is_smaller_and_has_what_was_not_deleted(server: Server) {
    let team = Team::of(&server);
    let recorded = |number: usize| {
        let run = if number.is_multiple_of(2) { "kept" } else { "gone" };
        json!({ "name": format!("{run} one"), "status": "COMPLETED", "workflowRunId": run,
                "inputs": { "number": number, "text": noise(number) },
                "startedAt": "2026-01-20T10:00:00Z", "completedAt": "2026-01-20T10:00:01Z" })
    };
    for part in (0..300).collect::<Vec<_>>().chunks(50) {
        let part: Vec<_> = part.iter().map(|number| recorded(*number)).collect();
        team.owner.record(json!(part)).await.expect("they are fine");
    }
    let kept = team.owner.query(LIST, json!({ "search": "kept" })).await;
    assert_eq!(kept["executions"]["totalCount"], 150);
    let delete = "mutation { deleteExecutions(filter: { workflowRunIds: [\"gone\"] }) { deletedCount } }";
    assert_eq!(team.owner.query(delete, json!({})).await["deleteExecutions"]["deletedCount"], 150);
    assert!(server.terminate().await.success(), "it stops");

    let output = server.run(&["compact"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).expect("it is text");
    let sizes: Vec<u64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [before, after] = sizes[..] else { panic!("{said}") };
    assert!(after < before, "{said}");

    server.restart().await;
    let team = team.after_a_restart();
    assert_eq!(team.owner.query(LIST, json!({ "search": "kept" })).await, kept);
    assert_eq!(team.owner.query(LIST, json!({ "search": "one" })).await["executions"]["totalCount"], 150);
    team.owner.start_any().await;
}

async fn the_file_of_a_running_server_is_not_compacted(backend: Backend) {
    let server = Server::builder(backend).await.start().await;
    let output = server.run(&["compact"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("another Runledger serves"), "{said}");
    let team = Team::of(&server);
    team.owner.start_any().await;
}
