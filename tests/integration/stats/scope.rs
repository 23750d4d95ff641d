//! Statistics are of what the caller's lists have, and of nothing else.

use serde_json::{Value, json};

use super::exact::{agent, stats, summed_up};
use crate::harness::{Backend, Server, Team, for_each_backend};

for_each_backend!(
    where_members_see_only_their_own_they_count_only_their_own,
    the_service_role_counts_every_tenant,
);

async fn where_members_see_only_their_own_they_count_only_their_own(backend: Backend) {
    let server = Server::builder(backend).await.env("RUNLEDGER_OWNERSHIP", "user").start().await;
    let team = Team::of(&server);
    let agent = agent(&team.colleague).await;
    for _ in 0..3 {
        team.owner.start(json!({ "projectKey": "p" })).await;
    }
    team.colleague.start(json!({ "projectKey": "p", "codeAgentId": agent })).await;
    let total = async |client, filter: Value| stats(client, filter).await["totalExecutions"].as_i64();
    for _ in 0..2 {
        assert_eq!(total(&team.owner, json!({})).await, Some(3));
        assert_eq!(total(&team.colleague, json!({})).await, Some(1));
        assert_eq!(total(&team.admin, json!({})).await, Some(4));
        assert_eq!(total(&team.owner, json!({ "ownerId": Team::COLLEAGUE })).await, Some(0));
        assert_eq!(total(&team.owner, json!({ "codeAgentId": agent })).await, Some(0));
        assert_eq!(total(&team.owner, json!({ "projectKey": "p" })).await, Some(3));
        assert_eq!(total(&team.owner, json!({ "from": "2020-01-01T00:00:00.5Z" })).await, Some(3));
        assert_eq!(total(&team.admin, json!({ "ownerId": Team::COLLEAGUE })).await, Some(1));
        let agents = "{ codeAgents { nodes { stats { totalExecutions } } } }";
        let found = team.colleague.query(agents, json!({})).await;
        assert_eq!(found["codeAgents"]["nodes"][0]["stats"]["totalExecutions"], 1);
        let projects =
            "{ projects { nodes { stats { totalExecutions series(by: DAY) { stats { queued } } } } } }";
        for (client, count) in [(&team.owner, 3), (&team.admin, 4)] {
            let found = client.query(projects, json!({})).await["projects"]["nodes"][0]["stats"].take();
            assert_eq!(found["totalExecutions"], count);
            assert_eq!(found["series"].as_array().map(Vec::len), Some(1));
        }
        summed_up(&server).await;
    }
}

async fn the_service_role_counts_every_tenant(server: Server) {
    let team = Team::of(&server);
    for client in [&team.owner, &team.stranger] {
        client.start(json!({ "workflowId": "shared", "projectKey": "same key" })).await;
    }
    for _ in 0..2 {
        for filter in [
            json!({}),
            json!({ "workflowId": "shared" }),
            json!({ "workflowId": "shared", "projectKey": "same key" }),
            json!({ "from": "2020-01-01T00:00:00Z" }),
        ] {
            assert_eq!(stats(&team.service, filter.clone()).await["totalExecutions"], 2, "{filter}");
            assert_eq!(stats(&team.owner, filter).await["totalExecutions"], 1);
        }
        let projects = "{ projects { nodes { stats { totalExecutions } } } }";
        let found = team.service.query(projects, json!({})).await;
        assert_eq!(
            found["projects"]["nodes"],
            json!([{ "stats": { "totalExecutions": 1 } }, { "stats": { "totalExecutions": 1 } }])
        );
        summed_up(&server).await;
    }
}
