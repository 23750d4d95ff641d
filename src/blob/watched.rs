//! A storage whose calls are timed, and its failures counted.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use reqwest::Url;

use super::{BlobError, BlobStore, Content, ObjectInfo, Pieces, Result};
use crate::domain::object::{Bucket, ObjectName};
use crate::monitor;

const OPERATIONS: [&str; 10] = [
    "check_bucket",
    "ensure_bucket",
    "put",
    "append",
    "ensure_retention",
    "get",
    "head",
    "delete",
    "list",
    "sign_get",
];

/// Does what the storage in it does.
#[derive(Debug)]
struct Watched {
    place: &'static str,
    store: Arc<dyn BlobStore>,
}

/// The same storage, watched; `place` names it in the metrics.
pub fn watched(place: &'static str, store: Arc<dyn BlobStore>) -> Arc<dyn BlobStore> {
    monitor::storage_opened(place, &OPERATIONS);
    Arc::new(Watched { place, store })
}

impl Watched {
    async fn watch<T>(&self, operation: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
        let began = Instant::now();
        let answer = call.await;
        // That there is nothing is an answer.
        let has_failed = answer.as_ref().is_err_and(|error| !matches!(error, BlobError::NotFound));
        monitor::storage_answered(self.place, operation, has_failed, began.elapsed());
        answer
    }
}

#[async_trait]
impl BlobStore for Watched {
    async fn check_bucket(&self, bucket: &Bucket) -> Result<()> {
        self.watch("check_bucket", self.store.check_bucket(bucket)).await
    }

    async fn ensure_bucket(&self, bucket: &Bucket) -> Result<()> {
        self.watch("ensure_bucket", self.store.ensure_bucket(bucket)).await
    }

    async fn put(&self, name: &ObjectName, content: Content, content_type: &str) -> Result<()> {
        self.watch("put", self.store.put(name, content, content_type)).await
    }

    async fn append(&self, name: &ObjectName, offset: u64, tail: Bytes, content_type: &str) -> Result<()> {
        self.watch("append", self.store.append(name, offset, tail, content_type)).await
    }

    fn rewrites(&self) -> bool {
        self.store.rewrites()
    }

    async fn ensure_retention(&self, bucket: &Bucket, days: Option<u32>) -> Result<bool> {
        self.watch("ensure_retention", self.store.ensure_retention(bucket, days)).await
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Pieces> {
        self.watch("get", self.store.get(name, range)).await
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>> {
        self.watch("head", self.store.head(name)).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.watch("delete", self.store.delete(name)).await
    }

    async fn list(&self, bucket: &Bucket, prefix: &str) -> Result<BoxStream<'static, Result<ObjectInfo>>> {
        self.watch("list", self.store.list(bucket, prefix)).await
    }

    async fn sign_get(
        &self,
        name: &ObjectName,
        expires_in: Duration,
        file_name: &str,
    ) -> Result<Option<Url>> {
        self.watch("sign_get", self.store.sign_get(name, expires_in, file_name)).await
    }
}
