//! Links to archives: signed by the storage that has them where it can, else by Runledger.

use std::fs::File;
use std::time::Duration;

use chrono::{SubsecRound as _, TimeDelta};

use super::super::Service;
use super::super::download::{Download, check_lifetime};
use crate::analytics::Event;
use crate::auth::Viewer;
use crate::clock::now;
use crate::domain::generation::UploadState;
use crate::error::{Error, Result};
use crate::storage::{Link, Linked};
use crate::store::{GenerationRow, ProjectRow};

/// An archive to be sent.
#[derive(Debug)]
pub struct Archive {
    pub file: File,
    pub size_bytes: u64,
    pub file_name: String,
    /// In hexadecimal.
    pub sha256: String,
}

impl Service {
    /// A link to the archive of a generation that has been read.
    ///
    /// # Errors
    /// `BAD_INPUT` for a time that is not between a second and [`LINK_SECONDS_MAX`](crate::domain::limits::LINK_SECONDS_MAX).
    pub async fn link_to_archive(
        &self,
        viewer: &Viewer,
        row: &GenerationRow,
        project: &ProjectRow,
        expires_in_seconds: i32,
    ) -> Result<Download> {
        let seconds = check_lifetime(expires_in_seconds)?;
        let event =
            Event::GenerationDownloaded { id: row.id, version: row.version, size_bytes: row.size_bytes };
        self.analytics.tell(viewer.user_id(), &row.tenant_id, &event);
        let file_name = file_name(&project.key, row.version);
        // Links know whole seconds only. Storage counts from the one that has begun, we from the next.
        let end = now().trunc_subsecs(0) + TimeDelta::seconds(expires_in_seconds.into());
        let signed = self.signed_by_storage(row, Duration::from_secs(seconds), &file_name).await;
        if let Some(url) = signed {
            return Ok(Download { url, expires_at: end, expires_in_seconds });
        }
        let tenant_id = row.tenant_id.clone();
        self.own_link(Link { tenant_id, what: Linked::Generation, id: row.id, file_name }, expires_in_seconds)
    }

    /// `None` when no storage that can sign has it, or it does not answer: then Runledger signs.
    async fn signed_by_storage(
        &self,
        row: &GenerationRow,
        expires_in: Duration,
        file_name: &str,
    ) -> Option<String> {
        let cloud = self.storage.cloud().filter(|_| row.upload_state == UploadState::Uploaded)?;
        match cloud.sign_get(&self.archive_name(row), expires_in, file_name).await {
            Ok(url) => url.map(Into::into),
            Err(error) => {
                tracing::warn!(%error, "cloud storage did not sign a link");
                None
            }
        }
    }

    /// The archive that a link of [`Service::link_to_archive`] is for.
    ///
    /// # Errors
    /// `NOT_FOUND` when the generation has been deleted; `UNAVAILABLE`.
    pub(in crate::service) async fn linked_archive(&self, link: Link) -> Result<Archive> {
        let row = self.store.linked_generation(&link.tenant_id, link.id).await?;
        let row = row.ok_or(Error::NotFound { what: "generation" })?;
        let file = self.archive_file(&row).await?;
        let size_bytes = u64::try_from(row.size_bytes).map_err(Error::internal)?;
        Ok(Archive { file, size_bytes, file_name: link.file_name, sha256: row.sha256 })
    }
}

/// What a download is called: of ASCII letters and digits, `-`, `_` and `.`, which no header and no path needs to escape.
fn file_name(project_key: &str, version: i32) -> String {
    let plain =
        |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '-' };
    let key: String = project_key.chars().take(100).map(plain).collect();
    let key = Some(key.trim_matches(['.', '-'])).filter(|key| !key.is_empty()).unwrap_or("project");
    format!("{key}-v{version}.tar.gz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_has_a_name_that_needs_no_escape() {
        assert_eq!(file_name("shop", 3), "shop-v3.tar.gz");
        assert_eq!(file_name("../a b\"é", 1), "a-b-v1.tar.gz");
        assert_eq!(file_name("é", 1), "project-v1.tar.gz");
    }
}
