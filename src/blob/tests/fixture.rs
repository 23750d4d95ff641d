//! A store of each kind, and what tests do with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tempfile::TempDir;

use super::support::faults::Front;
use super::support::s3::{self, FakeS3};
use super::support::supabase::{self, FakeSupabase};
use crate::blob::wire::Patience;
use crate::blob::{BlobError, BlobStore, Content, Local, Pieces, Result, open_with};
use crate::clock;
use crate::config::{self, Cloud};
use crate::domain::object::{Bucket, ObjectKey, ObjectName};

pub(super) const BUCKET: &str = "code-agents";
pub(super) const CONTENT_TYPE: &str = "application/gzip";
/// Longer than a machine that runs tests stands still; a test of a stall has a shorter one.
const PATIENCE: Patience = Patience { connect: Duration::from_secs(5), idle: Duration::from_secs(60) };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Local,
    S3,
    Supabase,
}

/// What stands behind a store.
pub(super) enum Behind {
    Disk(TempDir),
    S3(FakeS3),
    Supabase(FakeSupabase),
}

/// A store with one private, empty bucket.
pub(super) struct Fixture {
    pub(super) store: Arc<dyn BlobStore>,
    pub(super) behind: Behind,
}

impl Fixture {
    pub(super) async fn new(kind: Kind) -> Self {
        let fixture = Self::without_bucket(kind).await;
        fixture.store.ensure_bucket(&bucket()).await.unwrap();
        fixture
    }

    pub(super) async fn without_bucket(kind: Kind) -> Self {
        match kind {
            Kind::Local => {
                let folder = tempfile::tempdir().unwrap();
                let store = Arc::new(Local::open(folder.path().join("objects")).await.unwrap());
                Self { store, behind: Behind::Disk(folder) }
            }
            Kind::S3 => {
                let server = FakeS3::start().await;
                let store =
                    open_with(&s3_at(&server.front().url(), s3::SECRET_ACCESS_KEY), PATIENCE).unwrap();
                Self { store, behind: Behind::S3(server) }
            }
            Kind::Supabase => {
                let server = FakeSupabase::start().await;
                let store =
                    open_with(&supabase_at(&server.front().url(), supabase::SECRET_KEY), PATIENCE).unwrap();
                Self { store, behind: Behind::Supabase(server) }
            }
        }
    }

    /// The same storage with another key.
    pub(super) fn with_key(&self, key: &str) -> Arc<dyn BlobStore> {
        open_with(&self.settings(key), PATIENCE).unwrap()
    }

    /// The same storage for somebody who waits no longer than this.
    pub(super) fn with_idle(&self, idle: Duration) -> Arc<dyn BlobStore> {
        let key = match &self.behind {
            Behind::S3(_) => s3::SECRET_ACCESS_KEY,
            _ => supabase::SECRET_KEY,
        };
        open_with(&self.settings(key), Patience { idle, ..PATIENCE }).unwrap()
    }

    fn settings(&self, key: &str) -> Cloud {
        match &self.behind {
            Behind::Disk(_) => panic!("a disk has no settings"),
            Behind::S3(server) => s3_at(&server.front().url(), key),
            Behind::Supabase(server) => supabase_at(&server.front().url(), key),
        }
    }

    pub(super) fn front(&self) -> &Front {
        match &self.behind {
            Behind::Disk(_) => panic!("a disk has no front"),
            Behind::S3(server) => server.front(),
            Behind::Supabase(server) => server.front(),
        }
    }

    /// What is stored, seen from behind.
    pub(super) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        match &self.behind {
            Behind::Disk(_) => panic!("look at the disk itself"),
            Behind::S3(server) => server.objects(BUCKET),
            Behind::Supabase(server) => server.objects(BUCKET),
        }
    }

    pub(super) async fn put(&self, name: &ObjectName, content: impl Into<Bytes>) -> Result<()> {
        self.store.put(name, Content::Bytes(content.into()), CONTENT_TYPE).await
    }

    pub(super) async fn read(&self, name: &ObjectName) -> Result<Vec<u8>> {
        all(self.store.get(name, None).await?).await
    }

    pub(super) async fn read_range(&self, name: &ObjectName, start: u64, end: u64) -> Result<Vec<u8>> {
        all(self.store.get(name, Some(start..end)).await?).await
    }
}

fn s3_at(url: &str, secret: &str) -> Cloud {
    Cloud::S3(config::S3 {
        endpoint: Some(url.parse().unwrap()),
        region: "us-east-1".into(),
        access_key_id: s3::ACCESS_KEY_ID.into(),
        secret_access_key: secret.into(),
    })
}

fn supabase_at(url: &str, key: &str) -> Cloud {
    Cloud::Supabase(config::Supabase { url: url.parse().unwrap(), service_key: key.into() })
}

pub(super) async fn all(pieces: Pieces) -> Result<Vec<u8>> {
    let pieces: Vec<Bytes> = pieces.try_collect().await?;
    Ok(pieces.concat())
}

pub(super) fn bucket() -> Bucket {
    Bucket::parse(BUCKET).unwrap()
}

/// A name that nobody else has.
pub(super) fn fresh() -> ObjectName {
    ObjectName { bucket: bucket(), key: ObjectKey::source(clock::new_id(), 1) }
}

/// Bytes in which every piece differs from every other.
pub(super) fn bytes(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

pub(super) fn is_unavailable(result: &Result<impl Sized>) -> bool {
    matches!(result, Err(BlobError::Unavailable { .. }))
}

/// Makes a test of each `async fn name(kind)` for each kind of store.
macro_rules! for_each_store {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::blob::tests::fixture::Kind;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn local() {
                super::$name(Kind::Local).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn s3() {
                super::$name(Kind::S3).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn supabase() {
                super::$name(Kind::Supabase).await;
            }
        }
    )+};
}
pub(super) use for_each_store;

/// The same for what is reached over a network.
macro_rules! for_each_cloud {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use crate::blob::tests::fixture::Kind;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn s3() {
                super::$name(Kind::S3).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn supabase() {
                super::$name(Kind::Supabase).await;
            }
        }
    )+};
}
pub(super) use for_each_cloud;
