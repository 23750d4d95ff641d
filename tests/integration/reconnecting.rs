//! PostgreSQL ends connections: when it restarts, when somebody tells it to, when a network forgets them.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Backend, Server, Team, for_postgres, line};

for_postgres!(a_server_goes_on_when_its_connections_have_been_ended);

const EXECUTION: &str = "query ($id: ID!) { execution(id: $id) { id } changesCursor }";

async fn a_server_goes_on_when_its_connections_have_been_ended(backend: Backend) {
    let server = Server::builder(backend).await.start().await;
    let team = Team::of(&server);
    let id = team.owner.start_any().await;
    join_all((0..16).map(|_| team.owner.query(EXECUTION, json!({ "id": id })))).await;
    let ended = "(SELECT pg_terminate_backend(pid) AS is_ended FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()) AS of_server WHERE is_ended";
    let ended = server.count_rows(ended).await;
    assert!(ended > 1, "it had {ended} connections");

    let (mut answered, mut refused) = (0, 0);
    while answered < 100 {
        match team.owner.try_query(EXECUTION, json!({ "id": id })).await {
            Ok(data) => {
                assert_eq!(data["execution"]["id"], id);
                answered += 1;
            }
            Err(refusal) => {
                assert_eq!(refusal.code(), "UNAVAILABLE");
                refused += 1;
            }
        }
    }
    assert!(refused <= ended, "each connection fails once at most: {refused} of {ended}");
    while let Err(refusal) = team.owner.try_append(&id, &[line("and on it goes")], Some(0)).await {
        assert_eq!(refusal.code(), "UNAVAILABLE");
    }
}
