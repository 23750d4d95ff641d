//! Objects that grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;

use super::fixture::{
    BUCKET, Behind, CONTENT_TYPE, Fixture, Kind, all, bytes, for_each_cloud, for_each_store, fresh,
    is_unavailable,
};
use super::support::faults::{Fault, On};
use crate::blob::{BlobError, Result};
use crate::domain::object::ObjectName;

const MIB: usize = 1024 * 1024;

for_each_store!(
    appending_to_a_missing_bucket_says_so,
    a_shorter_object_is_torn_and_stays_as_it_is,
    an_object_grows_from_nothing,
    the_same_append_again_changes_nothing,
    what_an_earlier_attempt_left_is_replaced,
    large_objects_grow_too,
    a_reader_below_the_offset_never_sees_anything_else,
);

for_each_cloud!(
    a_storage_that_is_away_gets_the_append_later,
    a_cut_append_leaves_the_object_whole,
    a_cut_answer_leaves_the_object_whole,
    what_arrives_changed_is_sent_again,
);

pub(super) async fn append(
    fixture: &Fixture,
    name: &ObjectName,
    offset: usize,
    tail: impl Into<Bytes>,
) -> Result<()> {
    fixture.store.append(name, offset as u64, tail.into(), CONTENT_TYPE).await
}

async fn appending_to_a_missing_bucket_says_so(kind: Kind) {
    let fixture = Fixture::without_bucket(kind).await;
    for offset in [0, 5] {
        let appended = append(&fixture, &fresh(), offset, "x").await;
        assert_eq!(appended, Err(BlobError::NoBucket(BUCKET.into())), "{offset}");
    }
}

async fn a_shorter_object_is_torn_and_stays_as_it_is(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let (name, missing) = (fresh(), fresh());
    append(&fixture, &name, 0, "0123456789").await.unwrap();
    for name in [&name, &missing] {
        let appended = append(&fixture, name, 11, "x").await;
        assert!(matches!(appended, Err(BlobError::Torn(_))), "{appended:?}");
    }
    assert_eq!(fixture.read(&name).await.unwrap(), b"0123456789");
    assert_eq!(fixture.store.head(&missing).await.unwrap(), None);
    append(&fixture, &name, 10, "x").await.unwrap();
}

async fn an_object_grows_from_nothing(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    let mut whole = Vec::new();
    for step in 0..40 {
        let tail = bytes(step * 37 % 1_000, step as u64);
        append(&fixture, &name, whole.len(), tail.clone()).await.unwrap();
        whole.extend_from_slice(&tail);
        assert_eq!(fixture.read(&name).await.unwrap(), whole, "step {step}");
    }
}

async fn the_same_append_again_changes_nothing(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    for offset in [0, 3] {
        for _ in 0..3 {
            append(&fixture, &name, offset, "abc").await.unwrap();
            assert_eq!(fixture.read(&name).await.unwrap(), b"abc".repeat(1 + offset / 3));
        }
    }
}

async fn what_an_earlier_attempt_left_is_replaced(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    // Where an object is sent again as a whole, and where only its end is.
    for length in [0, 10, 5 * MIB] {
        let name = fresh();
        let before = bytes(length, 1);
        append(&fixture, &name, 0, before.clone()).await.unwrap();
        for tail in ["first\n", "first\nsecond\n", "f", "other bytes\n", ""] {
            append(&fixture, &name, length, tail).await.unwrap();
            let expected = [&before, tail.as_bytes()].concat();
            assert!(fixture.read(&name).await.unwrap() == expected, "{tail:?} after {length}");
        }
    }
}

async fn large_objects_grow_too(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    let mut whole = Vec::new();
    for (step, length) in [5 * MIB - 1, 1, 1, 200_000, 6 * MIB, 13 * MIB, 300_000].into_iter().enumerate() {
        let tail = bytes(length, step as u64);
        append(&fixture, &name, whole.len(), tail.clone()).await.unwrap();
        whole.extend_from_slice(&tail);
        assert!(fixture.read(&name).await.unwrap() == whole, "{} bytes", whole.len());
    }
    if let Behind::S3(server) = &fixture.behind {
        assert_eq!(copies(&fixture, &name), 3, "from 5 MiB on, unless the tail is larger than the rest");
        assert_eq!(server.unfinished(), 0);
    }
}

/// What the readers know to be there grows with each append.
async fn a_reader_below_the_offset_never_sees_anything_else(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    let whole = bytes(41 * 20_000, 7);
    append(&fixture, &name, 0, whole.slice(..20_000)).await.unwrap();
    let (known, done) = (Arc::new(AtomicU64::new(20_000)), Arc::new(AtomicBool::new(false)));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (store, name, whole) = (fixture.store.clone(), name.clone(), whole.clone());
            let (known, done) = (known.clone(), done.clone());
            tokio::spawn(async move {
                let mut reads = 0;
                while !done.load(Ordering::Relaxed) {
                    let end = known.load(Ordering::Relaxed);
                    let found = all(store.get(&name, Some(0..end)).await.unwrap()).await.unwrap();
                    assert!(found == whole[..found.len()] && found.len() as u64 == end);
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    for offset in (20_000..whole.len()).step_by(20_000) {
        // Not acknowledged; then with fewer lines, then with all.
        append(&fixture, &name, offset, bytes(30_000, offset as u64)).await.unwrap();
        append(&fixture, &name, offset, whole.slice(offset..offset + 9)).await.unwrap();
        append(&fixture, &name, offset, whole.slice(offset..offset + 20_000)).await.unwrap();
        known.store(offset as u64 + 20_000, Ordering::Relaxed);
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    assert!(fixture.read(&name).await.unwrap() == whole);
}

async fn a_storage_that_is_away_gets_the_append_later(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    append(&fixture, &name, 0, "one ").await.unwrap();
    fixture.front().go_away().await;
    assert!(is_unavailable(&append(&fixture, &name, 4, "two ").await));
    assert!(is_unavailable(&append(&fixture, &fresh(), 0, "x").await));
    fixture.front().come_back().await;
    append(&fixture, &name, 4, "two three").await.unwrap();
    assert_eq!(fixture.read(&name).await.unwrap(), b"one two three");
}

async fn a_cut_append_leaves_the_object_whole(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    for length in [0, 600_000, 6 * MIB] {
        let name = fresh();
        let (before, tail) = (bytes(length, 1), bytes(MIB, 2));
        append(&fixture, &name, 0, before.clone()).await.unwrap();
        fixture.front().next(On::Upload, 10, Fault::CutUploadAfter(500_000));
        assert!(is_unavailable(&append(&fixture, &name, length, tail.clone()).await), "{length}");
        fixture.front().mend();
        assert!(fixture.read(&name).await.unwrap() == before, "{length}");
        if let Behind::S3(server) = &fixture.behind {
            assert_eq!(server.unfinished(), 0, "the upload was aborted");
        }
        append(&fixture, &name, length, tail.clone()).await.unwrap();
        assert!(fixture.read(&name).await.unwrap() == [before, tail].concat(), "{length}");
    }
}

async fn a_cut_answer_leaves_the_object_whole(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    for length in [600_000, 6 * MIB] {
        let name = fresh();
        let (before, tail) = (bytes(length, 1), bytes(100_000, 2));
        let after = [&before[..], &tail].concat();
        append(&fixture, &name, 0, before.clone()).await.unwrap();
        for on in [On::Upload, On::Finish] {
            fixture.front().next(on, 10, Fault::CutDownloadAfter(0));
            let _ = append(&fixture, &name, length, tail.clone()).await;
            fixture.front().mend();
            let found = fixture.read(&name).await.unwrap();
            assert!(found == before || found == after, "{length} {on:?}");
        }
        append(&fixture, &name, length, tail).await.unwrap();
        assert!(fixture.read(&name).await.unwrap() == after, "{length}");
    }
}

async fn what_arrives_changed_is_sent_again(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    for length in [0, 600_000, 6 * MIB] {
        let name = fresh();
        let (before, tail) = (bytes(length, 1), bytes(1_000, 2));
        append(&fixture, &name, 0, before.clone()).await.unwrap();
        fixture.front().next(On::Upload, 1, Fault::TurnBit);
        // Where only the tail was sent, the rest is safe, and whoever appended sends it again.
        let mut appended = append(&fixture, &name, length, tail.clone()).await;
        if kind == Kind::S3 && length == 6 * MIB {
            assert!(matches!(appended, Err(BlobError::Torn(_))), "{appended:?}");
            appended = append(&fixture, &name, length, tail.clone()).await;
        }
        appended.unwrap();
        assert!(fixture.read(&name).await.unwrap() == [before, tail].concat(), "{length}");
    }
}

/// How often storage was asked to copy into a part of this object.
pub(super) fn copies(fixture: &Fixture, name: &ObjectName) -> usize {
    let is_copy = |seen: &&super::support::faults::Seen| {
        seen.headers.contains_key("x-amz-copy-source") && seen.path.contains(name.key.as_str())
    };
    fixture.front().seen().iter().filter(is_copy).count()
}
