//! What every backend promises.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use futures_util::TryStreamExt as _;

use super::fixture::{BUCKET, Behind, CONTENT_TYPE, Fixture, Kind, bucket, bytes, for_each_store, fresh};
use crate::blob::{BlobError, Content, ObjectInfo};
use crate::clock;
use crate::domain::limits::S3_PART_BYTES;
use crate::domain::object::{Bucket, ObjectKey, ObjectName};

for_each_store!(
    what_is_put_is_got,
    a_large_file_is_stored_whole,
    an_object_may_be_empty,
    a_range_is_what_of_it_exists,
    a_put_replaces,
    deleting_twice_is_no_error,
    a_list_has_every_object_with_the_prefix,
    a_missing_object_is_no_missing_bucket,
    making_a_bucket_twice_is_no_error,
    checking_makes_nothing,
    keys_may_have_every_character_that_is_allowed,
);

async fn what_is_put_is_got(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    assert_eq!(fixture.store.head(&name).await.unwrap(), None);
    fixture.put(&name, "hello").await.unwrap();
    assert_eq!(fixture.read(&name).await.unwrap(), b"hello");
    let info = fixture.store.head(&name).await.unwrap();
    assert_eq!(info, Some(ObjectInfo { key: name.key.to_string(), size_bytes: 5 }));
}

async fn a_large_file_is_stored_whole(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    // On both sides of what is sent in one request, and in several.
    for length in [S3_PART_BYTES - 1, S3_PART_BYTES, S3_PART_BYTES + 1, 20 * 1024 * 1024] {
        let content = bytes(length, length as u64);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&content).unwrap();
        let name = fresh();
        let put = fixture.store.put(&name, Content::File(file.path().into()), CONTENT_TYPE);
        put.await.unwrap();
        assert!(fixture.read(&name).await.unwrap() == content, "{length} bytes come back as they were");
        let info = fixture.store.head(&name).await.unwrap().unwrap();
        assert_eq!(info.size_bytes, length as u64);
    }
    if let Behind::S3(server) = &fixture.behind {
        assert_eq!(server.unfinished(), 0);
    }
}

async fn an_object_may_be_empty(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    fixture.put(&name, "").await.unwrap();
    assert_eq!(fixture.read(&name).await.unwrap(), b"");
    assert_eq!(fixture.read_range(&name, 0, 10).await.unwrap(), b"");
    assert_eq!(fixture.store.head(&name).await.unwrap().unwrap().size_bytes, 0);
}

async fn a_range_is_what_of_it_exists(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    fixture.put(&name, "0123456789").await.unwrap();
    for (start, end, expected) in [
        (0, 10, "0123456789"),
        (0, 1, "0"),
        (3, 7, "3456"),
        (9, 10, "9"),
        (8, 100, "89"),
        (0, u64::MAX, "0123456789"),
        (10, 20, ""),
        (1_000, 2_000, ""),
        (4, 4, ""),
    ] {
        let found = fixture.read_range(&name, start, end).await.unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), expected, "{start}..{end}");
    }
    let missing = fresh();
    for (start, end) in [(0, 1), (5, 5)] {
        assert_eq!(
            fixture.read_range(&missing, start, end).await,
            Err(BlobError::NotFound),
            "{start}..{end}"
        );
    }
}

async fn a_put_replaces(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    for content in ["a longer one", "short", "short", ""] {
        fixture.put(&name, content).await.unwrap();
        assert_eq!(fixture.read(&name).await.unwrap(), content.as_bytes());
    }
}

async fn deleting_twice_is_no_error(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let (name, other) = (fresh(), fresh());
    fixture.put(&name, "one").await.unwrap();
    fixture.put(&other, "two").await.unwrap();
    fixture.store.delete(&name).await.unwrap();
    fixture.store.delete(&name).await.unwrap();
    assert_eq!(fixture.read(&name).await, Err(BlobError::NotFound));
    assert_eq!(fixture.read(&other).await.unwrap(), b"two");
    // What was deleted can be stored again.
    fixture.put(&name, "three").await.unwrap();
    assert_eq!(fixture.read(&name).await.unwrap(), b"three");
}

async fn a_list_has_every_object_with_the_prefix(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let (many, few) = (clock::new_id(), clock::new_id());
    let name = |id, number| ObjectName { bucket: bucket(), key: ObjectKey::source(id, number) };
    // More than a page of any backend.
    for number in 0..1_100 {
        fixture.put(&name(many, number), "x").await.unwrap();
    }
    fixture.put(&name(few, 1), "four").await.unwrap();
    let list = async |prefix: String| -> Vec<ObjectInfo> {
        fixture.store.list(&bucket(), &prefix).await.unwrap().try_collect().await.unwrap()
    };
    let listed = list(format!("code-blobs/{many}/")).await;
    let keys: BTreeSet<&str> = listed.iter().map(|object| object.key.as_str()).collect();
    let expected: Vec<String> = (0..1_100).map(|number| name(many, number).key.to_string()).collect();
    assert_eq!(keys, expected.iter().map(String::as_str).collect());
    assert_eq!(listed.len(), 1_100);
    assert!(listed.iter().all(|object| object.size_bytes == 1));

    let one = ObjectInfo { key: name(few, 1).key.to_string(), size_bytes: 4 };
    assert_eq!(list(format!("code-blobs/{few}")).await, [one]);
    assert_eq!(list(String::new()).await.len(), 1_101);
    // A prefix may end in the middle of a name: 1, 10 to 19, 100 to 199, 1000 to 1099.
    assert_eq!(list(format!("code-blobs/{many}/1")).await.len(), 1 + 10 + 100 + 100);
    assert_eq!(list("nothing".into()).await, []);
    assert_eq!(list("../".into()).await, []);
}

async fn a_missing_object_is_no_missing_bucket(kind: Kind) {
    let fixture = Fixture::without_bucket(kind).await;
    let name = fresh();
    let no_bucket = || BlobError::NoBucket(BUCKET.into());
    assert_eq!(fixture.put(&name, "x").await, Err(no_bucket()));
    assert_eq!(fixture.read(&name).await, Err(no_bucket()));
    assert_eq!(fixture.store.head(&name).await, Err(no_bucket()));
    assert_eq!(fixture.store.list(&bucket(), "").await.err(), Some(no_bucket()));
    assert_eq!(fixture.store.check_bucket(&bucket()).await, Err(no_bucket()));
    fixture.store.delete(&name).await.unwrap();

    fixture.store.ensure_bucket(&bucket()).await.unwrap();
    assert_eq!(fixture.read(&name).await, Err(BlobError::NotFound));
    assert_eq!(fixture.store.head(&name).await, Ok(None));
    assert!(fixture.store.list(&bucket(), "").await.is_ok());
}

async fn making_a_bucket_twice_is_no_error(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    let name = fresh();
    fixture.put(&name, "kept").await.unwrap();
    fixture.store.ensure_bucket(&bucket()).await.unwrap();
    assert_eq!(fixture.read(&name).await.unwrap(), b"kept");
    let other = Bucket::parse("another-one").unwrap();
    let (first, second) =
        tokio::join!(fixture.store.ensure_bucket(&other), fixture.store.ensure_bucket(&other));
    assert_eq!((first, second), (Ok(()), Ok(())));
}

async fn checking_makes_nothing(kind: Kind) {
    let fixture = Fixture::without_bucket(kind).await;
    for _ in 0..2 {
        let checked = fixture.store.check_bucket(&bucket()).await;
        assert_eq!(checked, Err(BlobError::NoBucket(BUCKET.into())));
    }
    fixture.store.ensure_bucket(&bucket()).await.unwrap();
    fixture.store.check_bucket(&bucket()).await.unwrap();
}

async fn keys_may_have_every_character_that_is_allowed(kind: Kind) {
    let fixture = Fixture::new(kind).await;
    for key in [
        ObjectKey::generation(clock::new_id(), 7, clock::new_id()),
        ObjectKey::source(clock::new_id(), i32::MAX),
    ] {
        let name = ObjectName { bucket: bucket(), key };
        fixture.put(&name, "x").await.unwrap();
        assert_eq!(fixture.read(&name).await.unwrap(), b"x");
        let listed: Vec<ObjectInfo> =
            fixture.store.list(&bucket(), name.key.as_str()).await.unwrap().try_collect().await.unwrap();
        assert_eq!(listed[0].key, name.key.as_str());
        let hour = Duration::from_secs(3_600);
        assert!(fixture.store.sign_get(&name, hour, "x").await.unwrap().is_some() || kind == Kind::Local);
        fixture.store.delete(&name).await.unwrap();
        assert_eq!(fixture.store.head(&name).await.unwrap(), None);
    }
}
