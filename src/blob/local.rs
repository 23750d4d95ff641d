//! Objects on this machine's disk: `ROOT/{bucket}/{key}`.
//!
//! An object is written to a temporary file in `ROOT`, which is on the same file system, then renamed into its place, so a
//! reader that has opened it goes on reading what it opened. File and folders are on the disk (fsync) before a put is
//! done. Folders are ours alone (0700), and so are files (0600).

mod files;
mod list;

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::Url;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::rewrite::too_short;
use super::{BlobError, BlobStore, Content, ObjectInfo, Pieces, Result};
use crate::domain::limits::OBJECT_PIECE_BYTES;
use crate::domain::object::{Bucket, ObjectName};

/// The folder in the data folder that local storage is in.
pub const LOCAL_FOLDER: &str = "objects";

/// Permissions that let nobody else in.
const OWN_FOLDER: u32 = 0o700;
/// The permissions of everybody else.
const OTHERS: u32 = 0o007;

/// Objects below a folder.
#[derive(Debug, Clone)]
pub struct Local {
    root: Arc<Path>,
}

impl Local {
    /// Objects below `root`, which is made when it is missing. Removes what a crash left of unfinished puts.
    ///
    /// # Errors
    /// [`BlobError::Refused`] or [`BlobError::Unavailable`], by what the file system says.
    pub async fn open(root: PathBuf) -> Result<Self> {
        let local = Self { root: root.into() };
        local.blocking(|root| files::make_folder(root).and_then(|()| files::remove_leftovers(root))).await?;
        Ok(local)
    }

    /// Where an object is, for who wants to read it as a file.
    pub fn path(&self, name: &ObjectName) -> PathBuf {
        self.root.join(name.bucket.as_str()).join(name.key.as_str())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let root = self.root.clone();
        let result = tokio::task::spawn_blocking(move || work(&root)).await;
        result.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| failed(&error))
    }

    /// What a missing file means: its bucket may be missing, too.
    async fn missing(&self, bucket: &Bucket) -> BlobError {
        match tokio::fs::metadata(self.root.join(bucket.as_str())).await {
            Err(error) if error.kind() == ErrorKind::NotFound => BlobError::NoBucket(bucket.to_string()),
            _ => BlobError::NotFound,
        }
    }
}

#[async_trait]
impl BlobStore for Local {
    async fn check_bucket(&self, bucket: &Bucket) -> Result<()> {
        let path = self.root.join(bucket.as_str());
        match tokio::fs::metadata(&path).await {
            Ok(folder) if folder.permissions().mode() & OTHERS != 0 => Err(BlobError::Public(format!(
                "other users of this machine can read {}; take their rights: chmod 700",
                path.display()
            ))),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(BlobError::NoBucket(bucket.to_string())),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn ensure_bucket(&self, bucket: &Bucket) -> Result<()> {
        let name = bucket.clone();
        self.blocking(move |root| {
            files::remove_leftovers(root)?;
            files::make_folder(&root.join(name.as_str()))?;
            files::sync_folder(root)
        })
        .await?;
        self.check_bucket(bucket).await
    }

    async fn put(&self, name: &ObjectName, content: Content, _content_type: &str) -> Result<()> {
        let (bucket, key) = (name.bucket.clone(), name.key.clone());
        let work = move |root: &Path| {
            files::put(root, Path::new(bucket.as_str()), Path::new(key.as_str()), &content)
        };
        match self.blocking(work).await {
            Err(BlobError::NotFound) => Err(BlobError::NoBucket(name.bucket.to_string())),
            result => result,
        }
    }

    async fn append(&self, name: &ObjectName, offset: u64, tail: Bytes, _content_type: &str) -> Result<()> {
        let (bucket, key) = (name.bucket.clone(), name.key.clone());
        let waiting = Waiting::default();
        let given_up = waiting.0.clone();
        let work = move |root: &Path| {
            files::append(
                root,
                Path::new(bucket.as_str()),
                Path::new(key.as_str()),
                &files::Addition { offset, tail: &tail, given_up: &given_up },
            )
        };
        match self.blocking(work).await {
            Ok(None) => Ok(()),
            Ok(Some(length)) => Err(too_short(name, length, offset)),
            Err(BlobError::NotFound) => Err(BlobError::NoBucket(name.bucket.to_string())),
            Err(error) => Err(error),
        }
    }

    fn rewrites(&self) -> bool {
        false
    }

    async fn ensure_retention(&self, _: &Bucket, _: Option<u32>) -> Result<bool> {
        Ok(false)
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Pieces> {
        let mut file = match tokio::fs::File::open(self.path(name)).await {
            Ok(file) => file,
            Err(error) if is_missing(&error) => return Err(self.missing(&name.bucket).await),
            Err(error) => return Err(failed(&error)),
        };
        let Range { start, end } = range.unwrap_or(0..u64::MAX);
        file.seek(io::SeekFrom::Start(start.min(i64::MAX.unsigned_abs())))
            .await
            .map_err(|error| failed(&error))?;
        let wanted = file.take(end.saturating_sub(start));
        let pieces = ReaderStream::with_capacity(wanted, OBJECT_PIECE_BYTES);
        Ok(pieces.map_err(|error| failed(&error)).boxed())
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>> {
        match tokio::fs::metadata(self.path(name)).await {
            Ok(file) if file.is_file() => {
                Ok(Some(ObjectInfo { key: name.key.to_string(), size_bytes: file.len() }))
            }
            Ok(_) => Ok(None),
            Err(error) if is_missing(&error) => match self.missing(&name.bucket).await {
                BlobError::NotFound => Ok(None),
                missing => Err(missing),
            },
            Err(error) => Err(failed(&error)),
        }
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let (bucket, key) = (name.bucket.clone(), name.key.clone());
        self.blocking(move |root| files::delete(&root.join(bucket.as_str()), Path::new(key.as_str()))).await
    }

    async fn list(&self, bucket: &Bucket, prefix: &str) -> Result<BoxStream<'static, Result<ObjectInfo>>> {
        let folder = self.root.join(bucket.as_str());
        if !tokio::fs::try_exists(&folder).await.map_err(|error| failed(&error))? {
            return Err(BlobError::NoBucket(bucket.to_string()));
        }
        let found = list::below(folder, prefix.to_owned());
        let next = async |mut found: list::Found| found.recv().await.map(|item| (item, found));
        Ok(stream::unfold(found, next).map(|item| item.map_err(|error| failed(&error))).boxed())
    }

    async fn sign_get(&self, _: &ObjectName, _: Duration, _: &str) -> Result<Option<Url>> {
        Ok(None)
    }
}

/// Somebody waits for an append: when they stop, its flag is set, because the disk's thread would go on without them.
#[derive(Debug, Default)]
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A missing file, or one whose folder's name a file has.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn failed(error: &io::Error) -> BlobError {
    let message = format!("local storage: {error}");
    match error.kind() {
        ErrorKind::NotFound => BlobError::NotFound,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory => {
            BlobError::Refused(message)
        }
        _ => BlobError::unavailable(message),
    }
}
