//! What was acknowledged survives `kill -9`, and what was not leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::project;
use crate::harness::{
    Backend, Client, Files, Server, Tar, Team, as_input, chance, files, for_each_backend, get, id_of, noise,
    sha256, soon, unique, unpacked,
};

for_each_backend!(
    a_generation_is_whole_or_not_there_after_kill_9,
    a_restart_between_any_two_steps_changes_nothing,
    what_a_crash_has_left_is_removed_and_nothing_else,
    a_full_disk_refuses_a_save_and_harms_nothing,
);

/// How often the server is killed.
const ROUNDS: u64 = 20;
const SAVERS: usize = 6;
/// Acknowledged saves between two kills.
const SAVES_PER_ROUND: u64 = 12;

/// What was saved, by id.
type Saved = BTreeMap<String, Files>;

async fn a_generation_is_whole_or_not_there_after_kill_9(server: Server) {
    let (team, key) = (Team::of(&server), unique("project"));
    let (acknowledged, stop) = (Arc::new(watch::Sender::new(0)), Arc::new(watch::Sender::new(false)));
    let saved = Arc::new(Mutex::new(Saved::new()));
    let mut savers = JoinSet::new();
    for number in 0..SAVERS {
        let saver = Saver { number, client: team.owner.clone(), key: key.clone(), saved: Arc::clone(&saved) };
        savers.spawn(saver.save_until_stopped(Arc::clone(&acknowledged), Arc::clone(&stop)));
    }
    for _ in 0..ROUNDS {
        let target = *acknowledged.borrow() + 1 + chance(SAVES_PER_ROUND);
        let mut saves = acknowledged.subscribe();
        soon("acknowledged saves", saves.wait_for(|saves| *saves >= target)).await.expect("it is ours");
        server.kill9();
        server.restart().await;
    }
    stop.send_replace(true);
    savers.join_all().await;

    let team = team.after_a_restart();
    let saved = std::mem::take(&mut *saved.lock().expect("no holder panics"));
    let mut versions = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for (id, files) in &saved {
        let generation = team.owner.generation(id).await;
        assert!(generation.is_object(), "{id} was acknowledged");
        let archive = team.owner.archive(id).await;
        assert_eq!(json!(sha256(&archive)), generation["sha256"], "{id} is whole");
        assert_eq!(&unpacked(&archive), files, "{id} is what was saved");
        versions.insert(generation["version"].as_u64().expect("a number"));
        keys.insert(object_of(&generation));
    }
    assert!(versions.into_iter().eq(1..=saved.len() as u64), "each version once, and no other");
    only_these_files_are_left(&server, &keys).await;
}

/// Saves generation after generation, each until it is acknowledged.
struct Saver {
    number: usize,
    client: Client,
    key: String,
    saved: Arc<Mutex<Saved>>,
}

impl Saver {
    async fn save_until_stopped(self, acknowledged: Arc<watch::Sender<u64>>, stop: Arc<watch::Sender<bool>>) {
        for round in 0.. {
            let content = format!("{} {round}", self.number);
            let files = files(&[("content", content.as_bytes()), ("noise", &noise(100_000))]);
            let id = runledger::clock::new_id().to_string();
            self.save(&id, &files).await;
            self.saved.lock().expect("no holder panics").insert(id, files);
            acknowledged.send_modify(|count| *count += 1);
            if *stop.borrow() {
                return;
            }
        }
    }

    async fn save(&self, id: &str, files: &Files) {
        let mut input = json!({ "id": id, "projectKey": self.key });
        let archive = Tar::of(files).gz();
        loop {
            self.client.server().running().await;
            let answer = if self.number.is_multiple_of(2) {
                self.client.send_archive(input.clone(), &archive).await
            } else {
                input["files"] = as_input(files);
                let document = "mutation ($input: SaveGenerationInput!) {
                    saveGeneration(input: $input) { generation { id } }
                }";
                self.client.try_post(document, json!({ "input": input })).await
            };
            if let Ok(answer) = answer {
                answer.into_result().expect("the files are fine");
                return;
            }
        }
    }
}

/// Where the archive of a generation is in the data folder.
fn object_of(generation: &Value) -> PathBuf {
    PathBuf::from("codebegen-projects").join(generation["storage"]["key"].as_str().expect("a text"))
}

/// The cleanup runs in the background.
async fn only_these_files_are_left(server: &Server, keys: &BTreeSet<PathBuf>) {
    let cleaned = async {
        while server.files_in("objects").into_iter().collect::<BTreeSet<_>>() != *keys {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(crate::harness::PATIENCE, cleaned).await.is_err() {
        let found: BTreeSet<_> = server.files_in("objects").into_iter().collect();
        panic!("too many: {:?}, missing: {:?}", found.difference(keys), keys.difference(&found));
    }
    assert!(server.files_in("staging").is_empty(), "{:?}", server.files_in("staging"));
}

async fn a_restart_between_any_two_steps_changes_nothing(server: Server) {
    let mut team = Team::of(&server);
    let restart = async |team: &Team| {
        server.kill9();
        server.restart().await;
        team.after_a_restart()
    };
    let key = unique("project");
    let first = team.owner.save(&key, &project()).await;
    team = restart(&team).await;
    assert_eq!(team.owner.generation(&id_of(&first)).await, first);
    let second = team.owner.save(&key, &files(&[("README.md", b"new\n")])).await;
    assert_eq!(second["version"], 2);
    team = restart(&team).await;
    let compare = "query ($from: ID!, $to: ID!) {
        compareGenerations(from: $from, to: $to) { removed { path } changed { path diff } }
    }";
    let compared = team.owner.query(compare, json!({ "from": first["id"], "to": second["id"] })).await;
    assert_eq!(compared["compareGenerations"]["changed"][0]["path"], "README.md");
    let link = team.owner.link(&id_of(&first)).await;
    team = restart(&team).await;
    assert_eq!(json!(sha256(&get(&link, &[]).await.body)), first["sha256"]);
    assert_eq!(team.owner.contents(&id_of(&first)).await, project());
    team.owner.delete_generation(&id_of(&second)).await.expect("it is ours");
    team = restart(&team).await;
    assert!(team.owner.generation(&id_of(&second)).await.is_null());
    assert_eq!(team.owner.save(&key, &project()).await["version"], 3);
    let again = json!({ "id": first["id"], "projectKey": key, "files": as_input(&project()) });
    let again = team.owner.try_save(again).await.expect("it is fine");
    assert_eq!((&again["created"], &again["generation"]), (&json!(false), &first));
}

async fn what_a_crash_has_left_is_removed_and_nothing_else(server: Server) {
    let team = Team::of(&server);
    let (kept, deleted) = (team.owner.save_any().await, team.owner.save_any().await);
    let kept = team.owner.generation(&kept).await;
    // As crashes leave them: before the commit of a save, after the commit of a deletion, and in the middle of a file.
    let objects = server.data_folder().join("objects");
    let of_deleted = objects.join(object_of(&team.owner.generation(&deleted).await));
    let archive = std::fs::read(&of_deleted).expect("it is there");
    team.owner.delete_generation(&deleted).await.expect("it is ours");
    let id = runledger::clock::new_id();
    let uncommitted = objects.join(object_of(&kept)).with_file_name(format!("v7__{id}.tar.gz"));
    server.kill9();
    for path in [&of_deleted, &uncommitted] {
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the folder is ours");
        std::fs::write(path, &archive).expect("the folder is ours");
    }
    std::fs::write(server.data_folder().join("staging/half"), b"half").expect("the folder is ours");
    server.restart().await;
    only_these_files_are_left(&server, &BTreeSet::from([object_of(&kept)])).await;
    assert_eq!(team.after_a_restart().owner.generation(&id_of(&kept)).await, kept);
}

/// A file system of its own, of 24 MiB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Only root may have one; in CI somebody must.
    fn mounted() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m", "runledger-tests"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server may be at it still.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

async fn a_full_disk_refuses_a_save_and_harms_nothing(backend: Backend) {
    let Some(disk) = SmallDisk::mounted() else {
        use std::io::Write as _;
        // Not `eprintln!`: the test runner swallows that when a test passes.
        writeln!(std::io::stderr(), "SKIPPED: a full disk, because only root can have one").expect("stderr");
        return;
    };
    let data = disk.0.path().join("data");
    let builder = Server::builder(backend).await;
    let server = builder.env("RUNLEDGER_DATA_DIR", &data.to_string_lossy()).start().await;
    let team = Team::of(&server);
    let before = team.owner.save("project", &project()).await;
    let large = Tar::default().file("noise", &noise(30 * 1024 * 1024)).gz();
    for _ in 0..3 {
        let refusal = team.owner.try_save_archive(json!({ "projectKey": "project" }), &large).await;
        assert_eq!(refusal.expect_err("there is no room").code(), "UNAVAILABLE");
    }
    let staged = std::fs::read_dir(data.join("staging")).expect("it is there").count();
    assert_eq!(staged, 0, "nothing is left of it");
    assert_eq!(team.owner.generation(&id_of(&before)).await, before);
    assert_eq!(team.owner.save("project", &project()).await["version"], 2, "the next one fits");
    drop(server);
}
