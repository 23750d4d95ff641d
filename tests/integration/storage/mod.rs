//! Cloud storage behind the local disk: saving never waits for it, what it has is found again, and whatever it does, no
//! object is lost, torn or doubled.

mod cache;
mod failing;
mod reading;
mod sources;
mod switching;
mod two_servers;
mod uploading;

use std::time::Duration;

use serde_json::json;

use crate::harness::{
    Backend, Client, Cloud, CloudKind, Database, Files, PROJECTS, Server, Team, files, id_of, noise, sha256,
    unique,
};

/// What a promise is tried with.
struct Subject {
    kind: CloudKind,
    backend: Backend,
    cloud: Cloud,
}

impl Subject {
    /// A server of its own, and everybody who may call it.
    async fn server(&self) -> (Server, Team) {
        let server = self.cloud.server(self.backend).await.start().await;
        let team = Team::of(&server);
        (server, team)
    }
}

/// Longer than what a job is left alone for when nobody has heard of whoever is at it.
const TEST_SECONDS_MAX: Duration = Duration::from_secs(200);

async fn run(kind: CloudKind, backend: Backend, promise: impl AsyncFnOnce(Subject)) {
    if Database::available(backend).await {
        let subject = Subject { kind, backend, cloud: Cloud::start(kind).await };
        tokio::time::timeout(TEST_SECONDS_MAX, promise(subject)).await.expect("the test ends in time");
    }
}

/// Makes the tests `name::s3`, `name::supabase` and `name::s3_and_postgres` of each `async fn name`.
macro_rules! for_each_cloud {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::harness::{Backend, CloudKind};
            use crate::storage::run;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn s3() {
                run(CloudKind::S3, Backend::Sqlite, super::$name).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn supabase() {
                run(CloudKind::Supabase, Backend::Sqlite, super::$name).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn s3_and_postgres() {
                run(CloudKind::S3, Backend::Postgres, super::$name).await;
            }
        }
    )+};
}
use for_each_cloud;

/// A project whose archive is somewhat larger than `bytes`.
fn project_of(bytes: usize) -> Files {
    files(&[("README.md", b"# Hello\n"), ("noise.bin", &noise(bytes))])
}

/// Saves a generation, and waits until storage has it; its id.
async fn uploaded(client: &Client, files: &Files) -> String {
    let id = id_of(&client.save(&unique("project"), files).await);
    client.follow_upload(&id).await.until("UPLOADED").await;
    id
}

/// The key of a generation's archive.
async fn key_of(client: &Client, id: &str) -> String {
    let generation = client.generation(id).await;
    generation["storage"]["key"].as_str().expect("a text").to_owned()
}

/// Storage has the archive of a generation, as it was saved, and nobody else's under another name.
async fn assert_in_storage(cloud: &Cloud, client: &Client, ids: &[String]) {
    let objects = cloud.objects(PROJECTS);
    for id in ids {
        let generation = client.generation(id).await;
        let key = generation["storage"]["key"].as_str().expect("a text");
        let object = objects.get(key).unwrap_or_else(|| panic!("{key} is in {:?}", objects.keys()));
        assert_eq!(json!(sha256(object)), generation["sha256"], "{key}");
    }
    assert_eq!(objects.len(), ids.len(), "{:?}", objects.keys());
}

/// Waits until something is so that nobody announces.
async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), waiting)
        .await
        .unwrap_or_else(|_| panic!("{what}: not yet"));
}

/// Removes what this server has of objects that storage has, too, as a lost disk would.
async fn forget_copies(server: &Server) {
    eventually("what is uploaded is handed to the cache", async || server.files_in("objects").is_empty())
        .await;
    for file in server.files_in("cache") {
        std::fs::remove_file(server.data_folder().join("cache").join(file)).expect("the folder is ours");
    }
}
