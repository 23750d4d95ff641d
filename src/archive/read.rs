//! Reading files out of an archive.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::ControlFlow;

use super::entries::{Found, each};
use super::sum::Summed;
use crate::domain::manifest::{ManifestFile, ProjectPath};
use crate::error::{Error, Limit, Result};

/// Reads the content of the files in `wanted` out of a `tar.gz` that was inspected before, and stops at the last of them.
/// `wanted` is taken from the archive's manifest.
///
/// # Errors
/// `TOO_LARGE` about `field`, before anything is read, when they have more than `bytes_max` together. `INTERNAL` when the
/// archive cannot be read, or is not the one of the manifest: files are missing, or have other content.
pub fn read_files(
    field: &str,
    input: impl Read,
    wanted: &[&ManifestFile],
    bytes_max: Limit,
) -> Result<BTreeMap<ProjectPath, Vec<u8>>> {
    let size_bytes = wanted.iter().fold(0, |sum: u64, file| sum.saturating_add(file.size_bytes));
    if size_bytes > bytes_max.max {
        return Err(Error::TooLarge { field: field.to_owned().into(), limit: bytes_max });
    }
    let mut waiting: BTreeMap<_, _> = wanted.iter().map(|file| (&file.path, *file)).collect();
    let mut read = BTreeMap::new();
    if waiting.is_empty() {
        return Ok(read);
    }
    let torn = |what: String| Error::internal(format_args!("an archive is not that of its manifest: {what}"));
    each(field, input, |found| {
        let Found::File { path, size_bytes, content, .. } = found else {
            return Ok(ControlFlow::Continue(()));
        };
        let Some(file) = waiting.remove(&path) else { return Ok(ControlFlow::Continue(())) };
        if size_bytes != file.size_bytes {
            return Err(torn(format!("{path} has another size")).into());
        }
        let mut bytes = Vec::new();
        let mut content = Summed::new(content);
        content.read_to_end(&mut bytes)?;
        if content.finish().1.sha256 != file.sha256 {
            return Err(torn(format!("{path} has another checksum")).into());
        }
        read.insert(path, bytes);
        Ok(if waiting.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
    // It was checked when it came: what is wrong with it now is no fault of who asks.
    .map_err(|error| match error {
        Error::Internal { .. } => error,
        other => torn(other.message()),
    })?;
    match waiting.into_keys().next() {
        None => Ok(read),
        Some(path) => Err(torn(format!("{path} is missing"))),
    }
}
