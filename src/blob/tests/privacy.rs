//! Buckets that the public can read, and keys that nobody may read.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::fixture::{BUCKET, Behind, Fixture, Kind, bucket, for_each_cloud, fresh};
use super::support::s3::{Exposure, FakeS3};
use super::support::supabase::LEGACY_KEY;
use crate::blob::{BlobError, Retry};

for_each_cloud!(wrong_keys_are_refused_and_never_told);

#[tokio::test]
async fn a_public_bucket_of_s3_is_refused_however_it_is_public() {
    for exposure in [Exposure::Policy, Exposure::Acl, Exposure::Listing] {
        let fixture = Fixture::new(Kind::S3).await;
        let Behind::S3(server) = &fixture.behind else { unreachable!("it is S3") };
        FakeS3::expose(server, BUCKET, exposure);
        assert_public(&fixture).await;
    }
}

#[tokio::test]
async fn a_public_bucket_of_supabase_is_refused_also_by_a_put() {
    let fixture = Fixture::new(Kind::Supabase).await;
    let Behind::Supabase(server) = &fixture.behind else { unreachable!("it is Supabase") };
    assert_eq!(server.is_public(BUCKET), Some(false), "we make private ones");
    server.set_bucket(BUCKET, true, None);
    assert_public(&fixture).await;
    assert!(matches!(fixture.put(&fresh(), "x").await, Err(BlobError::Public(_))));
    assert!(fixture.objects().is_empty());
}

#[tokio::test]
async fn a_folder_that_others_can_read_is_refused() {
    let fixture = Fixture::new(Kind::Local).await;
    let Behind::Disk(folder) = &fixture.behind else { unreachable!("it is local") };
    let bucket = folder.path().join("objects").join(BUCKET);
    fs::set_permissions(bucket, Permissions::from_mode(0o755)).unwrap();
    assert_public(&fixture).await;
}

#[tokio::test]
async fn legacy_keys_of_supabase_work_too() {
    let fixture = Fixture::new(Kind::Supabase).await;
    let legacy = fixture.with_key(LEGACY_KEY);
    legacy.check_bucket(&bucket()).await.unwrap();
    assert!(format!("{legacy:?}").contains("***") && !format!("{legacy:?}").contains(LEGACY_KEY));
}

async fn assert_public(fixture: &Fixture) {
    for result in [fixture.store.ensure_bucket(&bucket()).await, fixture.store.check_bucket(&bucket()).await]
    {
        let error = result.unwrap_err();
        assert!(matches!(&error, BlobError::Public(text) if text.contains(BUCKET)), "{error:?}");
        assert_eq!(error.retry(), Retry::Never);
    }
}

async fn wrong_keys_are_refused_and_never_told(kind: Kind) {
    const WRONG: &str = "hunter2-hunter2-hunter2";
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    fixture.put(&name, "x").await.unwrap();
    let stranger = fixture.with_key(WRONG);
    let content = crate::blob::Content::Bytes("y".into());
    let errors = [
        stranger.ensure_bucket(&bucket()).await.unwrap_err(),
        stranger.check_bucket(&bucket()).await.unwrap_err(),
        stranger.put(&name, content, "text/plain").await.unwrap_err(),
        stranger.get(&name, None).await.err().unwrap(),
        stranger.head(&name).await.unwrap_err(),
        stranger.delete(&name).await.unwrap_err(),
        stranger.list(&bucket(), "").await.err().unwrap(),
    ];
    for error in errors {
        assert!(matches!(error, BlobError::Refused(_)), "{error:?}");
        assert_eq!(error.retry(), Retry::Never);
        assert!(!format!("{error} {error:?} {stranger:?}").contains("hunter2"), "{error:?}");
    }
    assert_eq!(fixture.read(&name).await.unwrap(), b"x");
}
