//! Anything with an id.

use async_graphql::{ID, Interface};

use super::{CodeAgent, CodeVersion, Execution, Generation, Project};

/// Anything with an id. Every id is a UUID, unique across types.
#[derive(Clone, Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "A UUID, unique across types."))]
pub(in crate::graphql) enum Node {
    Execution(Execution),
    Project(Project),
    CodeAgent(CodeAgent),
    CodeVersion(CodeVersion),
    Generation(Generation),
}
