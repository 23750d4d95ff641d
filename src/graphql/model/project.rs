//! Projects.

use async_graphql::{Context, ID, Object, SimpleObject};

use super::PageInfo;
use crate::domain::page::{Cursor, Rows};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::ApiError;
use crate::graphql::scalars::{BigInt, DateTime};
use crate::store::ProjectRow;

/// What executions belong to, named by a key within its tenant.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct Project(pub ProjectRow);

/// What executions belong to, named by a key within its tenant.
#[Object]
impl Project {
    /// A UUID.
    pub(in crate::graphql) async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// Unique within the tenant; at most 255 characters.
    fn key(&self) -> &str {
        &self.0.key
    }

    /// At most 255 characters; the key when none was given.
    fn name(&self) -> &str {
        &self.0.name
    }

    /// When it was made, by `createProject` or by the first execution that named its key.
    fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

/// A page of projects, newest first.
pub(in crate::graphql) struct ProjectConnection(pub Rows<ProjectRow>);

/// A page of projects, newest first.
#[Object]
impl ProjectConnection {
    /// The rows with their cursors.
    fn edges(&self) -> Vec<ProjectEdge> {
        let edge = |row: &ProjectRow| ProjectEdge { cursor: cursor(row), node: Project(row.clone()) };
        self.0.rows.iter().map(edge).collect()
    }

    /// The rows without their cursors.
    fn nodes(&self) -> Vec<Project> {
        self.0.rows.iter().cloned().map(Project).collect()
    }

    /// Where the page stands.
    fn page_info(&self) -> PageInfo {
        PageInfo::of(&self.0, cursor)
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
