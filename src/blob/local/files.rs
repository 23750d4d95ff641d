//! Files that appear whole, in folders that come and go.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::NamedTempFile;

use super::OWN_FOLDER;
use crate::blob::Content;
use crate::domain::limits::TEMPORARY_FILE_SECONDS_MAX;

/// Permissions that let nobody else read a file.
const OWN_FILE: u32 = 0o600;
/// How the names of temporary files begin; no bucket's does.
const TEMPORARY: &str = ".put-";
/// Every one of them means that somebody else emptied and removed the folder in the meantime.
const PLACING_ATTEMPTS_MAX: u32 = 1_000;

/// Makes a folder, and its parents, that nobody else can read.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(OWN_FOLDER).create(folder)
}

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Puts an object in its place. `NotFound` says that its bucket is missing.
pub(super) fn put(root: &Path, bucket: &Path, key: &Path, content: &Content) -> io::Result<()> {
    let bucket = root.join(bucket);
    fs::metadata(&bucket)?;
    let mut file = written(root, content)?;
    let target = bucket.join(key);
    let folder = target.parent().unwrap_or(&bucket);
    for _ in 0..PLACING_ATTEMPTS_MAX {
        make_folders(&bucket, folder)?;
        // A delete of the last object beside it may remove the folder right here; then it is made again.
        file = match file.persist(&target) {
            Ok(_) => return sync_up(&bucket, folder),
            Err(failed) if failed.error.kind() == ErrorKind::NotFound => failed.file,
            Err(failed) => return Err(failed.error),
        };
    }
    Err(io::Error::other("its folder is removed again and again"))
}

/// What is appended.
#[derive(Debug)]
pub(super) struct Addition<'a> {
    pub(super) offset: u64,
    pub(super) tail: &'a [u8],
    /// Nobody waits for it any more.
    pub(super) given_up: &'a AtomicBool,
}

/// Makes an object end with the addition, on the disk. When the object is shorter than the offset, nothing is done and
/// its length is given. `NotFound` says that its bucket is missing.
///
/// A disk that hangs may let an append go on that was given up and repeated, while more has been appended since. So one
/// holds the file's lock, and one that was given up before it had the lock does nothing.
pub(super) fn append(
    root: &Path,
    bucket: &Path,
    key: &Path,
    addition: &Addition<'_>,
) -> io::Result<Option<u64>> {
    let Addition { offset, tail, given_up } = *addition;
    let bucket = root.join(bucket);
    fs::metadata(&bucket)?;
    let target = bucket.join(key);
    let folder = target.parent().unwrap_or(&bucket);
    let Some(file) = opened(&bucket, folder, &target, offset == 0)? else { return Ok(Some(0)) };
    match file.lock() {
        // Some network file systems have no locks.
        Err(error) if error.kind() == ErrorKind::Unsupported => {}
        result => result?,
    }
    if given_up.load(Ordering::Relaxed) {
        return Err(io::Error::other("the append was given up"));
    }
    let length = file.metadata()?.len();
    if length < offset {
        return Ok(Some(length));
    }
    // What an earlier attempt has left usually begins with the same bytes: then the file is never shorter than before.
    file.write_all_at(tail, offset)?;
    file.set_len(offset + tail.len() as u64)?;
    file.sync_all()?;
    if offset == 0 {
        sync_up(&bucket, folder)?;
    }
    Ok(None)
}

/// A file to write to; `None` when it is not there and is not to be made.
fn opened(bucket: &Path, folder: &Path, target: &Path, is_new: bool) -> io::Result<Option<File>> {
    let mut options = File::options();
    options.write(true).create(is_new).truncate(false).mode(OWN_FILE);
    for _ in 0..PLACING_ATTEMPTS_MAX {
        if is_new {
            make_folders(bucket, folder)?;
        }
        match options.open(target) {
            Err(error) if super::is_missing(&error) && !is_new => return Ok(None),
            // As for a put, its folder may have been removed right here.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::metadata(bucket)?;
            }
            result => return result.map(Some),
        }
    }
    Err(io::Error::other("its folder is removed again and again"))
}

/// A temporary file with the content, on the disk.
fn written(root: &Path, content: &Content) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).suffix(".tmp").tempfile_in(root)?;
    let sent = match content {
        Content::Bytes(bytes) => {
            file.write_all(bytes)?;
            bytes.len() as u64
        }
        Content::File(path) => {
            // That this file is missing is no missing bucket.
            let mut source = File::open(path).map_err(io::Error::other)?;
            io::copy(&mut source, file.as_file_mut())?
        }
    };
    file.as_file().sync_all()?;
    let stored = file.as_file().metadata()?.len();
    if stored == sent { Ok(file) } else { Err(io::Error::other(format!("it has {stored} of {sent} bytes"))) }
}

/// Makes the folders below the bucket, but never the bucket.
fn make_folders(bucket: &Path, folder: &Path) -> io::Result<()> {
    let Ok(below) = folder.strip_prefix(bucket) else { return Ok(()) };
    let mut path = bucket.to_owned();
    for name in below {
        path.push(name);
        match DirBuilder::new().mode(OWN_FOLDER).create(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            // The folder above was removed meanwhile, or the bucket: the rename tells.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return fs::metadata(bucket).map(|_| ());
            }
            result => result?,
        }
    }
    Ok(())
}

/// Brings a new name to the disk, and those of the folders up to the bucket: another put may have made them a moment ago.
fn sync_up(bucket: &Path, folder: &Path) -> io::Result<()> {
    for folder in folder.ancestors().take_while(|folder| folder.starts_with(bucket)) {
        match sync_folder(folder) {
            // The object was deleted at once, and its folder with it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            result => result?,
        }
    }
    Ok(())
}

/// Deletes an object, and the folders that it leaves empty, but never the bucket.
pub(super) fn delete(bucket: &Path, key: &Path) -> io::Result<()> {
    let target = bucket.join(key);
    match fs::remove_file(&target) {
        Ok(()) => {}
        Err(error) if super::is_missing(&error) => return Ok(()),
        Err(error) => return Err(error),
    }
    let above = target.ancestors().skip(1).take_while(|folder| *folder != bucket);
    let mut left = bucket;
    for folder in above {
        // Not empty, or gone already. A put that needs it meanwhile makes it again.
        if fs::remove_dir(folder).is_err() {
            left = folder;
            break;
        }
    }
    match sync_folder(left) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Removes temporary files that are too old to be anybody's.
pub(super) fn remove_leftovers(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)?.flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) {
            continue;
        }
        let age = entry.metadata().and_then(|file| file.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > Duration::from_secs(TEMPORARY_FILE_SECONDS_MAX)) {
            // Somebody else may have removed it.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_that_was_given_up_takes_nothing_back() {
        let root = tempfile::tempdir().unwrap();
        make_folder(&root.path().join("logs")).unwrap();
        let write = |offset, tail, is_given_up| {
            let addition = Addition { offset, tail, given_up: &AtomicBool::new(is_given_up) };
            append(root.path(), Path::new("logs"), Path::new("a.log"), &addition)
        };
        write(0, b"first ", false).unwrap();
        write(6, b"second", false).unwrap();
        write(0, b"late", true).unwrap_err();
        assert_eq!(fs::read(root.path().join("logs/a.log")).unwrap(), b"first second");
    }
}
