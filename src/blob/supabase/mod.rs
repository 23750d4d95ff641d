//! Objects in Supabase Storage, over its REST interface.
//!
//! Nearly every error has HTTP status 400; its meaning is in the body (see `answer`). Storage replaces an object by a new
//! version and removes the old one, so that a read in that moment fails although the object is there: reads are
//! repeated.

mod answer;
mod api;

use std::ops::Range;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use reqwest::{StatusCode, Url};

use super::checksum::Checksum;
use super::rewrite::{rewritten, until_whole};
use super::wire::{Upload, Wire, a_few_times, was_fast};
use super::{BlobError, BlobStore, Content, ObjectInfo, Pieces, Result, plain_file_name};
use crate::config;
use crate::domain::limits::{
    OBJECT_PIECE_BYTES, STORAGE_ATTEMPT_PAUSE_MILLISECONDS_MIN, STORAGE_ATTEMPTS_MAX, SUPABASE_LIST_ROWS,
};
use crate::domain::object::{Bucket, ObjectName};

use api::Api;

/// Objects in Supabase Storage.
#[derive(Debug, Clone)]
pub(super) struct Supabase {
    api: Api,
}

impl Supabase {
    pub(super) fn new(settings: &config::Supabase, wire: Wire) -> Result<Self> {
        Ok(Self { api: Api::new(settings, wire)? })
    }

    /// The bucket, if it is private.
    async fn private(&self, bucket: &Bucket) -> Result<api::BucketInfo> {
        let found = a_few_times(|| self.api.bucket(bucket)).await?;
        if found.public {
            return Err(BlobError::Public(format!(
                "the bucket {bucket} is public; make it private in Supabase's dashboard, under Storage"
            )));
        }
        Ok(found)
    }

    /// What a missing object means: its bucket may be missing, too.
    async fn missing(&self, bucket: &Bucket) -> BlobError {
        match a_few_times(|| self.api.bucket(bucket)).await {
            Ok(_) => BlobError::NotFound,
            Err(error) => error,
        }
    }

    async fn read(&self, name: &ObjectName, range: Option<&Range<u64>>) -> Result<Pieces> {
        let answer = self.api.object(name, range).await?;
        if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(stream::empty().boxed());
        }
        if range.is_some() && answer.status() == StatusCode::OK {
            return Err(BlobError::unavailable(
                "Supabase Storage sends everything where a part was asked for",
            ));
        }
        Ok(self.api.wire().body(answer).boxed())
    }
}

#[async_trait]
impl BlobStore for Supabase {
    async fn check_bucket(&self, bucket: &Bucket) -> Result<()> {
        self.private(bucket).await.map(|_| ())
    }

    async fn ensure_bucket(&self, bucket: &Bucket) -> Result<()> {
        match self.check_bucket(bucket).await {
            Err(BlobError::NoBucket(_)) => {
                a_few_times(|| self.api.create_bucket(bucket)).await?;
                self.check_bucket(bucket).await
            }
            result => result,
        }
    }

    async fn put(&self, name: &ObjectName, content: Content, content_type: &str) -> Result<()> {
        let size = content.size_bytes().await?;
        // Storage would cut the connection instead of saying so.
        if let Some(limit) = self.private(&name.bucket).await?.file_size_limit
            && size > limit
        {
            return Err(BlobError::TooLarge(format!(
                "{name} has {size} bytes; the bucket's file size limit in Supabase is {limit}"
            )));
        }
        let pieces = content.open().await?.into_stream();
        self.api.upload(name, content_type, Upload { size_bytes: size, pieces }).await?;
        let stored = a_few_times(|| self.api.info(name)).await.map_err(|error| match error {
            BlobError::NotFound => BlobError::Torn(format!("{name} was stored and is not there")),
            error => error,
        })?;
        if stored.size_bytes() != Some(size) {
            let found = stored.size_bytes().unwrap_or_default();
            return Err(BlobError::Torn(format!("{name} has {found} bytes in storage, {size} were sent")));
        }
        let mut checksum = Checksum::new();
        let mut source = content.open().await?;
        loop {
            let piece = source.next(16 * OBJECT_PIECE_BYTES).await?;
            if piece.is_empty() {
                break;
            }
            checksum = checksum.with(piece).await;
        }
        // A storage that keeps large objects in parts may have ETags of another form.
        if stored.etag.is_some_and(|etag| checksum.is_proven_by(&etag))
            || content.is_same(self.get(name, None).await?).await?
        {
            return Ok(());
        }
        Err(BlobError::Torn(format!("{name} has other bytes in storage than were sent")))
    }

    async fn append(&self, name: &ObjectName, offset: u64, tail: Bytes, content_type: &str) -> Result<()> {
        let whole = rewritten(self, name, offset, tail).await?;
        until_whole(|_| self.put(name, whole.content(), content_type)).await
    }

    fn rewrites(&self) -> bool {
        true
    }

    async fn ensure_retention(&self, _: &Bucket, _: Option<u32>) -> Result<bool> {
        Ok(false)
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Pieces> {
        if range.as_ref().is_some_and(Range::is_empty) {
            let found = self.head(name).await?;
            return found.map(|_| stream::empty().boxed()).ok_or(BlobError::NotFound);
        }
        let mut pause = Duration::from_millis(STORAGE_ATTEMPT_PAUSE_MILLISECONDS_MIN);
        let mut attempts_left = STORAGE_ATTEMPTS_MAX;
        loop {
            let begun = Instant::now();
            let failure =
                match self.read(name, range.as_ref()).await {
                    Err(
                        failure @ (BlobError::NotFound | BlobError::Unavailable { retry_after: None, .. }),
                    ) if was_fast(begun) => failure,
                    result => return result,
                };
            // In the moment of an overwrite, what is there is not found.
            if self.head(name).await?.is_none() {
                return Err(BlobError::NotFound);
            }
            if attempts_left == 0 {
                return Err(match failure {
                    BlobError::NotFound => {
                        BlobError::unavailable(format!("Supabase Storage has {name} and does not find it"))
                    }
                    failure => failure,
                });
            }
            attempts_left -= 1;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>> {
        match a_few_times(|| self.api.info(name)).await {
            Ok(found) => Ok(Some(ObjectInfo {
                key: name.key.to_string(),
                size_bytes: found.size_bytes().unwrap_or_default(),
            })),
            Err(BlobError::NotFound) => match self.missing(&name.bucket).await {
                BlobError::NotFound => Ok(None),
                missing => Err(missing),
            },
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        match a_few_times(|| self.api.delete(name)).await {
            // The bucket is gone, and the object with it.
            Err(BlobError::NotFound | BlobError::NoBucket(_)) => Ok(()),
            result => result,
        }
    }

    async fn list(&self, bucket: &Bucket, prefix: &str) -> Result<BoxStream<'static, Result<ObjectInfo>>> {
        let first = a_few_times(|| self.api.page(bucket, prefix, None)).await?;
        if first.objects.is_empty() {
            // Storage lists a missing bucket as an empty one.
            match self.missing(bucket).await {
                BlobError::NotFound => {}
                missing => return Err(missing),
            }
        }
        let (store, bucket, prefix) = (self.clone(), bucket.clone(), prefix.to_owned());
        let pages = stream::try_unfold(Some(Ok(first)), move |turn: Option<Result<api::Page, String>>| {
            let (store, bucket, prefix) = (store.clone(), bucket.clone(), prefix.clone());
            async move {
                let page = match turn {
                    None => return Ok(None),
                    Some(Ok(page)) => page,
                    Some(Err(cursor)) => {
                        a_few_times(|| store.api.page(&bucket, &prefix, Some(&cursor))).await?
                    }
                };
                let next = page.next_cursor.filter(|_| page.has_next).map(Err);
                Ok::<_, BlobError>(Some((page.objects, next)))
            }
        });
        let objects = pages.map(|page| match page {
            Ok(objects) => stream::iter(objects.into_iter().map(|object| Ok(object.into()))).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        });
        Ok(objects.flatten().boxed())
    }

    async fn sign_get(
        &self,
        name: &ObjectName,
        expires_in: Duration,
        file_name: &str,
    ) -> Result<Option<Url>> {
        let mut link = a_few_times(|| self.api.sign(name, expires_in)).await?;
        link.query_pairs_mut().append_pair("download", &plain_file_name(file_name));
        Ok(Some(link))
    }
}
