//! Adding to an object by sending all of it again.

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

use super::{BlobError, BlobStore, Content, Pieces, Result};
use crate::domain::limits::{REWRITE_MEMORY_BYTES_MAX, STORAGE_ATTEMPTS_MAX};
use crate::domain::object::ObjectName;

/// An object as it is to be.
#[derive(Debug)]
pub(super) enum Rewritten {
    Memory(Bytes),
    File(NamedTempFile),
}

impl Rewritten {
    /// To be put; the file is there for as long as this is.
    pub(super) fn content(&self) -> Content {
        match self {
            Self::Memory(bytes) => Content::Bytes(bytes.clone()),
            Self::File(file) => Content::File(file.path().to_owned()),
        }
    }
}

/// The first `offset` bytes of an object, and `tail`: in memory up to [`REWRITE_MEMORY_BYTES_MAX`], else in a temporary
/// file.
///
/// # Errors
/// [`BlobError::Torn`] when it is shorter than that, or not there; what storage says.
pub(super) async fn rewritten(
    store: &dyn BlobStore,
    name: &ObjectName,
    offset: u64,
    tail: Bytes,
) -> Result<Rewritten> {
    if offset == 0 {
        return Ok(Rewritten::Memory(tail));
    }
    let pieces = store.get(name, Some(0..offset)).await.map_err(|error| match error {
        BlobError::NotFound => too_short(name, 0, offset),
        error => error,
    })?;
    let (length, rewritten) = if offset + tail.len() as u64 <= REWRITE_MEMORY_BYTES_MAX {
        in_memory(pieces, &tail).await?
    } else {
        in_a_file(pieces, &tail).await?
    };
    if length == offset { Ok(rewritten) } else { Err(too_short(name, length, offset)) }
}

async fn in_memory(mut pieces: Pieces, tail: &[u8]) -> Result<(u64, Rewritten)> {
    let mut whole = BytesMut::new();
    while let Some(piece) = pieces.try_next().await? {
        whole.extend_from_slice(&piece);
    }
    let length = whole.len() as u64;
    whole.extend_from_slice(tail);
    Ok((length, Rewritten::Memory(whole.freeze())))
}

async fn in_a_file(mut pieces: Pieces, tail: &[u8]) -> Result<(u64, Rewritten)> {
    let disk = |error: std::io::Error| BlobError::unavailable(format!("a temporary file: {error}"));
    let file = NamedTempFile::new().map_err(disk)?;
    let mut writer = tokio::fs::File::from_std(file.reopen().map_err(disk)?);
    let mut length = 0;
    while let Some(piece) = pieces.try_next().await? {
        length += piece.len() as u64;
        writer.write_all(&piece).await.map_err(disk)?;
    }
    writer.write_all(tail).await.map_err(disk)?;
    writer.flush().await.map_err(disk)?;
    Ok((length, Rewritten::File(file)))
}

/// Stores an object that was read from storage and rewritten. If it arrives changed, it is sent again at once: what it was
/// made of is not there any more, and nobody would notice later. `put` is told whether it is for the first time.
pub(super) async fn until_whole<F>(mut put: impl FnMut(bool) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    for attempt in 1..STORAGE_ATTEMPTS_MAX {
        match put(attempt == 1).await {
            Err(BlobError::Torn(_)) => {}
            result => return result,
        }
    }
    put(false).await
}

/// Storage has less of an object than is known to have been written.
pub(super) fn too_short(name: &ObjectName, found: u64, written: u64) -> BlobError {
    BlobError::Torn(format!("{name} has {found} bytes in storage, {written} were written"))
}
