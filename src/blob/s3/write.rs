//! Writing objects, and adding to them.
//!
//! A small object grows by being sent again as a whole. A large one grows by an upload in parts, of which storage copies
//! the first from the object itself: only new bytes are sent, and the object is whole at every moment. Either takes
//! effect only if the object is still the one that was looked at before: a write that was given up and arrives late
//! takes nothing back. That holds where storage honours conditions; elsewhere only one writer at a time may append.

use std::sync::PoisonError;

use bytes::Bytes;
use opendal::options::WriteOptions;

use super::{S3, failed};
use crate::blob::checksum::Checksum;
use crate::blob::rewrite::{rewritten, too_short, until_whole};
use crate::blob::{BlobError, BlobStore as _, Content, Result};
use crate::domain::limits::{S3_COPIED_BYTES_MIN, S3_COPY_BYTES_MAX, S3_PART_BYTES};
use crate::domain::object::ObjectName;

/// What must be so when a write takes effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    None,
    /// There is no object.
    Absent,
    /// The object has this ETag.
    Unchanged(String),
}

impl Condition {
    /// That the object still has this ETag. A weak one never fulfils a condition.
    fn unchanged(etag: Option<&str>) -> Self {
        etag.filter(|etag| etag.starts_with('"')).map_or(Self::None, |etag| Self::Unchanged(etag.to_owned()))
    }

    fn options(&self, content_type: &str) -> WriteOptions {
        WriteOptions {
            content_type: Some(content_type.to_owned()),
            if_not_exists: *self == Self::Absent,
            if_match: match self {
                Self::Unchanged(etag) => Some(etag.clone()),
                Self::None | Self::Absent => None,
            },
            ..WriteOptions::default()
        }
    }
}

impl S3 {
    /// Stores the content and sees that it is there.
    pub(super) async fn write(
        &self,
        name: &ObjectName,
        content: &Content,
        content_type: &str,
        condition: &Condition,
    ) -> Result<()> {
        let (sent, checksum) = self.send(name, content, content_type, condition).await?;
        let etag = self.stored(name, sent).await?;
        // An encrypted object has an ETag that is no checksum: then the bytes themselves must prove it.
        if checksum.is_proven_by(&etag) || content.is_same(self.get(name, None).await?).await? {
            return Ok(());
        }
        Err(BlobError::Torn(format!("{name} has other bytes in storage than were sent")))
    }

    /// Sends the content, in one request or in parts of equal size; when that fails, nothing is left.
    async fn send(
        &self,
        name: &ObjectName,
        content: &Content,
        content_type: &str,
        condition: &Condition,
    ) -> Result<(u64, Checksum)> {
        let operator = self.operator(&name.bucket)?;
        let failed = |error| failed(&error, &name.bucket);
        let (key, options) = (name.key.as_str(), condition.options(content_type));
        let mut source = content.open().await?;
        let mut piece = source.next(S3_PART_BYTES).await?;
        let mut sent = piece.len() as u64;
        let mut checksum = Checksum::new().with(piece.clone()).await;
        if piece.len() < S3_PART_BYTES {
            operator.write_options(key, piece, options).await.map_err(failed)?;
            return Ok((sent, checksum));
        }
        let mut writer = operator.writer_options(key, options).await.map_err(failed)?;
        let result: Result<()> = async {
            while !piece.is_empty() {
                writer.write(piece).await.map_err(failed)?;
                piece = source.next(S3_PART_BYTES).await?;
                sent += piece.len() as u64;
                if !piece.is_empty() {
                    checksum = std::mem::replace(&mut checksum, Checksum::new()).with(piece.clone()).await;
                }
            }
            writer.close().await.map_err(failed)?;
            Ok(())
        }
        .await;
        if let Err(error) = result {
            // Best effort: a storage that is away forgets unfinished uploads by a rule of the bucket.
            let _ = writer.abort().await;
            return Err(error);
        }
        Ok((sent, checksum))
    }

    /// One attempt to append, with what the server is not yet known to lack.
    pub(super) async fn append_once(
        &self,
        name: &ObjectName,
        offset: u64,
        tail: Bytes,
        content_type: &str,
    ) -> Result<()> {
        let lacks = self.lacks.now();
        let before = self.operator(&name.bucket)?.stat(name.key.as_str()).await;
        let condition = match before.map_err(|error| failed(&error, &name.bucket)) {
            Ok(before) if before.content_length() < offset => {
                return Err(too_short(name, before.content_length(), offset));
            }
            Ok(before) => Condition::unchanged(before.etag()),
            // If it is the bucket that is missing, the write will tell.
            Err(BlobError::NotFound) if offset == 0 => Condition::Absent,
            Err(BlobError::NotFound) => {
                return Err(match self.missing(&name.bucket).await? {
                    BlobError::NotFound => too_short(name, 0, offset),
                    missing => missing,
                });
            }
            Err(error) => return Err(error),
        };
        let condition = if lacks.conditions { Condition::None } else { condition };
        // Parts but the last have 5 MiB, and R2 wants none to be larger than the first.
        if lacks.copies || offset < S3_COPIED_BYTES_MIN || tail.len() as u64 > offset {
            let whole = rewritten(self, name, offset, tail).await?;
            let content = whole.content();
            // What arrived changed has another ETag.
            return until_whole(|is_first| {
                self.write(name, &content, content_type, if is_first { &condition } else { &Condition::None })
            })
            .await;
        }
        self.append_part(name, offset, tail, content_type, &condition).await
    }

    async fn append_part(
        &self,
        name: &ObjectName,
        offset: u64,
        tail: Bytes,
        content_type: &str,
        condition: &Condition,
    ) -> Result<()> {
        let (transport, part_etag) = self.transport.recording();
        let operator = self.operator_over(&name.bucket, transport)?;
        let failed = |error| failed(&error, &name.bucket);
        let key = name.key.as_str();
        let writer = operator.writer_options(key, condition.options(content_type)).await;
        let mut writer = writer.map_err(failed)?;
        let written = async {
            let mut from = 0;
            while from < offset {
                let to = offset.min(from + S3_COPY_BYTES_MAX);
                writer.copy_from(key, from..to).await?;
                from = to;
            }
            writer.write(tail.clone()).await?;
            writer.close().await
        };
        if let Err(error) = written.await {
            // Best effort: a storage that is away forgets unfinished uploads by a rule of the bucket.
            let _ = writer.abort().await;
            return Err(failed(error));
        }
        let end = offset + tail.len() as u64;
        self.stored(name, end).await?;
        let part_etag = part_etag.lock().unwrap_or_else(PoisonError::into_inner).take();
        if tail.is_empty()
            || Checksum::new().with(tail.clone()).await.is_proven_by(&part_etag.unwrap_or_default())
            || Content::Bytes(tail).is_same(self.get(name, Some(offset..end)).await?).await?
        {
            return Ok(());
        }
        Err(BlobError::Torn(format!("{name} has other bytes at its end in storage than were sent")))
    }

    /// The ETag of an object that must have this size now.
    async fn stored(&self, name: &ObjectName, size: u64) -> Result<String> {
        let stored = self.operator(&name.bucket)?.stat(name.key.as_str()).await;
        let stored = stored.map_err(|error| match failed(&error, &name.bucket) {
            BlobError::NotFound => BlobError::Torn(format!("{name} was stored and is not there")),
            error => error,
        })?;
        let found = stored.content_length();
        if found != size {
            return Err(BlobError::Torn(format!("{name} has {found} bytes in storage, {size} were written")));
        }
        Ok(stored.etag().unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_etag_is_no_condition() {
        let condition = Condition::unchanged;
        assert_eq!(condition(Some("\"abc\"")), Condition::Unchanged("\"abc\"".into()));
        assert_eq!(condition(Some("W/\"abc\"")), Condition::None);
        assert_eq!(condition(None), Condition::None);
    }
}
