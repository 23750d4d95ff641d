//! Fetching an object that only the cloud has: once, for everybody who waits for it.

use std::fs::File;
use std::io::Write as _;

use futures_util::future::{BoxFuture, Shared};
use futures_util::{FutureExt as _, TryStreamExt as _};

use super::copies::lock;
use super::{Copies, Storage, unavailable};
use crate::blob::BlobError;
use crate::domain::object::ObjectName;
use crate::error::{Error, Result};

/// A fetch under way, and what becomes of it. It goes on when nobody waits any more: a large archive takes longer than a
/// request may, and the next one finds it.
pub(super) type Fetching = Shared<BoxFuture<'static, Result<()>>>;

/// How often one reader fetches what others, who need the room, drop from the cache.
const FETCHES_MAX: usize = 4;

impl Storage {
    /// The file of an object, fetched from the cloud if it is not here, and checked against its size and checksum.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the cloud cannot give it now.
    pub async fn fetch(&self, name: &ObjectName, size_bytes: u64, sha256: &str) -> Result<File> {
        let copies = self.copies();
        for _ in 0..FETCHES_MAX {
            if let Some(file) = copies.open_copy(name) {
                return Ok(file);
            }
            let fetching = {
                let mut fetching = lock(&copies.fetching);
                let begin = || self.begin(name.clone(), size_bytes, sha256.to_owned());
                fetching.entry(name.clone()).or_insert_with(begin).clone()
            };
            fetching.await?;
        }
        copies.open_copy(name).ok_or_else(|| Error::Unavailable {
            message: "the server's cache is too small for all that is read at once; try again".into(),
            cause: Some(format!("{name} was dropped {FETCHES_MAX} times before it was read")),
        })
    }

    fn begin(&self, name: ObjectName, size_bytes: u64, sha256: String) -> Fetching {
        let storage = self.clone();
        let fetching = tokio::spawn(async move {
            let fetched = storage.fetch_now(&name, size_bytes, &sha256).await;
            // Whoever asks from here on finds the file, or tries anew.
            lock(&storage.copies().fetching).remove(&name);
            fetched
        });
        async { fetching.await.map_err(Error::internal)? }.boxed().shared()
    }

    async fn fetch_now(&self, name: &ObjectName, size_bytes: u64, sha256: &str) -> Result<()> {
        // Whoever was faster has put it there.
        if self.copies().has(name) {
            return Ok(());
        }
        let Some(cloud) = self.cloud() else {
            return Err(Error::Unavailable {
                message: "this is in cloud storage, which is not configured now".into(),
                cause: Some(format!("{name} is not on this machine")),
            });
        };
        let mut staged = self.copies().stage()?;
        let mut pieces = cloud.get(name, None).await.map_err(|error| gone_or_away(name, &error))?;
        while let Some(piece) = pieces.try_next().await.map_err(|error| gone_or_away(name, &error))? {
            // Pieces are small, and the page cache takes them.
            staged.write_all(&piece).map_err(crate::error::disk::failure)?;
        }
        let (storage, name, sha256) = (self.clone(), name.clone(), sha256.to_owned());
        let keeping = tokio::task::spawn_blocking(move || {
            let finished = staged.finish()?;
            if finished.size_bytes != size_bytes || finished.sha256 != sha256 {
                return Err(torn(&name));
            }
            storage.copies().keep_in_cache(finished, &name)?;
            storage.copies().keep_within_bytes()
        });
        keeping.await.map_err(Error::internal)?
    }
}

impl Copies {
    /// Drops what was read longest ago while the cache is too large.
    fn keep_within_bytes(&self) -> Result<()> {
        self.clean_cache_to(self.cache.bytes_max)
    }
}

fn torn(name: &ObjectName) -> Error {
    Error::internal(format!(
        "{name} in cloud storage is not what was uploaded: its size or its checksum differs"
    ))
}

fn gone_or_away(name: &ObjectName, error: &BlobError) -> Error {
    match error {
        BlobError::NotFound | BlobError::NoBucket(_) => {
            Error::internal(format!("{name} was uploaded, and cloud storage does not have it: {error}"))
        }
        _ => unavailable(error),
    }
}
