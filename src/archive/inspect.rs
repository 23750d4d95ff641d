//! Checking an archive as it came from anybody.

use std::io::{self, Read};
use std::ops::ControlFlow;

use super::entries::{Found, each};
use super::pack::{Paths, manifest};
use super::sum::{Sum, Summed};
use crate::domain::limits::{PROJECT_FILES_MAX, at_most};
use crate::domain::manifest::{Manifest, ManifestFile};
use crate::error::{Error, Result};

/// Reads a whole `tar.gz`, and gives its manifest. Folders are allowed, and are not part of it; of modes, only whether the
/// owner may run a file counts.
///
/// The size of `input` is for the caller to limit.
///
/// # Errors
/// About `field`. `TOO_LARGE` as soon as more is unpacked, or more files, folders or paths are found, than a project may
/// have, or when the archive expands as no source does. `BAD_INPUT`, which names the entry, for links, devices, pipes and
/// sparse files; for paths that are no [`ProjectPath`](crate::domain::manifest::ProjectPath), come twice, or are a file
/// and a folder; for what tools read differently; for an archive without files, one that is cut off or damaged, and one
/// that goes on after its end. `INTERNAL` when `input` cannot be read.
pub fn inspect(field: &str, input: impl Read) -> Result<Manifest> {
    let mut paths = Paths::default();
    let mut files = Vec::new();
    let mut folders = Vec::new();
    each(field, input, |found| {
        match found {
            Found::File { path, size_bytes, executable, content } => {
                at_most(field, files.len() + 1, PROJECT_FILES_MAX)?;
                paths.add(field, &path)?;
                let mut content = Summed::new(content);
                io::copy(&mut content, &mut io::sink())?;
                let Sum { sha256, .. } = content.finish().1;
                files.push(ManifestFile { path, size_bytes, sha256, executable });
            }
            Found::Folder { path } => {
                paths.add(field, &path)?;
                folders.push(path);
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let manifest = manifest(field, files)?;
    for folder in &folders {
        manifest.check_folder(folder).map_err(|message| Error::bad_input(field.to_owned(), message))?;
    }
    Ok(manifest)
}
