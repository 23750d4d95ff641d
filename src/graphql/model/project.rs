//! Projects.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};

use super::{ExecutionStats, Generation, GenerationConnection, PageInfo};
use crate::domain::page::{Cursor, PageArgs, Rows};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{ApiError, Nullable as _};
use crate::graphql::input::span;
use crate::graphql::scalars::{BigInt, DateTime};
use crate::graphql::siblings::ProjectSiblings;
use crate::store::ProjectRow;

/// What executions and generations belong to, named by a key within its tenant.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct Project {
    row: ProjectRow,
    siblings: Arc<ProjectSiblings>,
}

impl Project {
    /// One by itself.
    pub(in crate::graphql) fn one(row: ProjectRow) -> Self {
        let siblings = Arc::new(ProjectSiblings::of(std::slice::from_ref(&row)));
        Self { row, siblings }
    }

    /// Those of a page, in its order.
    pub(in crate::graphql) fn page(rows: Vec<ProjectRow>) -> Vec<Self> {
        let siblings = Arc::new(ProjectSiblings::of(&rows));
        rows.into_iter().map(|row| Self { row, siblings: Arc::clone(&siblings) }).collect()
    }
}

/// What executions and generations belong to, named by a key within its tenant.
#[Object]
impl Project {
    /// A UUID.
    pub(in crate::graphql) async fn id(&self) -> ID {
        self.row.id.into()
    }

    /// Unique within the tenant; at most 255 characters.
    fn key(&self) -> &str {
        &self.row.key
    }

    /// At most 255 characters; the key when none was given.
    fn name(&self) -> &str {
        &self.row.name
    }

    /// When it was made, by `createProject` or by the first execution or generation that named its key.
    fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }

    /// Its generations, newest first.
    async fn generations(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows from the start; 50 by default, 200 at most.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "Rows from the end, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> Result<GenerationConnection, ApiError> {
        let args = PageArgs { first, after, last, before };
        GenerationConnection::load(context, self.row.clone(), args).await
    }

    /// The generation that was saved last, of those that have not been deleted; null when there is none.
    async fn latest_generation(&self, context: &Context<'_>) -> Option<async_graphql::Result<Generation>> {
        self.siblings.latest(context, self.row.id).await.nullable()
    }

    /// What the executions that name it add up to.
    async fn stats(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only those that were created at this time or later.")] from: Option<DateTime>,
        #[graphql(desc = "Only those that were created before this time.")] to: Option<DateTime>,
    ) -> Result<ExecutionStats, ApiError> {
        Ok(self.siblings.stats(context, self.row.id, span("to", from, to)?).await?)
    }
}

/// A page of projects, newest first.
pub(in crate::graphql) struct ProjectConnection {
    projects: Vec<Project>,
    page_info: PageInfo,
}

impl ProjectConnection {
    pub(in crate::graphql) fn of(rows: Rows<ProjectRow>) -> Self {
        let page_info = PageInfo::of(&rows, cursor);
        Self { projects: Project::page(rows.rows), page_info }
    }
}

/// A page of projects, newest first.
#[Object]
impl ProjectConnection {
    /// The rows with their cursors.
    fn edges(&self) -> Vec<ProjectEdge> {
        let edge = |project: &Project| ProjectEdge { cursor: cursor(&project.row), node: project.clone() };
        self.projects.iter().map(edge).collect()
    }

    /// The rows without their cursors.
    fn nodes(&self) -> &[Project] {
        &self.projects
    }

    /// Where the page stands.
    fn page_info(&self) -> &PageInfo {
        &self.page_info
    }

    /// How many projects there are, whatever the page. Costs nothing unless selected.
    async fn total_count(&self, context: &Context<'_>) -> Result<BigInt, ApiError> {
        let count = context.service().count_projects(context.viewer()?).await?;
        Ok(BigInt(count.cast_signed()))
    }
}

/// A project in a page.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ProjectEdge {
    /// To be given as `after` or `before`.
    cursor: String,
    /// The project.
    node: Project,
}

fn cursor(row: &ProjectRow) -> String {
    Cursor { order: 'P', key: row.created_at.timestamp_micros(), id: row.id }.encode()
}
