//! Keeping the cache small, and finding files that belong to nothing.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::Copies;
use super::copies::remove;
use crate::clock::now;
use crate::domain::object::Bucket;
use crate::error::Result;
use crate::error::disk::failure as disk_failure;

const SECONDS_PER_HOUR: u64 = 3600;
/// What the archive of a generation is called ends with its id and this.
const ARCHIVE_ENDING: &str = ".tar.gz";

/// The archive of a generation among the objects that are kept here.
#[derive(Debug, Clone)]
pub struct Kept {
    pub generation_id: Uuid,
    path: PathBuf,
}

struct CachedFile {
    path: PathBuf,
    size_bytes: u64,
    read_at: SystemTime,
    made_at: SystemTime,
}

impl Copies {
    /// Drops the copies in the cache that are too old, that nobody has read for long, and those read longest ago while
    /// it is too large. What is not in the cloud is not in the cache.
    ///
    /// # Errors
    /// What the disk says.
    pub fn clean_cache(&self) -> Result<()> {
        let age = |hours: u64| Duration::from_secs(hours.saturating_mul(SECONDS_PER_HOUR));
        let (unread_max, age_max) = (age(self.cache.unread_hours_max), age(self.cache.age_hours_max));
        let now = SystemTime::from(now());
        let since = |time: SystemTime| now.duration_since(time).unwrap_or_default();
        for file in files(&self.cache.folder).map_err(disk_failure)? {
            if since(file.read_at) > unread_max || since(file.made_at) > age_max {
                remove(&self.cache.folder, &file.path).map_err(disk_failure)?;
            }
        }
        self.clean_cache_to(self.cache.bytes_max)
    }

    pub(super) fn clean_cache_to(&self, bytes_max: u64) -> Result<()> {
        let mut files = files(&self.cache.folder).map_err(disk_failure)?;
        let mut size_bytes: u64 = files.iter().map(|file| file.size_bytes).sum();
        files.sort_by_key(|file| file.read_at);
        // But for the one that was read last, however large it is: somebody is about to read it.
        files.pop();
        for file in files {
            if size_bytes <= bytes_max {
                break;
            }
            remove(&self.cache.folder, &file.path).map_err(disk_failure)?;
            size_bytes -= file.size_bytes;
        }
        Ok(())
    }

    /// The archives that are kept here and were written before `before`: of generations, or of saves that a crash cut off.
    ///
    /// # Errors
    /// What the disk says.
    pub fn kept_archives(&self, bucket: &Bucket, before: SystemTime) -> Result<Vec<Kept>> {
        let files = files(&self.objects().join(bucket.as_str())).map_err(disk_failure)?;
        let archive = |file: CachedFile| {
            let id = generation_of(&file.path)?;
            (file.made_at < before).then_some(Kept { generation_id: id, path: file.path })
        };
        Ok(files.into_iter().filter_map(archive).collect())
    }

    /// Removes an archive that belongs to nothing.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove_kept(&self, kept: &Kept) -> Result<()> {
        remove(self.objects(), &kept.path).map_err(disk_failure)
    }
}

/// `v{version}__{id}.tar.gz`.
fn generation_of(path: &Path) -> Option<Uuid> {
    let name = path.file_name()?.to_str()?.strip_suffix(ARCHIVE_ENDING)?;
    Uuid::try_parse(name.split_once("__")?.1).ok()
}

fn files(root: &Path) -> std::io::Result<Vec<CachedFile>> {
    let mut files = Vec::new();
    let mut folders = VecDeque::from([root.to_owned()]);
    while let Some(folder) = folders.pop_front() {
        let entries = match std::fs::read_dir(&folder) {
            // Folders that became empty go.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(facts) = entry.metadata() else { continue };
            if facts.is_dir() {
                folders.push_back(entry.path());
            } else {
                let (read_at, made_at) = (facts.accessed()?, facts.modified()?);
                files.push(CachedFile { path: entry.path(), size_bytes: facts.len(), read_at, made_at });
            }
        }
    }
    Ok(files)
}
