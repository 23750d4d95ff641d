//! Comparing two generations.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::super::Service;
use crate::archive::unified_diff;
use crate::auth::Viewer;
use crate::domain::limits::DIFF_TEXT_BYTES_MAX;
use crate::domain::manifest::{Manifest, ManifestFile, ProjectPath, compare};
use crate::error::{Error, Result};
use crate::store::GenerationRow;

/// How the files of two generations differ.
#[derive(Debug)]
pub struct Compared {
    pub before: GenerationRow,
    pub after: GenerationRow,
    pub added: Vec<ManifestFile>,
    pub removed: Vec<ManifestFile>,
    /// As they were, and as they are.
    pub changed: Vec<(ManifestFile, ManifestFile)>,
}

impl Service {
    /// What has to be done to the files of one generation to make it another.
    ///
    /// # Errors
    /// `NOT_FOUND` for a generation that is not there.
    pub async fn compare_generations(&self, viewer: &Viewer, from: Uuid, to: Uuid) -> Result<Compared> {
        let mut rows = self.generations_by_ids(viewer, &[from, to]).await?;
        let after = rows.get(&to).cloned().ok_or(Error::NotFound { what: "generation" })?;
        let before = rows.remove(&from).ok_or(Error::NotFound { what: "generation" })?;
        let both = [before.clone(), after.clone()];
        let both = if from == to { &both[..1] } else { &both[..] };
        let manifests = self.manifests(viewer, both).await?;
        let (old, new) = (manifest(&manifests, from)?, manifest(&manifests, to)?);
        let comparison = compare(&old, &new);
        let owned = |files: Vec<&ManifestFile>| files.into_iter().cloned().collect();
        Ok(Compared {
            added: owned(comparison.added),
            removed: owned(comparison.removed),
            changed: comparison.changed.into_iter().map(|(old, new)| (old.clone(), new.clone())).collect(),
            before,
            after,
        })
    }

    /// The unified diffs of the files that changed, by path: none for a binary file, and none for one that is larger than
    /// [`DIFF_TEXT_BYTES_MAX`] before or after.
    ///
    /// # Errors
    /// `TOO_LARGE` when the files come to too much together; `UNAVAILABLE` when an archive cannot be had now.
    pub async fn diffs(&self, compared: &Compared) -> Result<HashMap<ProjectPath, String>> {
        let small = |file: &ManifestFile| file.size_bytes <= DIFF_TEXT_BYTES_MAX.max;
        let changed = compared.changed.iter().filter(|(old, new)| small(old) && small(new));
        let (old, new): (Vec<_>, Vec<_>) = changed.cloned().unzip();
        let old = self.file_contents(&compared.before, &old).await?;
        let new = self.file_contents(&compared.after, &new).await?;
        let diffing = tokio::task::spawn_blocking(move || {
            let diff = |(path, old): (&ProjectPath, &Vec<u8>)| {
                let diff = unified_diff(path, old, new.get(path)?)?;
                Some((path.clone(), diff))
            };
            old.iter().filter_map(diff).collect()
        });
        diffing.await.map_err(Error::internal)
    }
}

fn manifest(manifests: &HashMap<Uuid, Arc<Manifest>>, id: Uuid) -> Result<Arc<Manifest>> {
    let found = manifests.get(&id).cloned();
    found.ok_or_else(|| Error::internal(format!("the generation {id} has no list of files")))
}
