//! The cache: within its limits, and never without what is nowhere else.

use super::{Subject, eventually, for_each_cloud, forget_copies, project_of, uploaded};
use crate::harness::{Client, Server, Team, id_of, unique};

for_each_cloud!(
    the_copy_that_was_read_longest_ago_is_dropped_first,
    an_archive_that_is_larger_than_the_cache_is_read_all_the_same,
    what_is_not_uploaded_is_never_dropped,
    copies_that_are_too_old_are_dropped_at_the_start,
);

/// Room for two archives of [`ARCHIVE_BYTES`].
const CACHE_BYTES: &str = "250000";
const ARCHIVE_BYTES: usize = 100_000;

async fn server_with(subject: &Subject, name: &str, value: &str) -> (Server, Team) {
    let server = subject.cloud.server(subject.backend).await.env(name, value).start().await;
    let team = Team::of(&server);
    (server, team)
}

async fn is_here(client: &Client, id: &str) -> bool {
    client.generation(id).await["storage"]["cachedLocally"] == true
}

async fn the_copy_that_was_read_longest_ago_is_dropped_first(subject: Subject) {
    let (server, team) = server_with(&subject, "RUNLEDGER_CACHE_BYTES_MAX", CACHE_BYTES).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(uploaded(&team.owner, &project_of(ARCHIVE_BYTES)).await);
    }
    forget_copies(&server).await;
    team.owner.contents(&ids[0]).await;
    team.owner.contents(&ids[1]).await;
    assert!(is_here(&team.owner, &ids[0]).await && is_here(&team.owner, &ids[1]).await);
    team.owner.contents(&ids[0]).await;
    team.owner.contents(&ids[2]).await;
    let here = [
        is_here(&team.owner, &ids[0]).await,
        is_here(&team.owner, &ids[1]).await,
        is_here(&team.owner, &ids[2]).await,
    ];
    assert_eq!(here, [true, false, true], "the second was read longest ago");
    assert_eq!(team.owner.contents(&ids[1]).await, project_of(ARCHIVE_BYTES), "and is fetched again");
}

async fn an_archive_that_is_larger_than_the_cache_is_read_all_the_same(subject: Subject) {
    let (server, team) = server_with(&subject, "RUNLEDGER_CACHE_BYTES_MAX", "1000").await;
    let one = uploaded(&team.owner, &project_of(ARCHIVE_BYTES)).await;
    let other = uploaded(&team.owner, &project_of(ARCHIVE_BYTES)).await;
    forget_copies(&server).await;
    for id in [&one, &other, &one] {
        assert_eq!(team.owner.contents(id).await, project_of(ARCHIVE_BYTES));
        assert_eq!(server.files_in("cache").len(), 1, "the one that was read last");
    }
}

async fn what_is_not_uploaded_is_never_dropped(subject: Subject) {
    let (server, team) = server_with(&subject, "RUNLEDGER_CACHE_BYTES_MAX", "1000").await;
    subject.cloud.front().go_away().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(id_of(&team.owner.save(&unique("project"), &project_of(ARCHIVE_BYTES)).await));
    }
    // Nor when everything is too old.
    server.set_env("MAX_CACHE_AGE_HOURS", "1");
    server.kill9();
    age(&server, "objects");
    server.restart().await;
    let team = team.after_a_restart();
    for id in &ids {
        assert_eq!(team.owner.contents(id).await, project_of(ARCHIVE_BYTES));
    }
    assert_eq!(server.files_in("objects").len(), 3);
    subject.cloud.front().come_back().await;
    for id in &ids {
        team.owner.follow_upload(id).await.until("UPLOADED").await;
        assert_eq!(team.owner.contents(id).await, project_of(ARCHIVE_BYTES));
    }
}

async fn copies_that_are_too_old_are_dropped_at_the_start(subject: Subject) {
    let (server, team) = subject.server().await;
    let old = uploaded(&team.owner, &project_of(1_000)).await;
    eventually("it is in the cache", async || server.files_in("cache").len() == 1).await;
    server.kill9();
    age(&server, "cache");
    server.restart().await;
    let team = team.after_a_restart();
    eventually("it is dropped", async || server.files_in("cache").is_empty()).await;
    assert_eq!(team.owner.contents(&old).await, project_of(1_000), "and fetched again");
    assert_eq!(server.files_in("cache").len(), 1);
}

/// Makes the files of a folder two days old.
fn age(server: &Server, folder: &str) {
    let then =
        std::time::SystemTime::from(runledger::clock::now()) - std::time::Duration::from_secs(48 * 3_600);
    for file in server.files_in(folder) {
        let file = std::fs::File::open(server.data_folder().join(folder).join(file)).expect("it is there");
        let times = std::fs::FileTimes::new().set_accessed(then).set_modified(then);
        file.set_times(times).expect("it is ours");
    }
}
