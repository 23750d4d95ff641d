//! Packing: files become a `tar.gz` and its manifest.

use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use super::gzip::Gzip;
use super::sum::{Sum, Summed};
use crate::domain::limits::{PROJECT_FILES_MAX, PROJECT_PATHS_BYTES_MAX, at_most};
use crate::domain::manifest::{Manifest, ManifestFile, ProjectPath};
use crate::domain::text::shown;
use crate::error::{Error, Result};

/// A file to be packed.
#[derive(Debug)]
pub struct PackFile<R> {
    pub path: ProjectPath,
    /// Whether its owner may run it.
    pub executable: bool,
    /// How much `content` gives, exactly.
    pub size_bytes: u64,
    pub content: R,
}

/// Packs files, in the order in which they come, as one `tar.gz` into `out`, which is flushed.
///
/// For the same bytes every time, give them in the order of their paths.
///
/// # Errors
/// About `field`: `BAD_INPUT` without any file, for a path that comes twice or is a file and a folder, for content that
/// cannot be read or has another size than it should; `TOO_LARGE` for more than a project may have. `INTERNAL` when `out`
/// does not take it. An error of `files` is passed on. What is in `out` by then is no archive.
pub fn pack<R: Read, W: Write>(
    field: &str,
    files: impl IntoIterator<Item = Result<PackFile<R>>>,
    out: W,
) -> Result<Manifest> {
    let mut tar = Builder::new(Gzip::new(out));
    let mut paths = Paths::default();
    let mut packed = Vec::new();
    for file in files {
        let PackFile { path, executable, size_bytes, content } = file?;
        at_most(field, packed.len() + 1, PROJECT_FILES_MAX)?;
        paths.add(field, &path)?;
        let mut content = Exact { content: Summed::new(content), left_bytes: size_bytes, failure: None };
        let mut header = header(size_bytes, executable);
        if let Err(error) = tar.append_data(&mut header, path.as_str(), &mut content) {
            return Err(match content.failure {
                Some(reason) => {
                    Error::bad_input(field.to_owned(), format!("{} {reason}", shown(path.as_str())))
                }
                None => tar.get_ref().explain(field, &error),
            });
        }
        let Sum { sha256, .. } = content.content.finish().1;
        packed.push(ManifestFile { path, size_bytes, sha256, executable });
    }
    let manifest = manifest(field, packed)?;
    let finished = tar.finish().and_then(|()| tar.get_mut().finish());
    finished.map_err(|error| tar.get_ref().explain(field, &error))?;
    Ok(manifest)
}

/// The manifest of at least one file.
pub(super) fn manifest(field: &str, files: Vec<ManifestFile>) -> Result<Manifest> {
    if files.is_empty() {
        return Err(Error::bad_input(field.to_owned(), "there are no files in it"));
    }
    Manifest::new(files).map_err(|message| Error::bad_input(field.to_owned(), message))
}

/// How long the paths of one project are together.
#[derive(Debug, Default)]
pub(super) struct Paths {
    bytes: usize,
}

impl Paths {
    /// Counts a path that is kept.
    pub(super) fn add(&mut self, field: &str, path: &ProjectPath) -> Result<()> {
        self.bytes += path.as_str().len();
        at_most(field, self.bytes, PROJECT_PATHS_BYTES_MAX)
    }
}

fn header(size_bytes: u64, executable: bool) -> Header {
    // Its times, users and groups are zeros.
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size_bytes);
    header
}

/// Content that must have the size that the header before it says.
struct Exact<R> {
    content: Summed<R>,
    left_bytes: u64,
    failure: Option<String>,
}

impl<R: Read> Exact<R> {
    fn fail(&mut self, reason: impl Into<String>) -> io::Error {
        self.failure = Some(reason.into());
        io::Error::other("the content is not as announced")
    }
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.content.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(self.fail(format!("cannot be read: {error}"))),
        };
        let is_short = count == 0 && self.left_bytes > 0 && !buffer.is_empty();
        match self.left_bytes.checked_sub(count as u64) {
            Some(left_bytes) if !is_short => self.left_bytes = left_bytes,
            _ => return Err(self.fail("changes its size while it is read")),
        }
        Ok(count)
    }
}
