//! Readers and writers at the same moment.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::fixture::{BUCKET, Behind, Fixture, Kind, all, bucket, bytes, for_each_store, fresh};
use super::support::faults::{Fault, On};
use super::support::supabase::error_body;
use crate::blob::{BlobError, Content, Local};
use crate::clock;
use crate::domain::object::{ObjectKey, ObjectName};

for_each_store!(a_reader_never_sees_a_mixture);

async fn a_reader_never_sees_a_mixture(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    let versions: Arc<[_]> = (0..4).map(|seed| bytes(300_000 + seed as usize, seed)).collect();
    fixture.put(&name, versions[0].clone()).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (store, name) = (fixture.store.clone(), name.clone());
            let (versions, done) = (versions.clone(), done.clone());
            tokio::spawn(async move {
                let mut seen = BTreeSet::new();
                while !done.load(Ordering::Relaxed) {
                    let found = all(store.get(&name, None).await.unwrap()).await.unwrap();
                    let version = versions.iter().position(|version| *version == found);
                    seen.insert(version.expect("it is one of them, whole"));
                }
                seen
            })
        })
        .collect();
    for round in 0..40 {
        fixture.put(&name, versions[round % versions.len()].clone()).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(!reader.await.unwrap().is_empty());
    }
}

/// The first reader began before the object was replaced, and goes on with what it began.
#[tokio::test]
async fn on_disk_an_open_reader_reads_on() {
    let fixture = Fixture::new(Kind::Local).await;
    let name = fresh();
    fixture.put(&name, "old").await.unwrap();
    let reader = fixture.store.get(&name, None).await.unwrap();
    fixture.put(&name, "newer").await.unwrap();
    assert_eq!(all(reader).await.unwrap(), b"old");
    let reader = fixture.store.get(&name, None).await.unwrap();
    fixture.store.delete(&name).await.unwrap();
    assert_eq!(all(reader).await.unwrap(), b"newer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_disk_a_delete_never_takes_the_folder_from_a_put() {
    let fixture = Fixture::new(Kind::Local).await;
    let id = clock::new_id();
    let name = |number| ObjectName { bucket: bucket(), key: ObjectKey::source(id, number) };
    let store = fixture.store.clone();
    let other = name(2);
    let deleting = tokio::spawn(async move {
        for _ in 0..200 {
            store.put(&other, Content::Bytes("x".into()), "text/plain").await.unwrap();
            store.delete(&other).await.unwrap();
        }
    });
    while !deleting.is_finished() {
        fixture.put(&name(1), "mine").await.unwrap();
        assert_eq!(fixture.read(&name(1)).await.unwrap(), b"mine");
        fixture.store.delete(&name(1)).await.unwrap();
    }
    deleting.await.unwrap();
}

#[tokio::test]
async fn on_disk_files_are_ours_alone_and_empty_folders_go() {
    let fixture = Fixture::new(Kind::Local).await;
    let Behind::Disk(folder) = &fixture.behind else { unreachable!("it is local") };
    let root = folder.path().join("objects");
    let name = fresh();
    fixture.put(&name, "x").await.unwrap();
    let file = root.join(BUCKET).join(name.key.as_str());
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    for folder in file.ancestors().skip(1).take_while(|path| path.starts_with(&root)) {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    fixture.store.delete(&name).await.unwrap();
    assert_eq!(fs::read_dir(root.join(BUCKET)).unwrap().count(), 0);
    fixture.store.check_bucket(&bucket()).await.unwrap();
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a file's time is set by the system's clock")]
async fn on_disk_leftovers_of_a_crash_are_removed_once_they_are_old() {
    let folder = tempfile::tempdir().unwrap();
    let (young, old) = (folder.path().join(".put-young.tmp"), folder.path().join(".put-old.tmp"));
    fs::write(&young, "x").unwrap();
    fs::write(&old, "x").unwrap();
    let two_hours_ago = SystemTime::now() - Duration::from_secs(7_200);
    fs::File::options().write(true).open(&old).unwrap().set_modified(two_hours_ago).unwrap();
    Local::open(folder.path().into()).await.unwrap();
    assert!(young.exists() && !old.exists());
}

#[tokio::test]
async fn supabase_reads_again_in_the_moment_of_an_overwrite() {
    let fixture = Fixture::new(Kind::Supabase).await;
    let name = fresh();
    fixture.put(&name, "there").await.unwrap();
    let gone = Fault::Answer {
        status: 400,
        headers: Vec::new(),
        body: error_body("404", "NoSuchKey", "The resource was not found"),
    };
    fixture.front().next(On::Download, 2, gone.clone());
    assert_eq!(fixture.read(&name).await.unwrap(), b"there");
    fixture.front().next(On::Download, 1, Fault::status(500));
    assert_eq!(fixture.read(&name).await.unwrap(), b"there");
    // It gives up when it stays like that, and says that it may be there later.
    fixture.front().next(On::Download, 100, gone);
    assert!(matches!(fixture.read(&name).await, Err(BlobError::Unavailable { .. })));
}
