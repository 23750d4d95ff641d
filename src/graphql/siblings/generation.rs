//! What belongs to the projects and generations of a page, and to the files of one generation.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_graphql::Context;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::super::context::ContextExt as _;
use super::stats::StatsSiblings;
use super::{Loaded, find};
use crate::domain::manifest::{Manifest, ManifestFile, ProjectPath};
use crate::domain::stats::Span;
use crate::error::{Error, Result};
use crate::graphql::model::{ExecutionStats, Generation, GenerationFile, Project};
use crate::service::{Compared, Contents};
use crate::store::{GenerationRow, ProjectRow, StatsOf};

/// The projects of one page, and what was read for them.
#[derive(Debug, Default)]
pub(in crate::graphql) struct ProjectSiblings {
    all: Vec<ProjectRow>,
    stats: StatsSiblings,
    projects: Vec<(String, Uuid)>,
    latest: Loaded<Uuid, Generation>,
}

impl ProjectSiblings {
    /// The siblings of a page with these rows.
    pub(in crate::graphql) fn of(rows: &[ProjectRow]) -> Self {
        // Before the first there is nothing to look for.
        let saved = rows.iter().filter(|row| row.latest_version > 0);
        let projects = saved.map(|row| (row.tenant_id.clone(), row.id)).collect();
        Self { all: rows.to_vec(), projects, ..Self::default() }
    }

    /// The statistics of one of them.
    pub(in crate::graphql) async fn stats(
        &self,
        context: &Context<'_>,
        id: Uuid,
        span: Span,
    ) -> Result<ExecutionStats> {
        let at = self.all.iter().position(|row| row.id == id);
        let key = |row: &ProjectRow| (row.tenant_id.clone(), row.key.clone());
        let of = || StatsOf::Projects(self.all.iter().map(key).collect());
        self.stats.find(context, of, span, at).await
    }

    /// The newest generation of one of them.
    pub(in crate::graphql) async fn latest(
        &self,
        context: &Context<'_>,
        id: Uuid,
    ) -> Result<Option<Generation>> {
        let load = async {
            if self.projects.is_empty() {
                return Ok(HashMap::new());
            }
            let rows = context.service().latest_generations(context.viewer()?, &self.projects).await?;
            let (projects, rows): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            Ok(projects.into_iter().zip(Generation::page(rows)).collect())
        };
        find(self.latest.get_or_init(|| load).await, &id)
    }
}

/// The generations of one page, and what was read for them.
#[derive(Debug, Default)]
pub(in crate::graphql) struct GenerationSiblings {
    generations: Vec<GenerationRow>,
    manifests: Loaded<Uuid, Arc<Manifest>>,
    project_rows: Loaded<Uuid, ProjectRow>,
    projects: Loaded<Uuid, Project>,
}

impl GenerationSiblings {
    /// The siblings of a page with these rows.
    pub(in crate::graphql) fn of(rows: &[GenerationRow]) -> Self {
        Self { generations: rows.to_vec(), ..Self::default() }
    }

    /// The files of one of them.
    pub(in crate::graphql) async fn manifest(
        &self,
        context: &Context<'_>,
        id: Uuid,
    ) -> Result<Arc<Manifest>> {
        let load = async { context.service().manifests(context.viewer()?, &self.generations).await };
        let manifest = find(self.manifests.get_or_init(|| load).await, &id)?;
        manifest.ok_or(Error::NotFound { what: "generation" })
    }

    /// The project of one of them, with those of the others as its siblings.
    pub(in crate::graphql) async fn project(
        &self,
        context: &Context<'_>,
        id: Uuid,
    ) -> Result<Option<Project>> {
        let load = async {
            let rows: Vec<_> = self.project_rows(context).await.clone()?.into_values().collect();
            let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
            Ok(ids.into_iter().zip(Project::page(rows)).collect())
        };
        find(self.projects.get_or_init(|| load).await, &id)
    }

    /// The row of the project of one of them.
    pub(in crate::graphql) async fn project_row(
        &self,
        context: &Context<'_>,
        id: Uuid,
    ) -> Result<Option<ProjectRow>> {
        find(self.project_rows(context).await, &id)
    }

    async fn project_rows(&self, context: &Context<'_>) -> &Result<HashMap<Uuid, ProjectRow>> {
        let ids: BTreeSet<_> = self.generations.iter().map(|row| row.project_id).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let load = async { context.service().projects_by_ids(context.viewer()?, &ids).await };
        self.project_rows.get_or_init(|| load).await
    }
}

/// Files of one generation that one field gave, and their content: read in one pass through the archive.
#[derive(Debug)]
pub(in crate::graphql) struct FileSet {
    generation: GenerationRow,
    files: Vec<ManifestFile>,
    contents: OnceCell<Result<Contents>>,
}

impl FileSet {
    /// These files, siblings of each other.
    pub(in crate::graphql) fn of(generation: GenerationRow, files: Vec<ManifestFile>) -> Vec<GenerationFile> {
        let set = Arc::new(Self { generation, files, contents: OnceCell::new() });
        set.files.iter().map(|file| GenerationFile::new(file.clone(), Arc::clone(&set))).collect()
    }

    /// The content of one of them.
    pub(in crate::graphql) async fn content(
        &self,
        context: &Context<'_>,
        field: &'static str,
        file: &ManifestFile,
    ) -> Result<Vec<u8>> {
        // Before it is copied.
        context.charge(field, usize::try_from(file.size_bytes).unwrap_or(usize::MAX))?;
        let load = || context.service().file_contents(&self.generation, &self.files);
        match self.contents.get_or_init(load).await {
            Ok(contents) => contents
                .get(&file.path)
                .cloned()
                .ok_or_else(|| Error::internal(format!("{} is not in its archive", file.path))),
            Err(error) => Err(error.clone()),
        }
    }
}

/// The files that changed between two generations, and their diffs.
#[derive(Debug)]
pub(in crate::graphql) struct DiffSet {
    compared: Compared,
    diffs: Loaded<ProjectPath, String>,
}

impl DiffSet {
    /// Of this comparison.
    pub(in crate::graphql) fn of(compared: Compared) -> Self {
        Self { compared, diffs: OnceCell::new() }
    }

    /// The diff of one of them.
    pub(in crate::graphql) async fn diff(
        &self,
        context: &Context<'_>,
        path: &ProjectPath,
    ) -> Result<Option<String>> {
        let load = || context.service().diffs(&self.compared);
        let diff = find(self.diffs.get_or_init(load).await, path)?;
        context.charge("diff", diff.as_ref().map_or(0, String::len))?;
        Ok(diff)
    }
}
