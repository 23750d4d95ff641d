//! Walking the folders of a bucket, as far as somebody listens.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use crate::blob::ObjectInfo;

/// How far the walk may be ahead of the listener.
const AHEAD_MAX: usize = 256;

/// Where the walk tells what it finds.
pub(super) type Found = mpsc::Receiver<io::Result<ObjectInfo>>;

/// The objects of a bucket's folder whose keys begin with `prefix`.
pub(super) fn below(bucket: PathBuf, prefix: String) -> Found {
    let (tell, found) = mpsc::channel(AHEAD_MAX);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = walk(&bucket, &prefix, &tell) {
            // Nobody listens any more.
            let _ = tell.blocking_send(Err(error));
        }
    });
    found
}

fn walk(bucket: &Path, prefix: &str, tell: &mpsc::Sender<io::Result<ObjectInfo>>) -> io::Result<()> {
    let mut folders = vec![bucket.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            // A folder that its last object left meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let Some(key) = path.strip_prefix(bucket).ok().and_then(Path::to_str) else { continue };
            // A folder counts when keys in it can begin with the prefix.
            let shared = key.len().min(prefix.len());
            if !key.as_bytes().starts_with(&prefix.as_bytes()[..shared]) {
                continue;
            }
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => folders.push(path),
                Ok(found) if found.is_file() && key.starts_with(prefix) => {
                    let object = ObjectInfo { key: key.to_owned(), size_bytes: found.len() };
                    if tell.blocking_send(Ok(object)).is_err() {
                        return Ok(());
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
