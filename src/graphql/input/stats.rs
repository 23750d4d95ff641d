//! Which statistics.

use async_graphql::{ID, InputObject};

use crate::domain::stats::{Span, Subject};
use crate::domain::text;
use crate::error::{Error, Result};
use crate::graphql::context::uuid_optional;
use crate::graphql::model::ExecutionMode;
use crate::graphql::scalars::DateTime;
use crate::store::{StatsOf, StatsQuery};

/// Which executions are counted. All given conditions hold together.
#[derive(Debug, Default, InputObject)]
pub(in crate::graphql) struct StatsFilter {
    /// Of this code agent.
    code_agent_id: Option<ID>,
    /// Of this workflow.
    workflow_id: Option<String>,
    /// Of this project.
    project_key: Option<String>,
    /// Of this owner.
    owner_id: Option<String>,
    /// Of this mode.
    mode: Option<ExecutionMode>,
    /// Created at this time or later.
    from: Option<DateTime>,
    /// Created before this time.
    to: Option<DateTime>,
}

impl StatsFilter {
    /// Checks it; `field` is its own path.
    pub(in crate::graphql) fn check(self, field: &str) -> Result<StatsQuery> {
        let subject = Subject {
            owner_id: text::short_optional(&format!("{field}.ownerId"), self.owner_id)?,
            code_agent_id: uuid_optional(&format!("{field}.codeAgentId"), self.code_agent_id)?,
            workflow_id: text::short_optional(&format!("{field}.workflowId"), self.workflow_id)?,
            project_key: text::short_optional(&format!("{field}.projectKey"), self.project_key)?,
        };
        let span = span(&format!("{field}.to"), self.from, self.to)?;
        Ok(StatsQuery { of: StatsOf::Matching(subject), mode: self.mode.map(Into::into), span })
    }
}

/// A time with two ends, which may be open; `field` is the path of `to`.
///
/// # Errors
/// `BAD_INPUT` when it ends before it begins.
pub(in crate::graphql) fn span(field: &str, from: Option<DateTime>, to: Option<DateTime>) -> Result<Span> {
    let (from, to) = (from.map(|from| from.0), to.map(|to| to.0));
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        return Err(Error::bad_input(field.to_owned(), format!("{field} must not be before from")));
    }
    Ok(Span { from, to })
}
