//! Clouds that are away, busy, full, or have something else than was sent.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use reqwest::{Method, Request};

use super::fixture::{
    BUCKET, Behind, CONTENT_TYPE, Fixture, Kind, all, bucket, bytes, for_each_cloud, fresh, is_unavailable,
};
use super::support::faults::{Fault, On};
use super::support::s3::SECRET_ACCESS_KEY;
use super::support::supabase::{FILE_SIZE_LIMIT, SECRET_KEY, error_body};
use crate::blob::wire::{Patience, Upload, Wire};
use crate::blob::{BlobError, Content, Retry};
use crate::domain::limits::S3_PART_BYTES;

for_each_cloud!(
    a_storage_that_is_away_may_be_back,
    a_busy_storage_says_for_how_long,
    one_bad_answer_is_not_told,
    a_cut_upload_leaves_the_old_object,
    a_cut_upload_of_a_large_file_leaves_nothing,
    a_cut_download_is_no_short_object,
    a_storage_that_stalls_is_away,
    what_arrives_changed_is_torn,
    too_large_is_told_so,
    errors_never_hold_keys_or_signatures,
);

async fn a_storage_that_is_away_may_be_back(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    fixture.put(&name, "x").await.unwrap();
    fixture.front().go_away().await;
    assert!(is_unavailable(&fixture.put(&name, "y").await));
    assert!(is_unavailable(&fixture.read(&name).await));
    assert!(is_unavailable(&fixture.store.head(&name).await));
    assert!(is_unavailable(&fixture.store.delete(&name).await));
    assert!(is_unavailable(&fixture.store.list(&bucket(), "").await.map(|_| ())));
    assert!(is_unavailable(&fixture.store.ensure_bucket(&bucket()).await));
    fixture.front().come_back().await;
    assert_eq!(fixture.read(&name).await.unwrap(), b"x");
}

async fn a_busy_storage_says_for_how_long(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    for status in [429, 503] {
        fixture.front().next(On::Upload, 1, Fault::busy(status, "7"));
        let error = fixture.put(&name, "x").await.unwrap_err();
        assert_eq!(error.retry(), Retry::Later { at_least: Duration::from_secs(7) }, "{error:?}");
        fixture.front().next(On::Any, 1, Fault::busy(status, "7"));
        let error = fixture.store.check_bucket(&bucket()).await.unwrap_err();
        assert_eq!(error.retry(), Retry::Later { at_least: Duration::from_secs(7) }, "{error:?}");
    }
}

async fn one_bad_answer_is_not_told(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    fixture.put(&name, "x").await.unwrap();
    for _ in 0..2 {
        fixture.front().next(On::Other, 1, Fault::status(502));
        assert_eq!(fixture.store.head(&name).await.unwrap().unwrap().size_bytes, 1);
    }
    fixture.front().next(On::Download, 1, Fault::status(502));
    assert_eq!(fixture.read(&name).await.unwrap(), b"x");
    fixture.front().next(On::Any, 20, Fault::status(502));
    assert!(is_unavailable(&fixture.store.head(&name).await));
}

async fn a_cut_upload_leaves_the_old_object(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let (name, other) = (fresh(), fresh());
    fixture.put(&name, "the old one").await.unwrap();
    for name in [&name, &other] {
        fixture.front().next(On::Upload, 10, Fault::CutUploadAfter(500_000));
        assert!(is_unavailable(&fixture.put(name, bytes(2_000_000, 1)).await));
        fixture.front().mend();
    }
    assert_eq!(fixture.read(&name).await.unwrap(), b"the old one");
    assert_eq!(fixture.read(&other).await, Err(BlobError::NotFound));
    assert_eq!(fixture.objects().len(), 1);
}

async fn a_cut_upload_of_a_large_file_leaves_nothing(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes(2 * S3_PART_BYTES + 1_000, 1)).unwrap();
    let content = Content::File(file.path().into());
    fixture.front().next(On::Upload, 10, Fault::CutUploadAfter(6_000_000));
    assert!(is_unavailable(&fixture.store.put(&name, content.clone(), CONTENT_TYPE).await));
    fixture.front().mend();
    assert!(fixture.objects().is_empty());
    if let Behind::S3(server) = &fixture.behind {
        assert_eq!(server.unfinished(), 0, "the multipart upload was aborted");
    }
    // A single cut is mended by itself where parts are sent; either way, it works the next time.
    fixture.store.put(&name, content, CONTENT_TYPE).await.unwrap();
    assert!(fixture.read(&name).await.unwrap() == bytes(2 * S3_PART_BYTES + 1_000, 1));
}

async fn a_cut_download_is_no_short_object(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    fixture.put(&name, bytes(2_000_000, 1)).await.unwrap();
    fixture.front().next(On::Download, 1, Fault::CutDownloadAfter(500_000));
    assert!(is_unavailable(&fixture.read(&name).await));
    assert_eq!(fixture.read(&name).await.unwrap().len(), 2_000_000);
}

async fn a_storage_that_stalls_is_away(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    fixture.put(&name, "x").await.unwrap();
    // Longer than a failure that is tried again at once.
    let store = fixture.with_idle(Duration::from_millis(1_200));
    fixture.front().next(On::Any, 1, Fault::Delay(Duration::from_secs(60)));
    let failed = async { all(store.get(&name, None).await?).await }.await;
    assert!(is_unavailable(&failed), "{failed:?}");
    assert!(failed.unwrap_err().to_string().contains("1.2s"));
}

async fn what_arrives_changed_is_torn(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    fixture.front().next(On::Upload, 1, Fault::TurnBit);
    let error = fixture.put(&name, bytes(100_000, 1)).await.unwrap_err();
    assert!(matches!(&error, BlobError::Torn(text) if text.contains(name.key.as_str())), "{error:?}");
    assert_eq!(error.retry(), Retry::Later { at_least: Duration::ZERO });
    fixture.put(&name, bytes(100_000, 1)).await.unwrap();
}

async fn too_large_is_told_so(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let body = match kind {
        Kind::S3 => "<Error><Code>EntityTooLarge</Code><Message>too large</Message></Error>".into(),
        _ => error_body("413", "EntityTooLarge", "The object exceeded the maximum allowed size"),
    };
    fixture.front().next(On::Upload, 1, Fault::Answer { status: 400, headers: Vec::new(), body });
    let error = fixture.put(&fresh(), "x").await.unwrap_err();
    assert!(matches!(error, BlobError::TooLarge(_)), "{error:?}");
    fixture.front().next(On::Upload, 1, Fault::status(413));
    assert!(matches!(fixture.put(&fresh(), "x").await, Err(BlobError::TooLarge(_))));
}

async fn errors_never_hold_keys_or_signatures(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    fixture.put(&name, "x").await.unwrap();
    let mut errors = Vec::new();
    let fault = |status| Fault::Answer {
        status,
        headers: Vec::new(),
        body: format!("{{\"message\":\"you sent {SECRET_KEY}\"}} <Message>nothing</Message>"),
    };
    for status in [400, 401, 403, 409, 500] {
        fixture.front().next(On::Any, 1_000, fault(status));
        errors.push(fixture.put(&name, "y").await.unwrap_err());
        errors.push(fixture.read(&name).await.unwrap_err());
        errors.push(fixture.store.ensure_bucket(&bucket()).await.unwrap_err());
        fixture.front().mend();
    }
    fixture.front().go_away().await;
    errors.push(fixture.read(&name).await.unwrap_err());
    for error in errors {
        let text = format!("{error} {error:?}");
        for secret in [SECRET_ACCESS_KEY, SECRET_KEY, "X-Amz-Signature", "Signature="] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

/// An upload that is made in drops takes longer than a connection may be idle.
#[tokio::test]
async fn an_upload_may_take_long_while_it_moves() {
    let fixture = Fixture::new(Kind::Supabase).await;
    let patience = Patience { connect: Duration::from_secs(5), idle: Duration::from_millis(400) };
    let url = format!("{}/storage/v1/object/{}", fixture.front().url(), fresh());
    let mut request = Request::new(Method::POST, url.parse().unwrap());
    request.headers_mut().insert("apikey", SECRET_KEY.parse().unwrap());
    let drops = stream::iter(0..10).then(async |_| {
        // The time that passes is what is tried out.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(Bytes::from_static(b"drop"))
    });
    let upload = Upload { size_bytes: 40, pieces: Box::pin(drops) };
    let answer = Wire::new(patience).unwrap().send(request, Some(upload)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(fixture.objects().into_values().next().unwrap(), b"drop".repeat(10));
}

#[tokio::test]
async fn supabase_is_not_sent_what_its_bucket_does_not_take() {
    let fixture = Fixture::new(Kind::Supabase).await;
    let Behind::Supabase(server) = &fixture.behind else { unreachable!("it is Supabase") };
    server.set_bucket(BUCKET, false, Some(1_000));
    let name = fresh();
    fixture.put(&name, bytes(1_000, 1)).await.unwrap();
    let error = fixture.put(&name, bytes(1_001, 1)).await.unwrap_err();
    assert!(matches!(&error, BlobError::TooLarge(text) if text.contains("1000")), "{error:?}");
    assert_eq!(fixture.front().count(On::Upload, name.key.as_str()), 1);
    assert_eq!(FILE_SIZE_LIMIT, 50 << 20);
}

#[tokio::test]
async fn every_upload_to_supabase_says_its_length() {
    let fixture = Fixture::new(Kind::Supabase).await;
    fixture.put(&fresh(), bytes(300_000, 1)).await.unwrap();
    let uploads: Vec<_> = fixture.front().seen().into_iter().filter(|seen| seen.on == On::Upload).collect();
    assert_eq!(uploads.len(), 1);
    assert_eq!(uploads[0].method, "POST");
    assert_eq!(uploads[0].headers["content-length"], "300000");
    assert_eq!(uploads[0].headers["content-type"], CONTENT_TYPE);
    assert!(!uploads[0].headers.contains_key("transfer-encoding"));
    assert!(!uploads[0].headers.contains_key("authorization"), "the new keys are no tokens");
}

#[tokio::test]
async fn where_the_etag_is_no_checksum_the_bytes_are_read_back() {
    let fixture = Fixture::new(Kind::Supabase).await;
    let Behind::Supabase(server) = &fixture.behind else { unreachable!("it is Supabase") };
    server.use_opaque_etags();
    let name = fresh();
    fixture.put(&name, bytes(300_000, 1)).await.unwrap();
    assert_eq!(fixture.front().count(On::Download, name.key.as_str()), 1);
    fixture.front().next(On::Upload, 1, Fault::TurnBit);
    assert!(matches!(fixture.put(&name, bytes(300_000, 1)).await, Err(BlobError::Torn(_))));
}

/// S3's parts are sent again one by one: a cut in a large file does not send all of it again.
#[tokio::test]
async fn only_the_part_that_was_cut_is_sent_again() {
    let fixture = Fixture::new(Kind::S3).await;
    let name = fresh();
    fixture.front().next(On::Upload, 1, Fault::CutUploadAfter(6_000_000));
    fixture.put(&name, bytes(3 * S3_PART_BYTES, 1)).await.unwrap();
    assert_eq!(fixture.front().count(On::Upload, name.key.as_str()), 4);
    let stored = fixture.store.get(&name, None).await.unwrap();
    assert!(all(stored).await.unwrap() == bytes(3 * S3_PART_BYTES, 1));
}

#[tokio::test]
async fn what_was_changed_behind_the_storages_back_is_what_is_read() {
    for kind in [Kind::S3, Kind::Supabase] {
        let fixture = Fixture::new(kind).await;
        let name = fresh();
        fixture.put(&name, "abc").await.unwrap();
        match &fixture.behind {
            Behind::S3(server) => server.corrupt(BUCKET, name.key.as_str()),
            Behind::Supabase(server) => server.corrupt(BUCKET, name.key.as_str()),
            Behind::Disk(_) => unreachable!("it is a cloud"),
        }
        assert_eq!(fixture.read(&name).await.unwrap(), b"`bc", "so whoever keeps a checksum sees it");
    }
}
