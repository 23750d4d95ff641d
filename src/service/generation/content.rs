//! Reading files out of archives.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use super::super::Service;
use crate::archive;
use crate::domain::generation::UploadState;
use crate::domain::limits::{ARCHIVE_READ_BYTES_MAX, at_most};
use crate::domain::manifest::{ManifestFile, ProjectPath};
use crate::error::{Error, Result};
use crate::store::GenerationRow;

/// The content of files, by path.
pub type Contents = Arc<BTreeMap<ProjectPath, Vec<u8>>>;

impl Service {
    /// The content of some files of a generation that has been read.
    ///
    /// # Errors
    /// `TOO_LARGE` when they come to more than [`ARCHIVE_READ_BYTES_MAX`]; `UNAVAILABLE` when the archive cannot be had
    /// now.
    pub async fn file_contents(&self, row: &GenerationRow, files: &[ManifestFile]) -> Result<Contents> {
        if files.is_empty() {
            return Ok(Contents::default());
        }
        // Before anything is fetched.
        let bytes = files.iter().map(|file| usize::try_from(file.size_bytes).unwrap_or(usize::MAX));
        at_most("files", bytes.fold(0, usize::saturating_add), ARCHIVE_READ_BYTES_MAX)?;
        let file = self.archive_file(row).await?;
        let files = files.to_vec();
        let permit = Arc::clone(&self.archive_reads).acquire_owned().await.map_err(Error::internal)?;
        let reading = tokio::task::spawn_blocking(move || {
            // Held until it is done, also when nobody waits any more.
            let _permit = permit;
            archive::read_files("files", &file, &files.iter().collect::<Vec<_>>(), ARCHIVE_READ_BYTES_MAX)
        });
        Ok(Arc::new(reading.await.map_err(Error::internal)??))
    }

    /// The file of a generation's archive on this server, fetched from the cloud when only that has it.
    ///
    /// # Errors
    /// `UNAVAILABLE` when it cannot be had now.
    pub(super) async fn archive_file(&self, row: &GenerationRow) -> Result<File> {
        let name = self.archive_name(row);
        if let Some(file) = self.storage.copies().open_copy(&name) {
            return Ok(file);
        }
        if row.upload_state == UploadState::Uploaded {
            let size_bytes = u64::try_from(row.size_bytes).map_err(Error::internal)?;
            return self.storage.fetch(&name, size_bytes, &row.sha256).await;
        }
        if row.node_id != self.storage.node_id() {
            return Err(Error::Unavailable {
                message: "the archive is on the server that saved it until cloud storage has it; try again"
                    .into(),
                cause: Some(format!("{name} is on {}", row.node_id)),
            });
        }
        Err(Error::internal(format!("{name} is not in the data folder any more")))
    }
}
