//! What is put: bytes, or a file that is read in pieces.

use std::io;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::{BlobError, Pieces, Result};
use crate::domain::limits::OBJECT_PIECE_BYTES;

/// What is put.
#[derive(Debug, Clone)]
pub enum Content {
    /// Bytes in memory: for what is small.
    Bytes(Bytes),
    /// A file that does not change meanwhile; it is read in pieces.
    File(PathBuf),
}

impl Content {
    /// How much there is.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`] when the file cannot be read.
    pub async fn size_bytes(&self) -> Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(path) => Ok(tokio::fs::metadata(path).await.map_err(|error| unread(&error))?.len()),
        }
    }

    /// Reads it from its beginning.
    pub(super) async fn open(&self) -> Result<Reader> {
        Ok(match self {
            Self::Bytes(bytes) => Reader::Bytes(bytes.clone()),
            Self::File(path) => Reader::File(File::open(path).await.map_err(|error| unread(&error))?),
        })
    }

    /// Whether `pieces` are these bytes.
    pub(super) async fn is_same(&self, mut pieces: Pieces) -> Result<bool> {
        let mut own = self.open().await?;
        while let Some(piece) = pieces.next().await.transpose()? {
            if own.next(piece.len()).await? != piece {
                return Ok(false);
            }
        }
        Ok(own.next(1).await?.is_empty())
    }
}

/// Content that is being read.
#[derive(Debug)]
pub(super) enum Reader {
    Bytes(Bytes),
    File(File),
}

impl Reader {
    /// The next `length` bytes; fewer at the end, then none.
    pub(super) async fn next(&mut self, length: usize) -> Result<Bytes> {
        match self {
            Self::Bytes(rest) => Ok(rest.split_to(length.min(rest.len()))),
            Self::File(file) => {
                let mut piece = BytesMut::with_capacity(length);
                let mut rest = file.take(length as u64);
                while rest.read_buf(&mut piece).await.map_err(|error| unread(&error))? > 0 {
                    // `read_buf` would grow a full buffer only to find nothing more.
                    if piece.len() == length {
                        break;
                    }
                }
                Ok(piece.freeze())
            }
        }
    }

    /// All of it, in the pieces in which it is written to a connection.
    pub(super) fn into_stream(self) -> BoxStream<'static, io::Result<Bytes>> {
        stream::try_unfold(self, async |mut reader| {
            let piece = reader.next(OBJECT_PIECE_BYTES).await.map_err(io::Error::other)?;
            Ok((!piece.is_empty()).then_some((piece, reader)))
        })
        .boxed()
    }
}

/// Our own copy cannot be read: the disk may be back later.
fn unread(error: &io::Error) -> BlobError {
    BlobError::unavailable(format!("the file that is to be stored cannot be read: {error}"))
}
