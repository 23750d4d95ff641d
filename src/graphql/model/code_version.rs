//! Versions of code agents.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use uuid::Uuid;

use super::{CodeAgent, PageInfo};
use crate::domain::code;
use crate::domain::page::{Cursor, PageArgs, Rows};
use crate::error::Error;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::ApiError;
use crate::graphql::scalars::{BigInt, DateTime};
use crate::graphql::siblings::VersionSiblings;
use crate::store::{CodeAgentRow, CodeVersionRow};

/// Where the source of a version is kept. Reading it is the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "code::Storage")]
pub(in crate::graphql) enum CodeStorage {
    /// In the database.
    Database,
    /// In object storage.
    Object,
}

/// What a parser says about a source.
#[derive(Debug, SimpleObject)]
pub(in crate::graphql) struct CodeValidation {
    /// Whether nothing is known to be wrong; true for what cannot be checked.
    valid: bool,
    /// Whether a parser has looked at it: false when there is none for the language.
    checked: bool,
    /// What is wrong, at most 50 problems, in the order of the source.
    problems: Vec<CodeProblem>,
}

/// A place in a source where its parser stumbles.
#[derive(Debug, SimpleObject)]
pub(in crate::graphql) struct CodeProblem {
    /// What is wrong.
    message: String,
    /// From 1; lines end with a line feed.
    line: u32,
    /// From 1, in characters (Unicode scalar values).
    column: u32,
}

impl From<code::Validation> for CodeValidation {
    fn from(validation: code::Validation) -> Self {
        let (valid, checked) = (validation.is_valid(), validation.is_checked);
        let problem = |code::Problem { message, line, column }| CodeProblem { message, line, column };
        Self { valid, checked, problems: validation.problems.into_iter().map(problem).collect() }
    }
}

/// A version of a code agent's source. It never changes.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct CodeVersion {
    row: CodeVersionRow,
    siblings: Arc<VersionSiblings>,
}

impl CodeVersion {
    /// One by itself.
    pub(in crate::graphql) fn one(row: CodeVersionRow) -> Self {
        let siblings = Arc::new(VersionSiblings::of(std::slice::from_ref(&row)));
        Self { row, siblings }
    }

    /// Those of a page, in its order.
    pub(in crate::graphql) fn page(rows: Vec<CodeVersionRow>) -> Vec<Self> {
        let siblings = Arc::new(VersionSiblings::of(&rows));
        rows.into_iter().map(|row| Self { row, siblings: Arc::clone(&siblings) }).collect()
    }
}

/// A version of a code agent's source. It never changes.
#[Object]
impl CodeVersion {
    /// A UUID.
    pub(in crate::graphql) async fn id(&self) -> ID {
        self.row.id.into()
    }

    /// From 1, without gaps, in the order of publishing.
    fn number(&self) -> i32 {
        self.row.number
    }

    /// As it was published, byte for byte; at most 2 MiB. All versions of one page may select it when they come to 16 MiB
    /// together at most; TOO_LARGE beyond.
    async fn source(&self, context: &Context<'_>) -> Result<String, ApiError> {
        let source = self.siblings.source(context, self.row.id).await?;
        Ok(source.ok_or(Error::NotFound { what: "source" })?)
    }

    /// Bytes of the source in UTF-8.
    fn size_bytes(&self) -> i32 {
        self.row.size_bytes
    }

    /// Of these bytes, in hexadecimal.
    fn sha256(&self) -> &str {
        &self.row.sha256
    }

    /// Where the source is kept.
    fn storage(&self) -> CodeStorage {
        self.row.storage.into()
    }

    /// The key of the object; null while the source is in the database.
    fn storage_key(&self) -> Option<&str> {
        self.row.storage_key.as_deref()
    }

    /// What the parser of its language said when it was published.
    fn validation(&self, context: &Context<'_>) -> Result<CodeValidation, ApiError> {
        Ok(context.service().code_validation(&self.row)?.into())
    }

    /// The `userId` of whoever published it.
    fn created_by(&self) -> &str {
        &self.row.created_by
    }

    /// When it was published.
    fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }

    /// Whose version it is.
    async fn code_agent(&self, context: &Context<'_>) -> Result<CodeAgent, ApiError> {
        let agent = self.siblings.agent(context, self.row.code_agent_id).await?;
        Ok(agent.ok_or(Error::NotFound { what: "code agent" })?)
    }
}

/// A page of versions, newest first.
pub(in crate::graphql) struct CodeVersionConnection {
    agent: CodeAgentRow,
    versions: Vec<CodeVersion>,
    page_info: PageInfo,
}

impl CodeVersionConnection {
    pub(super) async fn load(
        context: &Context<'_>,
        agent: CodeAgentRow,
        args: PageArgs,
    ) -> Result<Self, ApiError> {
        let page = args.check(|text| number(text, agent.id))?;
        let rows: Rows<_> = context.service().list_code_versions(context.viewer()?, &agent, &page).await?;
        let page_info = PageInfo::of(&rows, cursor);
        Ok(Self { agent, versions: CodeVersion::page(rows.rows), page_info })
    }
}

/// A page of versions, newest first.
#[Object]
impl CodeVersionConnection {
    /// The rows with their cursors.
    fn edges(&self) -> Vec<CodeVersionEdge> {
        let edge =
            |version: &CodeVersion| CodeVersionEdge { cursor: cursor(&version.row), node: version.clone() };
        self.versions.iter().map(edge).collect()
    }

    /// The rows without their cursors.
    fn nodes(&self) -> &[CodeVersion] {
        &self.versions
    }

    /// Where the page stands.
    fn page_info(&self) -> &PageInfo {
        &self.page_info
    }

    /// How many versions there are, whatever the page. Costs nothing unless selected.
    async fn total_count(&self, context: &Context<'_>) -> Result<BigInt, ApiError> {
        let count = context.service().count_code_versions(context.viewer()?, &self.agent).await?;
        Ok(BigInt(count.cast_signed()))
    }
}

/// A version in a page.
#[derive(SimpleObject)]
pub(in crate::graphql) struct CodeVersionEdge {
    /// To be given as `after` or `before`.
    cursor: String,
    /// The version.
    node: CodeVersion,
}

fn cursor(row: &CodeVersionRow) -> String {
    Cursor { order: 'V', key: row.number.into(), id: row.code_agent_id }.encode()
}

fn number(text: &str, agent_id: Uuid) -> Option<i32> {
    let cursor = Cursor::decode(text).filter(|cursor| cursor.order == 'V' && cursor.id == agent_id)?;
    i32::try_from(cursor.key).ok()
}
