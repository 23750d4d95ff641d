//! Two servers on one PostgreSQL and one cloud: each reads what the other has uploaded.

use std::time::Duration;

use super::{eventually, project_of};
use crate::harness::support::faults::{Fault, On};
use crate::harness::{
    Backend, Client, Cloud, CloudKind, Database, ForBackend, Server, Team, for_postgres, get, id_of, unique,
};

for_postgres!(
    what_one_has_uploaded_the_other_reads,
    what_is_not_uploaded_yet_is_unavailable_on_the_other,
    a_link_of_one_works_on_the_other,
    what_the_other_deletes_is_gone_everywhere,
);

/// The same owner at two servers on one database and one storage.
struct Pair {
    cloud: Cloud,
    a: Client,
    b: Client,
}

impl ForBackend for Pair {
    async fn on(backend: Backend) -> Option<Self> {
        let database = Database::fresh(backend).await?;
        let cloud = Cloud::start(CloudKind::S3).await;
        let (a, b) = tokio::join!(
            cloud.used_by(Server::on_database(database.clone())).start(),
            cloud.used_by(Server::on_database(database.clone())).start()
        );
        let owner = Team::of(&a).owner.clone();
        Some(Self { cloud, b: owner.at(&b), a: owner })
    }
}

async fn what_one_has_uploaded_the_other_reads(pair: Pair) {
    let key = unique("project");
    let id = id_of(&pair.a.save(&key, &project_of(1_000)).await);
    // The upload by one is told on the other.
    pair.b.follow_upload(&id).await.until("UPLOADED").await;
    assert_eq!(pair.b.contents(&id).await, project_of(1_000));
    assert_eq!(pair.b.save(&key, &project_of(10)).await["version"], 2);
    assert_eq!(pair.a.server().files_in("cache").len() + pair.a.server().files_in("objects").len(), 1);
}

async fn what_is_not_uploaded_yet_is_unavailable_on_the_other(pair: Pair) {
    pair.cloud.front().next(On::Upload, 1, Fault::Delay(Duration::from_secs(2)));
    let id = id_of(&pair.a.save(&unique("project"), &project_of(1_000)).await);
    let refusal = pair.b.try_contents(&id).await.expect_err("only the other has it");
    assert_eq!(refusal.code(), "UNAVAILABLE");
    assert_eq!(pair.a.contents(&id).await, project_of(1_000));
    assert_eq!(pair.b.generation(&id).await["storage"]["cachedLocally"], false);
    pair.b.follow_upload(&id).await.until("UPLOADED").await;
    assert_eq!(pair.b.contents(&id).await, project_of(1_000));
}

async fn a_link_of_one_works_on_the_other(pair: Pair) {
    pair.cloud.front().next(On::Upload, 1, Fault::Delay(Duration::from_secs(1)));
    let id = id_of(&pair.a.save(&unique("project"), &project_of(1_000)).await);
    let link = pair.a.link(&id).await;
    let archive = get(&link, &[]).await;
    assert_eq!(archive.status, 200);
    let at_other = link.replace(&pair.a.server().url(), &pair.b.server().url());
    assert_ne!(link, at_other);
    assert_eq!(get(&at_other, &[]).await.status, 503, "it does not have it yet");
    pair.b.follow_upload(&id).await.until("UPLOADED").await;
    assert!(get(&at_other, &[]).await.body == archive.body);
    let forged = at_other.replace("?token=", "?token=x");
    assert_eq!(get(&forged, &[]).await.status, 403);
}

async fn what_the_other_deletes_is_gone_everywhere(pair: Pair) {
    let id = id_of(&pair.a.save(&unique("project"), &project_of(1_000)).await);
    pair.a.follow_upload(&id).await.until("UPLOADED").await;
    pair.b.contents(&id).await;
    assert_eq!(pair.b.delete_generation(&id).await.expect("it is ours"), 1);
    assert!(pair.a.generation(&id).await.is_null());
    eventually("the object goes", async || pair.cloud.objects(crate::harness::PROJECTS).is_empty()).await;
    // The saver's own copy goes with its next cleaning: here, at its start.
    let server = pair.a.server();
    server.kill9();
    server.restart().await;
    eventually("so does what the saver has", async || server.files_in("objects").is_empty()).await;
}
