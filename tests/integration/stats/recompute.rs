//! Counting anew gives what is there, and puts right what is wrong.

use serde_json::{Value, json};

use super::exact::{agent, check_everything, stats, summed_up, work};
use crate::harness::{Server, Team, for_each_backend, for_postgres, schema_changes_from, soon};

for_each_backend!(
    a_recount_agrees_while_the_server_works,
    a_recount_puts_right_what_is_wrong,
    executions_from_before_there_were_statistics_are_counted,
    statistics_in_the_rows_of_before_are_counted_anew,
);

for_postgres!(a_database_that_was_copied_into_another_cluster_is_counted_anew);

async fn recount(server: &Server) -> String {
    let output = server.run(&["recompute"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is text")
}

async fn a_recount_agrees_while_the_server_works(server: Server) {
    let team = Team::of(&server);
    let agents = vec![agent(&team.owner).await, agent(&team.owner).await];
    for _ in 0..3 {
        let (.., said) = tokio::join!(
            work(team.owner.clone(), agents.clone()),
            work(team.colleague.clone(), agents.clone()),
            recount(&server)
        );
        assert!(said.contains("The statistics agreed with them."), "{said}");
    }
    check_everything(&team, &agents, "after recounts").await;
    summed_up(&server).await;
    assert!(recount(&server).await.contains("The statistics agreed with them."));
    check_everything(&team, &agents, "after a recount of everything").await;
}

async fn a_recount_puts_right_what_is_wrong(server: Server) {
    let team = Team::of(&server);
    let id = team.owner.start_any().await;
    team.owner.complete(&id).await;
    team.owner.start_any().await;
    summed_up(&server).await;
    server.kill9();
    server.alter("DELETE FROM statistic WHERE width = 'ALL'").await;
    server.restart().await;
    let team = team.after_a_restart();
    assert_eq!(stats(&team.owner, Value::Null).await["totalExecutions"], 0, "it is wrong now");
    // Of nobody in particular, of the owner, and of all tenants.
    assert!(recount(&server).await.contains("3 rows were wrong"));
    assert_eq!(stats(&team.owner, Value::Null).await["totalExecutions"], 2);
    assert!(recount(&server).await.contains("agreed"));
}

async fn executions_from_before_there_were_statistics_are_counted(server: Server) {
    counted_after_a_change_of_the_schema(&server, &schema_changes_from(6)).await;
}

async fn statistics_in_the_rows_of_before_are_counted_anew(server: Server) {
    counted_after_a_change_of_the_schema(&server, &schema_changes_from(11)).await;
}

async fn counted_after_a_change_of_the_schema(server: &Server, steps: &str) {
    let team = Team::of(server);
    let agents = vec![agent(&team.owner).await, agent(&team.owner).await];
    work(team.owner.clone(), agents.clone()).await;
    server.kill9();
    let output = server.run(&["migrate", "--down", steps]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.restart().await;
    let team = team.after_a_restart();
    complete(&team).await;
    check_everything(&team, &agents, "after the upgrade").await;
    assert!(recount(server).await.contains("agreed"));
}

/// Waits until it is all counted; until then the server says that it does not know.
async fn complete(team: &Team) {
    let document = "{ stats { totalExecutions } }";
    soon("the count", async {
        while let Err(refusal) = team.owner.try_query(document, json!({})).await {
            assert_eq!(
                (refusal.code(), &refusal.errors[0]["extensions"]["retryable"]),
                ("UNAVAILABLE", &json!(true))
            );
        }
    })
    .await;
}

async fn a_database_that_was_copied_into_another_cluster_is_counted_anew(server: Server) {
    let team = Team::of(&server);
    team.owner.start_any().await;
    summed_up(&server).await;
    server.kill9();
    // There, transactions are numbered from the beginning.
    server.alter("UPDATE statistic_state SET xid = xid + 1000000").await;
    server.restart().await;
    let team = team.after_a_restart();
    team.owner.start_any().await;
    soon("the count", async {
        while server.count_rows("statistic_state WHERE is_complete AND xid < 1000000").await == 0 {}
    })
    .await;
    complete(&team).await;
    assert_eq!(stats(&team.owner, Value::Null).await["totalExecutions"], 2);
    team.owner.start_any().await;
    summed_up(&server).await;
    assert_eq!(stats(&team.owner, Value::Null).await["totalExecutions"], 3);
    assert!(recount(&server).await.contains("agreed"));
}
