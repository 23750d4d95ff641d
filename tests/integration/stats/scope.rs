//! Statistics are of what the caller's lists have, and of nothing else.

use serde_json::{Value, json};

use super::exact::{agent, stats, summed_up};
use crate::harness::{Backend, Server, Team, for_each_backend};

for_each_backend!(
    where_members_see_only_their_own_they_count_only_their_own,
    the_service_role_counts_every_tenant,
    code_agents_that_are_asked_for_at_the_same_time_are_counted_each_for_itself,
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

async fn code_agents_that_are_asked_for_at_the_same_time_are_counted_each_for_itself(server: Server) {
    const ROUNDS: usize = 10;
    let team = Team::of(&server);
    let mut agents = Vec::new();
    for executions in 0..4 {
        for owner in [&team.owner, &team.stranger] {
            let id = owner.new_code_agent(&format!("agent {executions}"), "[1]").await;
            for _ in 0..executions {
                owner.start(json!({ "codeAgentId": id })).await;
            }
            agents.push((id, executions, owner.token() == team.owner.token()));
        }
    }
    let document = "query ($id: ID!) { codeAgent(id: $id) { stats { totalExecutions running } } }";
    for _ in 0..2 {
        let mut asked = Vec::new();
        for (id, executions, is_of_team) in agents.iter().cycle().take(ROUNDS * agents.len()) {
            for (client, sees_team, sees_other) in [
                (&team.owner, true, false),
                (&team.colleague, true, false),
                (&team.stranger, false, true),
                (&team.service, true, true),
            ] {
                let is_seen = if *is_of_team { sees_team } else { sees_other };
                let counts = json!({ "stats": { "totalExecutions": executions, "running": executions } });
                let expected = if is_seen { counts } else { Value::Null };
                asked.push(async move {
                    let found = client.query(document, json!({ "id": id })).await["codeAgent"].take();
                    assert_eq!(found, expected);
                });
            }
        }
        futures_util::future::join_all(asked).await;
        summed_up(&server).await;
    }
}
