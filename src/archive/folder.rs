//! Packing a folder as it is on disk.

use std::fs::{self, File, Metadata};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::pack::{PackFile, Paths, pack};
use crate::domain::limits::{ARCHIVE_ENTRIES_MAX, PROJECT_FILES_MAX, at_most};
use crate::domain::manifest::{Manifest, ProjectPath};
use crate::domain::text::shown;
use crate::error::{Error, Result};

/// What errors are about.
const FIELD: &str = "folder";

/// Packs the files in a folder and in those below it, in the order of their paths, as a `tar.gz` into `out`.
///
/// # Errors
/// Those of [`Folder::scan`] and [`Folder::pack`].
pub fn pack_folder(dir: &Path, out: impl Write) -> Result<Manifest> {
    Folder::scan(dir)?.pack(out)
}

/// A folder that can be packed, as it was when it was scanned.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    files: Vec<Found>,
}

/// A file in a folder.
#[derive(Debug)]
struct Found {
    path: ProjectPath,
    size_bytes: u64,
    executable: bool,
    /// The device and the number of the file, to see that it is still this one.
    identity: (u64, u64),
}

impl Folder {
    /// Looks at all files, and opens each to see that it can be read. Empty folders are left out.
    ///
    /// # Errors
    /// `BAD_INPUT` that names the first thing that is no file, cannot be read, or has a path that no project may have;
    /// also without any file. `TOO_LARGE` for more files than a project may have.
    pub fn scan(dir: &Path) -> Result<Self> {
        let mut scan = Scan { dir, files: Vec::new(), paths: Paths::default(), entries: 0 };
        scan.visit("")?;
        if scan.files.is_empty() {
            return Err(refused("there are no files in it"));
        }
        Ok(Self { dir: dir.to_owned(), files: scan.files })
    }

    /// How many files there are.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// The sizes of all files together.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }

    /// Packs the files, in the order of their paths, as a `tar.gz` into `out`, which is flushed.
    ///
    /// # Errors
    /// `BAD_INPUT` that names a file that cannot be read, or is not what it was when it was scanned; `TOO_LARGE` for more
    /// than a project may have; `INTERNAL` when `out` does not take it.
    pub fn pack(&self, out: impl Write) -> Result<Manifest> {
        pack(FIELD, self.files.iter().map(|file| file.open(&self.dir)), out)
    }
}

impl Found {
    fn open(&self, dir: &Path) -> Result<PackFile<File>> {
        let content =
            File::open(dir.join(self.path.as_str())).map_err(|error| unreadable(&self.path, &error))?;
        let metadata = content.metadata().map_err(|error| unreadable(&self.path, &error))?;
        if !metadata.is_file() || identity(&metadata) != self.identity {
            return Err(refused(format!("{} is replaced while it is read", shown(self.path.as_str()))));
        }
        Ok(PackFile {
            path: self.path.clone(),
            executable: self.executable,
            size_bytes: self.size_bytes,
            content,
        })
    }
}

struct Scan<'a> {
    dir: &'a Path,
    files: Vec<Found>,
    paths: Paths,
    entries: usize,
}

impl Scan<'_> {
    /// Visits the folder at `prefix`, which is empty or ends with a slash. How deep it goes is limited by the paths.
    fn visit(&mut self, prefix: &str) -> Result<()> {
        let folder = self.dir.join(prefix);
        let cannot_list = |error: std::io::Error| {
            let named = if prefix.is_empty() { "the folder".into() } else { shown(prefix) };
            refused(format!("{named} cannot be listed: {error}"))
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(cannot_list)? {
            let entry = entry.map_err(cannot_list)?;
            self.entries += 1;
            at_most(FIELD, self.entries, ARCHIVE_ENTRIES_MAX)?;
            let full = [prefix.as_bytes(), entry.file_name().as_encoded_bytes()].concat();
            let path = ProjectPath::from_bytes(&full)
                .map_err(|rule| refused(format!("{} cannot be taken: {rule}", shown(&full))))?;
            self.paths.add(FIELD, &path)?;
            let metadata = entry.metadata().map_err(|error| unreadable(&path, &error))?;
            let end = if metadata.is_dir() { "/" } else { "" };
            names.push((format!("{path}{end}"), path, metadata));
        }
        // A folder sorts with its slash, so that the paths below it come where a list of all paths has them.
        names.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        for (name, path, metadata) in names {
            if metadata.is_dir() {
                self.visit(&name)?;
            } else {
                self.take(path, &metadata)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, path: ProjectPath, metadata: &Metadata) -> Result<()> {
        if !metadata.is_file() {
            return Err(refused(format!(
                "{} is {}; only files and folders can be taken",
                shown(path.as_str()),
                kind(metadata)
            )));
        }
        at_most(FIELD, self.files.len() + 1, PROJECT_FILES_MAX)?;
        File::open(self.dir.join(path.as_str())).map_err(|error| unreadable(&path, &error))?;
        self.files.push(Found {
            path,
            size_bytes: metadata.len(),
            executable: metadata.mode() & 0o100 != 0,
            identity: identity(metadata),
        });
        Ok(())
    }
}

fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn unreadable(path: &ProjectPath, error: &std::io::Error) -> Error {
    refused(format!("{} cannot be read: {error}", shown(path.as_str())))
}

fn refused(message: impl Into<String>) -> Error {
    Error::bad_input(FIELD, message.into())
}
