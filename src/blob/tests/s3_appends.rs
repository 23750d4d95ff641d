//! What appending is like on S3 and on servers that differ from it.

use super::appends::{append, copies};
use super::fixture::{Behind, Fixture, Kind, bytes, fresh, is_unavailable};
use super::support::faults::{Fault, On};
use super::support::s3::Quirk;
use crate::blob::BlobError;
use crate::domain::object::ObjectName;

const MIB: usize = 1024 * 1024;
/// Below and above what storage copies into a part.
const LENGTHS: [usize; 3] = [0, 600_000, 6 * MIB];

async fn with(quirks: &[Quirk]) -> Fixture {
    let fixture = Fixture::new(Kind::S3).await;
    let Behind::S3(server) = &fixture.behind else { unreachable!("it is S3") };
    quirks.iter().for_each(|quirk| server.has(*quirk));
    fixture
}

/// Grows an object in some steps, looking at each.
async fn grow(fixture: &Fixture, length: usize) -> ObjectName {
    let name = fresh();
    let mut whole = bytes(length, 1).to_vec();
    append(fixture, &name, 0, whole.clone()).await.unwrap();
    for seed in 2..4 {
        let tail = bytes(1_000, seed);
        append(fixture, &name, whole.len(), tail.clone()).await.unwrap();
        whole.extend_from_slice(&tail);
        assert!(fixture.read(&name).await.unwrap() == whole, "{length}");
    }
    name
}

fn heads(fixture: &Fixture, name: &ObjectName) -> usize {
    let is_head = |seen: &&super::support::faults::Seen| {
        seen.method == "HEAD" && seen.path.ends_with(name.key.as_str())
    };
    fixture.front().seen().iter().filter(is_head).count()
}

#[tokio::test]
async fn a_write_that_somebody_else_was_faster_than_may_succeed_later() {
    for (length, on) in [(0, On::Upload), (600_000, On::Upload), (6 * MIB, On::Finish)] {
        let fixture = with(&[]).await;
        let name = fresh();
        append(&fixture, &name, 0, bytes(length, 1)).await.unwrap();
        let body = "<Error><Code>PreconditionFailed</Code></Error>".into();
        fixture.front().next(on, 1, Fault::Answer { status: 412, headers: Vec::new(), body });
        let appended = append(&fixture, &name, length, "x").await;
        assert!(is_unavailable(&appended), "{length}: {appended:?}");
        assert!(fixture.read(&name).await.unwrap() == bytes(length, 1), "{length}");
        let Behind::S3(server) = &fixture.behind else { unreachable!("it is S3") };
        assert_eq!(server.unfinished(), 0);
        append(&fixture, &name, length, "x").await.unwrap();
        assert!(fixture.read(&name).await.unwrap() == [&bytes(length, 1)[..], b"x"].concat());
    }
}

#[tokio::test]
async fn every_append_is_on_the_condition_that_nobody_else_wrote() {
    for length in LENGTHS {
        let fixture = with(&[]).await;
        let name = grow(&fixture, length).await;
        let conditions = |header: &str| {
            let has = |seen: &super::support::faults::Seen| seen.headers.contains_key(header);
            fixture
                .front()
                .seen()
                .iter()
                .filter(|seen| seen.path.contains(name.key.as_str()) && has(seen))
                .count()
        };
        assert_eq!((conditions("if-none-match"), conditions("if-match")), (1, 2), "{length}");
    }
}

#[tokio::test]
async fn a_server_that_ignores_conditions_works() {
    let fixture = with(&[Quirk::IgnoresConditions]).await;
    for length in LENGTHS {
        grow(&fixture, length).await;
    }
}

#[tokio::test]
async fn a_server_that_refuses_conditions_is_not_asked_twice() {
    let fixture = with(&[Quirk::RefusesConditions]).await;
    for length in LENGTHS {
        grow(&fixture, length).await;
    }
    let refused = fixture.front().seen();
    let refused = refused.iter().filter(|seen| seen.headers.contains_key("if-none-match")).count();
    assert_eq!(refused, 1);
    assert!(!fixture.store.rewrites());
}

#[tokio::test]
async fn a_server_that_cannot_copy_gets_whole_objects_from_then_on() {
    let fixture = with(&[Quirk::RefusesCopies]).await;
    assert!(!fixture.store.rewrites());
    let first = grow(&fixture, 6 * MIB).await;
    assert!(fixture.store.rewrites());
    let second = grow(&fixture, 6 * MIB).await;
    assert_eq!((copies(&fixture, &first), copies(&fixture, &second)), (1, 0));
    let Behind::S3(server) = &fixture.behind else { unreachable!("it is S3") };
    assert_eq!(server.unfinished(), 0);
}

#[tokio::test]
async fn weak_etags_are_no_conditions() {
    let fixture = with(&[Quirk::WeakEtags]).await;
    for length in LENGTHS {
        grow(&fixture, length).await;
    }
}

/// Then an ETag does not show that the new bytes arrived, and they are read back.
#[tokio::test]
async fn where_the_etag_is_no_checksum_the_tail_is_read_back() {
    let fixture = with(&[Quirk::IgnoresConditions, Quirk::OpaqueEtags]).await;
    let name = grow(&fixture, 6 * MIB).await;
    let before = fixture.front().seen().len();
    append(&fixture, &name, 6 * MIB + 2_000, bytes(1_000, 9)).await.unwrap();
    let ranges: Vec<_> = fixture.front().seen()[before..]
        .iter()
        .filter(|seen| seen.on == On::Download)
        .map(|seen| seen.headers["range"].clone())
        .collect();
    assert_eq!(ranges, [format!("bytes={}-{}", 6 * MIB + 2_000, 6 * MIB + 2_999).as_str()]);
    fixture.front().next(On::Upload, 1, Fault::TurnBit);
    let appended = append(&fixture, &name, 6 * MIB + 3_000, bytes(1_000, 10)).await;
    assert!(matches!(appended, Err(BlobError::Torn(_))), "{appended:?}");
}

#[tokio::test]
async fn an_append_looks_once_before_and_once_after() {
    let fixture = with(&[]).await;
    for length in LENGTHS {
        let name = grow(&fixture, length).await;
        assert_eq!(heads(&fixture, &name), 3 * 2, "{length}");
    }
    let seen = fixture.front().seen();
    let of_bucket = seen.iter().filter(|seen| seen.method == "HEAD" && seen.path.len() < 20).count();
    assert_eq!(of_bucket, 2, "the bucket is looked at only when it is made");
}

/// Rewriting a log of 100 MB at each flush of 200 kB would send 250 bytes for each. Measured up to 12 MB; from there on,
/// each flush costs the same, and what 100 MB cost is calculated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_log_sends_little_more_than_its_own_bytes() {
    const FLUSH: usize = 200_000;
    const FLUSHES: usize = 60;
    const MEASURED: usize = 20;
    let fixture = with(&[]).await;
    let name = fresh();
    let whole = bytes(FLUSH * FLUSHES, 5);
    let begun = fixture.front().received_bytes();
    let mut sent = Vec::new();
    for flush in 0..FLUSHES {
        let offset = flush * FLUSH;
        append(&fixture, &name, offset, whole.slice(offset..offset + FLUSH)).await.unwrap();
        sent.push(fixture.front().received_bytes() - begun);
    }
    assert!(fixture.read(&name).await.unwrap() == whole);
    let [.., last] = sent[..] else { unreachable!("there were flushes") };
    let per_flush = (last - sent[FLUSHES - 1 - MEASURED]) / MEASURED as u64;
    assert!(per_flush < FLUSH as u64 + 10_000, "{per_flush} bytes for each flush of {FLUSH}");
    let at_100_mb = last + per_flush * (500 - FLUSHES as u64);
    let per_1000 = at_100_mb / 100_000;
    println!("{last} bytes sent for {}; {per_flush} per flush; {per_1000} per 1000 at 100 MB", whole.len());
    assert!(per_1000 <= 1_800, "{per_1000} bytes sent for 1000 logged");
}
