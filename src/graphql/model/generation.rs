//! Generations and their files.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use uuid::Uuid;

use super::{PageInfo, Project};
use crate::domain::generation;
use crate::domain::page::{Cursor, PageArgs, Rows};
use crate::error::Error;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{ApiError, Nullable as _};
use crate::graphql::model::GenerationFile;
use crate::graphql::scalars::{BigInt, DateTime};
use crate::graphql::siblings::{FileSet, GenerationSiblings};
use crate::service;
use crate::store::{GenerationRow, ProjectRow};

/// Whether the archive of a generation is in cloud storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "generation::UploadState")]
pub(in crate::graphql) enum UploadState {
    /// It stays on the server that saved it: there is no cloud storage, or it is switched off.
    LocalOnly,
    /// It will be uploaded; when that fails it is tried again, for about two hours.
    Pending,
    /// Cloud storage has it: size and checksum were compared.
    Uploaded,
    /// The upload was given up; `uploadError` says why. `retryUpload` and a restart of the server try again.
    Failed,
}

/// A generated project: all its files as they were at one time. It never changes.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct Generation {
    row: GenerationRow,
    siblings: Arc<GenerationSiblings>,
}

impl Generation {
    /// One by itself.
    pub(in crate::graphql) fn one(row: GenerationRow) -> Self {
        let siblings = Arc::new(GenerationSiblings::of(std::slice::from_ref(&row)));
        Self { row, siblings }
    }

    /// Those of a page, in its order.
    pub(in crate::graphql) fn page(rows: Vec<GenerationRow>) -> Vec<Self> {
        let siblings = Arc::new(GenerationSiblings::of(&rows));
        rows.into_iter().map(|row| Self { row, siblings: Arc::clone(&siblings) }).collect()
    }
}

/// A generated project: all its files as they were at one time. It never changes.
#[Object]
impl Generation {
    /// A UUID; the caller's, if one was given.
    pub(in crate::graphql) async fn id(&self) -> ID {
        self.row.id.into()
    }

    /// What it is a generation of.
    async fn project(&self, context: &Context<'_>) -> Result<Project, ApiError> {
        let project = self.siblings.project(context, self.row.project_id).await?;
        Ok(project.ok_or(Error::NotFound { what: "project" })?)
    }

    /// From 1, without gaps, in the order of saving; that of a deleted one is not given again.
    fn version(&self) -> i32 {
        self.row.version
    }

    /// For people; at most 16 KiB.
    fn message(&self) -> Option<&str> {
        self.row.message.as_deref()
    }

    /// The `userId` of whoever saved it.
    fn created_by(&self) -> &str {
        &self.row.owner_id
    }

    /// When it was saved.
    fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }

    /// Bytes of the archive, a `tar.gz`.
    fn size_bytes(&self) -> BigInt {
        BigInt(self.row.size_bytes)
    }

    /// Of the archive, in hexadecimal.
    fn sha256(&self) -> &str {
        &self.row.sha256
    }

    /// How many files it has.
    fn file_count(&self) -> i32 {
        self.row.file_count
    }

    /// Bytes of all its files, unpacked.
    fn files_bytes(&self) -> BigInt {
        BigInt(self.row.files_bytes)
    }

    /// All its files, by path. The generations of one page may select it when they have 100,000 files together at most;
    /// TOO_LARGE beyond. Their `text` and `base64` may be selected when they come to 32 MiB at most.
    async fn files(&self, context: &Context<'_>) -> Result<Vec<GenerationFile>, ApiError> {
        let manifest = self.siblings.manifest(context, self.row.id).await?;
        Ok(FileSet::of(self.row.clone(), manifest.files().to_vec()))
    }

    /// One of its files; null when it has none at this path.
    async fn file(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "As in `files`, such as `src/main.py`.")] path: String,
    ) -> Option<async_graphql::Result<GenerationFile>> {
        let found = async {
            let manifest = self.siblings.manifest(context, self.row.id).await?;
            let file = manifest.find(&path).cloned();
            Ok::<_, Error>(file.and_then(|file| FileSet::of(self.row.clone(), vec![file]).pop()))
        };
        found.await.nullable()
    }

    /// A link to the archive that works without a token until it expires, for whoever has it.
    async fn download(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "From 1 to 604,800: seven days.", default = 3600)] expires_in_seconds: i32,
    ) -> Result<Download, ApiError> {
        let project = self.siblings.project_row(context, self.row.project_id).await?;
        let project = project.ok_or(Error::NotFound { what: "project" })?;
        let link = context
            .service()
            .link_to_archive(context.viewer()?, &self.row, &project, expires_in_seconds)
            .await?;
        Ok(link.into())
    }

    /// Where the archive is.
    fn storage(&self, context: &Context<'_>) -> GenerationStorage {
        let service = context.service();
        GenerationStorage {
            key: service.archive_name(&self.row).key.as_str().to_owned(),
            cached_locally: service.has_archive(&self.row),
            cloud_enabled: service.uses_cloud(),
            uploaded: self.row.upload_state == generation::UploadState::Uploaded,
            upload_state: self.row.upload_state.into(),
            upload_error: self.row.upload_error.clone(),
        }
    }
}

/// A link that works without a token, for one download and whoever has it.
#[derive(Debug, SimpleObject)]
pub(in crate::graphql) struct Download {
    /// Where it is. The archive of a generation takes range requests.
    url: String,
    /// Until when it works.
    expires_at: DateTime,
    /// How long that is from now.
    expires_in_seconds: i32,
}

impl From<service::Download> for Download {
    fn from(link: service::Download) -> Self {
        let service::Download { url, expires_at, expires_in_seconds } = link;
        Self { url, expires_at: DateTime(expires_at), expires_in_seconds }
    }
}

/// Where the archive of a generation is.
#[derive(Debug, SimpleObject)]
pub(in crate::graphql) struct GenerationStorage {
    /// The key of the object, here and in the cloud.
    key: String,
    /// Whether the server that answers has a copy on its disk.
    cached_locally: bool,
    /// Whether new generations are uploaded.
    cloud_enabled: bool,
    /// Whether cloud storage has it.
    uploaded: bool,
    /// How its upload stands.
    upload_state: UploadState,
    /// Why the last attempt failed; null when it did not.
    upload_error: Option<String>,
}

/// A page of generations, newest first.
pub(in crate::graphql) struct GenerationConnection {
    project: ProjectRow,
    generations: Vec<Generation>,
    page_info: PageInfo,
}

impl GenerationConnection {
    pub(super) async fn load(
        context: &Context<'_>,
        project: ProjectRow,
        args: PageArgs,
    ) -> Result<Self, ApiError> {
        let page = args.check(|text| version(text, project.id))?;
        let rows: Rows<_> = context.service().list_generations(context.viewer()?, &project, &page).await?;
        let page_info = PageInfo::of(&rows, cursor);
        Ok(Self { project, generations: Generation::page(rows.rows), page_info })
    }
}

/// A page of generations, newest first.
#[Object]
impl GenerationConnection {
    /// The rows with their cursors.
    fn edges(&self) -> Vec<GenerationEdge> {
        let edge = |generation: &Generation| GenerationEdge {
            cursor: cursor(&generation.row),
            node: generation.clone(),
        };
        self.generations.iter().map(edge).collect()
    }

    /// The rows without their cursors.
    fn nodes(&self) -> &[Generation] {
        &self.generations
    }

    /// Where the page stands.
    fn page_info(&self) -> &PageInfo {
        &self.page_info
    }

    /// How many generations there are, whatever the page. Costs nothing unless selected.
    async fn total_count(&self, context: &Context<'_>) -> Result<BigInt, ApiError> {
        let count = context.service().count_generations(context.viewer()?, &self.project).await?;
        Ok(BigInt(count.cast_signed()))
    }
}

/// A generation in a page.
#[derive(SimpleObject)]
pub(in crate::graphql) struct GenerationEdge {
    /// To be given as `after` or `before`.
    cursor: String,
    /// The generation.
    node: Generation,
}

fn cursor(row: &GenerationRow) -> String {
    Cursor { order: 'G', key: row.version.into(), id: row.project_id }.encode()
}

fn version(text: &str, project_id: Uuid) -> Option<i32> {
    let cursor = Cursor::decode(text).filter(|cursor| cursor.order == 'G' && cursor.id == project_id)?;
    i32::try_from(cursor.key).ok()
}
