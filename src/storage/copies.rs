//! Files of objects on this machine: those that are kept here, and the cache of those that the cloud has, too.
//!
//! A file appears whole, under its object's name, by a rename of one that was written and synced elsewhere; a crash leaves
//! only files in the staging folder, which are removed when the folder is opened.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, FileTimes};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use tempfile::NamedTempFile;

use super::fetch::Fetching;
use crate::clock::now;
use crate::config::Cache;
use crate::domain::object::ObjectName;
use crate::domain::text::hex;
use crate::error::disk::failure as disk_failure;
use crate::error::{Error, Result};

/// How often a file is given its name while others remove its folder, empty.
const PLACE_ATTEMPTS_MAX: usize = 100;

/// The files of objects on this machine.
pub struct Copies {
    objects: PathBuf,
    staging: PathBuf,
    pub(super) cache: Cache,
    pub(super) fetching: Mutex<HashMap<ObjectName, Fetching>>,
}

impl std::fmt::Debug for Copies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copies")
            .field("objects", &self.objects)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// A file that is being made: not yet an object, and gone when it is dropped.
pub struct Staged {
    file: NamedTempFile,
    hash: Context,
    size_bytes: u64,
}

impl std::fmt::Debug for Staged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staged").field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}

impl Staged {
    /// Ends the writing: makes the bytes durable, and gives their number and checksum.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(self) -> Result<Finished> {
        self.file.as_file().sync_all().map_err(disk_failure)?;
        let sha256 = hex(self.hash.finish().as_ref());
        Ok(Finished { file: self.file, size_bytes: self.size_bytes, sha256 })
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// A file that is whole and durable, and has no name yet.
#[derive(Debug)]
pub struct Finished {
    file: NamedTempFile,
    pub size_bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

impl Finished {
    /// The bytes from the start.
    ///
    /// # Errors
    /// What the disk says.
    pub fn reopen(&self) -> Result<File> {
        self.file.reopen().map_err(disk_failure)
    }
}

impl Copies {
    /// Opens the folders, makes those that are missing, and removes what a crash has left half made.
    pub(super) fn open(objects: PathBuf, staging: PathBuf, cache: Cache) -> Result<Self> {
        match std::fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(disk_failure(error)),
            _ => {}
        }
        for folder in [&objects, &staging, &cache.folder] {
            make_folder(folder).map_err(|error| {
                Error::internal(format!("cannot make the folder {}: {error}", folder.display()))
            })?;
        }
        Ok(Self { objects, staging, cache, fetching: Mutex::default() })
    }

    /// A new file, to be written and kept.
    ///
    /// # Errors
    /// What the disk says.
    pub fn stage(&self) -> Result<Staged> {
        let file = NamedTempFile::new_in(&self.staging).map_err(disk_failure)?;
        Ok(Staged { file, hash: Context::new(&SHA256), size_bytes: 0 })
    }

    /// Keeps a file as this object, durably.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&self, finished: Finished, name: &ObjectName) -> Result<()> {
        let (path, staged) = (path_in(&self.objects, name), finished.file.into_temp_path());
        place(&self.objects, &path, || std::fs::rename(&staged, &path)).map_err(disk_failure)
    }

    /// Puts a file into the cache.
    pub(super) fn keep_in_cache(&self, finished: Finished, name: &ObjectName) -> Result<PathBuf> {
        let (path, staged) = (path_in(&self.cache.folder, name), finished.file.into_temp_path());
        let placed = place(&self.cache.folder, &path, || match std::fs::rename(&staged, &path) {
            // The cache is on another disk than the data folder.
            Err(error) if error.kind() == ErrorKind::CrossesDevices => copy_whole(&staged, &path),
            renamed => renamed,
        });
        placed.map_err(disk_failure)?;
        Ok(path)
    }

    /// The file of an object, if there is one here, to be read even if it is moved or dropped meanwhile. One in the cache
    /// is marked as read.
    pub fn open_copy(&self, name: &ObjectName) -> Option<File> {
        let kept = path_in(&self.objects, name);
        let cached = path_in(&self.cache.folder, name);
        // It may move from one to the other in between.
        [&kept, &cached, &kept, &cached].into_iter().find_map(|path| open_and_mark_read(path).ok())
    }

    /// Where the file of an object is that the cloud does not have yet, so that nobody moves or drops it.
    pub fn find(&self, name: &ObjectName) -> Option<PathBuf> {
        [&self.objects, &self.cache.folder]
            .map(|root| path_in(root, name))
            .into_iter()
            .find(|path| path.exists())
    }

    /// Whether there is a file of this object here.
    pub fn has(&self, name: &ObjectName) -> bool {
        path_in(&self.objects, name).exists() || path_in(&self.cache.folder, name).exists()
    }

    /// Moves an object that the cloud has by now to the cache.
    ///
    /// # Errors
    /// What the disk says.
    pub fn hand_over(&self, name: &ObjectName) -> Result<()> {
        let (kept, cached) = (path_in(&self.objects, name), path_in(&self.cache.folder, name));
        let moved = place(&self.cache.folder, &cached, || match std::fs::rename(&kept, &cached) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => copy_whole(&kept, &cached),
            Err(error) if error.kind() == ErrorKind::NotFound && !kept.exists() => Ok(()),
            moved => moved,
        });
        moved.and_then(|()| remove(&self.objects, &kept)).map_err(disk_failure)
    }

    /// Removes every file of an object.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove(&self, name: &ObjectName) -> Result<()> {
        for root in [&self.objects, &self.cache.folder] {
            remove(root, &path_in(root, name)).map_err(disk_failure)?;
        }
        Ok(())
    }

    /// The folder for files that are being made; what a crash leaves there is removed at the next start.
    pub fn staging(&self) -> &Path {
        &self.staging
    }

    pub(super) fn objects(&self) -> &Path {
        &self.objects
    }
}

pub(super) fn path_in(root: &Path, name: &ObjectName) -> PathBuf {
    root.join(name.bucket.as_str()).join(name.key.as_str())
}

/// Removes a file, and the folders that it leaves empty below the bucket.
pub(super) fn remove(root: &Path, path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let buckets = path.ancestors().skip(1).take_while(|folder| folder.parent() != Some(root));
    for folder in buckets.take_while(|folder| *folder != root) {
        // Somebody may be putting something there.
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(())
}

/// Gives a file its name durably: the folders above it are made and synced, and `rename` tried again should somebody
/// have removed them, empty, in between.
fn place(root: &Path, path: &Path, rename: impl Fn() -> std::io::Result<()>) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(root);
    let mut attempts = 0;
    loop {
        attempts += 1;
        match make_folder(folder).and_then(|()| rename()) {
            Err(error) if error.kind() == ErrorKind::NotFound && attempts < PLACE_ATTEMPTS_MAX => {}
            placed => break placed?,
        }
    }
    for folder in path.ancestors().skip(1) {
        File::open(folder)?.sync_all()?;
        if folder == root {
            break;
        }
    }
    Ok(())
}

fn copy_whole(from: &Path, to: &Path) -> std::io::Result<()> {
    let folder = to.parent().unwrap_or(to);
    let mut copy = NamedTempFile::new_in(folder)?;
    std::io::copy(&mut File::open(from)?, &mut copy)?;
    copy.as_file().sync_all()?;
    copy.persist(to)?;
    Ok(())
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    // What is generated is nobody else's business.
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Sets the time of reading by hand: many disks are mounted so that they do not.
fn open_and_mark_read(path: &Path) -> std::io::Result<File> {
    let file = File::open(path)?;
    file.set_times(FileTimes::new().set_accessed(now().into()))?;
    Ok(file)
}

/// Locks what nothing can leave half-changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
