//! Objects in AWS S3, or on a server that speaks its protocol.
//!
//! opendal makes the requests that change and list objects, `requests` the others; all are sent over our own [`Wire`], which is
//! where failures get their meaning. Buckets are named in the path when an endpoint is configured, in the host at AWS.
//!
//! opendal's `append` is never used: on every server but one kind of AWS's, it replaces the object.

mod answer;
mod lifecycle;
mod requests;
mod transport;
mod write;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use opendal::{ErrorKind, HttpTransporter, OperationContext, Operator};
use reqwest::Url;

use super::wire::Wire;
use super::{BlobError, BlobStore, Content, ObjectInfo, Pieces, Result, attachment};
use crate::config;
use crate::domain::limits::S3_LINK_SECONDS_MAX;
use crate::domain::object::{Bucket, ObjectName};

use requests::Requests;
use transport::{Lacks, Transport};
use write::Condition;

/// Objects in S3.
#[derive(Debug)]
pub(super) struct S3 {
    settings: config::S3,
    wire: Wire,
    transport: Transport,
    requests: Requests,
    lacks: Arc<Lacks>,
}

impl S3 {
    pub(super) fn new(settings: &config::S3, wire: Wire) -> Self {
        let lacks = Arc::new(Lacks::default());
        Self {
            settings: settings.clone(),
            requests: Requests::new(settings, wire.clone()),
            transport: Transport::new(wire.clone(), lacks.clone()),
            wire,
            lacks,
        }
    }

    /// A handle on a bucket; making one asks nothing.
    fn operator(&self, bucket: &Bucket) -> Result<Operator> {
        self.operator_over(bucket, self.transport.clone())
    }

    fn operator_over(&self, bucket: &Bucket, transport: Transport) -> Result<Operator> {
        let builder = opendal::services::S3::default()
            .bucket(bucket.as_str())
            .endpoint(&endpoint(&self.settings))
            .region(&self.settings.region)
            .access_key_id(&self.settings.access_key_id)
            .secret_access_key(self.settings.secret_access_key.expose())
            // Only the settings count, not what else a machine has for other programs.
            .disable_config_load()
            .disable_ec2_metadata();
        let builder =
            if self.settings.endpoint.is_none() { builder.enable_virtual_host_style() } else { builder };
        let transport = HttpTransporter::new(transport);
        let context = OperationContext::default().with_http_transport(transport);
        Ok(Operator::new(builder).map_err(|error| failed(&error, bucket))?.with_context(context))
    }

    /// What a missing object means: an answer to HEAD does not say whether it is the bucket that is missing.
    async fn missing(&self, bucket: &Bucket) -> Result<BlobError> {
        Ok(if self.requests.exists(bucket).await? {
            BlobError::NotFound
        } else {
            BlobError::NoBucket(bucket.to_string())
        })
    }
}

#[async_trait]
impl BlobStore for S3 {
    async fn check_bucket(&self, bucket: &Bucket) -> Result<()> {
        if !self.requests.exists(bucket).await? {
            return Err(BlobError::NoBucket(bucket.to_string()));
        }
        self.requests.refuse_public(bucket).await
    }

    async fn ensure_bucket(&self, bucket: &Bucket) -> Result<()> {
        if !self.requests.exists(bucket).await? {
            self.requests.create(bucket).await?;
        }
        self.check_bucket(bucket).await
    }

    async fn put(&self, name: &ObjectName, content: Content, content_type: &str) -> Result<()> {
        self.write(name, &content, content_type, &Condition::None).await
    }

    async fn append(&self, name: &ObjectName, offset: u64, tail: Bytes, content_type: &str) -> Result<()> {
        loop {
            let lacked = self.lacks.now();
            match self.append_once(name, offset, tail.clone(), content_type).await {
                // The server has just shown what it cannot do: now without.
                Err(BlobError::Refused(_)) if self.lacks.now() != lacked => {}
                result => return result,
            }
        }
    }

    fn rewrites(&self) -> bool {
        self.lacks.now().copies
    }

    async fn ensure_retention(&self, bucket: &Bucket, days: Option<u32>) -> Result<bool> {
        self.requests.ensure_retention(bucket, days).await
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Pieces> {
        if range.as_ref().is_some_and(Range::is_empty) {
            let found = self.head(name).await?;
            return found.map(|_| stream::empty().boxed()).ok_or(BlobError::NotFound);
        }
        let answer = self.requests.read(name, range.as_ref()).await?;
        Ok(match answer {
            Some(answer) => self.wire.body(answer).boxed(),
            None => stream::empty().boxed(),
        })
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>> {
        let stored = self.operator(&name.bucket)?.stat(name.key.as_str()).await;
        match stored.map_err(|error| failed(&error, &name.bucket)) {
            Ok(stored) => {
                Ok(Some(ObjectInfo { key: name.key.to_string(), size_bytes: stored.content_length() }))
            }
            Err(BlobError::NotFound) => match self.missing(&name.bucket).await? {
                BlobError::NotFound => Ok(None),
                missing => Err(missing),
            },
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let deleted = self.operator(&name.bucket)?.delete(name.key.as_str()).await;
        match deleted.map_err(|error| failed(&error, &name.bucket)) {
            // Some servers say so; or the bucket is gone, and the object with it.
            Err(BlobError::NotFound | BlobError::NoBucket(_)) => Ok(()),
            result => result,
        }
    }

    async fn list(&self, bucket: &Bucket, prefix: &str) -> Result<BoxStream<'static, Result<ObjectInfo>>> {
        let bucket = bucket.clone();
        let lister = self.operator(&bucket)?.lister_with(prefix).recursive(true).await;
        let mut entries = lister.map_err(|error| failed(&error, &bucket))?;
        let first = entries.next().await.transpose().map_err(|error| failed(&error, &bucket))?;
        let entries = stream::iter(first.map(Ok)).chain(entries);
        let objects = entries.try_filter_map(async |entry| {
            let (key, found) = entry.into_parts();
            Ok(found.is_file().then(|| ObjectInfo { key, size_bytes: found.content_length() }))
        });
        Ok(objects.map_err(move |error| failed(&error, &bucket)).boxed())
    }

    async fn sign_get(
        &self,
        name: &ObjectName,
        expires_in: Duration,
        file_name: &str,
    ) -> Result<Option<Url>> {
        let operator = self.operator(&name.bucket)?;
        let expires_in = expires_in.min(Duration::from_secs(S3_LINK_SECONDS_MAX));
        let signed = operator
            .presign_read_with(name.key.as_str(), expires_in)
            .override_content_disposition(&attachment(file_name))
            .await
            .map_err(|error| failed(&error, &name.bucket))?;
        // A parser's error could quote the link, which is a secret.
        let url = Url::parse(&signed.uri().to_string());
        url.map(Some).map_err(|_| BlobError::Refused("the signed link is no URL".into()))
    }
}

/// Where requests go; in front of AWS's, the bucket is put.
fn endpoint(settings: &config::S3) -> String {
    let region = &settings.region;
    match &settings.endpoint {
        Some(endpoint) => endpoint.as_str().trim_end_matches('/').to_owned(),
        None if region.starts_with("cn-") => format!("https://s3.{region}.amazonaws.com.cn"),
        None => format!("https://s3.{region}.amazonaws.com"),
    }
}

/// What opendal's error is for us. Nearly all were ours before: the transport gives an answer its meaning.
fn failed(error: &opendal::Error, bucket: &Bucket) -> BlobError {
    let ours = std::error::Error::source(error).and_then(|source| source.downcast_ref::<BlobError>());
    match (ours, error.kind()) {
        (Some(BlobError::NoBucket(_)), _) => BlobError::NoBucket(bucket.to_string()),
        (Some(ours), _) => ours.clone(),
        (None, ErrorKind::NotFound) => BlobError::NotFound,
        (None, ErrorKind::ConditionNotMatch) => {
            BlobError::unavailable("S3: somebody else has just written this object")
        }
        (None, ErrorKind::PermissionDenied | ErrorKind::ConfigInvalid | ErrorKind::Unsupported) => {
            BlobError::Refused(format!("S3: {}", super::wire::shortened(error.message())))
        }
        (None, _) => BlobError::unavailable(format!("S3: {}", super::wire::shortened(error.message()))),
    }
}
