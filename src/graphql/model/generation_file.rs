//! The files of generations, and how they differ.

use std::sync::Arc;

use async_graphql::{Context, Object};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::manifest::ManifestFile;
use crate::graphql::error::{ApiError, Nullable as _};
use crate::graphql::scalars::BigInt;
use crate::graphql::siblings::{DiffSet, FileSet};

/// A file of a generation.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct GenerationFile {
    file: ManifestFile,
    siblings: Arc<FileSet>,
}

impl GenerationFile {
    pub(in crate::graphql) fn new(file: ManifestFile, siblings: Arc<FileSet>) -> Self {
        Self { file, siblings }
    }
}

/// A file of a generation.
#[Object]
impl GenerationFile {
    /// Where it is in the project: relative, with `/` between its names.
    fn path(&self) -> &str {
        self.file.path.as_str()
    }

    /// Bytes of its content.
    fn size_bytes(&self) -> BigInt {
        BigInt(self.file.size_bytes.cast_signed())
    }

    /// Of its content, in hexadecimal.
    fn sha256(&self) -> &str {
        &self.file.sha256
    }

    /// Whether its owner may run it.
    fn executable(&self) -> bool {
        self.file.executable
    }

    /// Its content; null when that is not UTF-8.
    async fn text(&self, context: &Context<'_>) -> Option<async_graphql::Result<String>> {
        let content = self.siblings.content(context, "text", &self.file).await;
        content.map(|bytes| String::from_utf8(bytes).ok()).nullable()
    }

    /// Its content in Base64 (RFC 4648, section 4).
    async fn base64(&self, context: &Context<'_>) -> Result<String, ApiError> {
        let content = self.siblings.content(context, "base64", &self.file).await?;
        Ok(STANDARD.encode(content))
    }
}

/// A file that is in both generations, and not the same.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct GenerationFileChange {
    before: GenerationFile,
    after: GenerationFile,
    siblings: Arc<DiffSet>,
}

/// A file that is in both generations, and not the same.
#[Object]
impl GenerationFileChange {
    /// Where it is in both.
    fn path(&self) -> &str {
        self.before.file.path.as_str()
    }

    /// As it was.
    fn before(&self) -> &GenerationFile {
        &self.before
    }

    /// As it is.
    fn after(&self) -> &GenerationFile {
        &self.after
    }

    /// How its lines differ, as a unified diff with three lines of context. Null for a binary file, and for one that is
    /// larger than 1 MiB before or after; empty when only `executable` differs.
    async fn diff(&self, context: &Context<'_>) -> Option<async_graphql::Result<String>> {
        self.siblings.diff(context, &self.before.file.path).await.nullable()
    }
}

/// How the files of one generation differ from those of another.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct GenerationComparison {
    added: Vec<GenerationFile>,
    removed: Vec<GenerationFile>,
    changed: Vec<GenerationFileChange>,
}

impl From<crate::service::Compared> for GenerationComparison {
    fn from(compared: crate::service::Compared) -> Self {
        let (old, new): (Vec<_>, Vec<_>) = compared.changed.iter().cloned().unzip();
        let before = FileSet::of(compared.before.clone(), old);
        let after = FileSet::of(compared.after.clone(), new);
        let added = FileSet::of(compared.after.clone(), compared.added.clone());
        let removed = FileSet::of(compared.before.clone(), compared.removed.clone());
        let siblings = Arc::new(DiffSet::of(compared));
        let change = |(before, after)| {
            let siblings = Arc::clone(&siblings);
            GenerationFileChange { before, after, siblings }
        };
        Self { added, removed, changed: before.into_iter().zip(after).map(change).collect() }
    }
}

/// How the files of one generation differ from those of another.
#[Object]
impl GenerationComparison {
    /// The files that only the later one has, by path.
    fn added(&self) -> &[GenerationFile] {
        &self.added
    }

    /// The files that only the earlier one has, by path.
    fn removed(&self) -> &[GenerationFile] {
        &self.removed
    }

    /// The files that both have, with other content or another `executable`, by path.
    fn changed(&self) -> &[GenerationFileChange] {
        &self.changed
    }
}
