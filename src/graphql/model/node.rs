//! Anything with an id.

use async_graphql::{ID, Interface};

use super::{CodeAgent, CodeVersion, Execution, Project};

/// Anything with an id. Every id is a UUID, unique across types.
#[expect(clippy::large_enum_variant, reason = "one at a time, and boxes are no output types")]
#[derive(Clone, Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "A UUID, unique across types."))]
pub(in crate::graphql) enum Node {
    Execution(Execution),
    Project(Project),
    CodeAgent(CodeAgent),
    CodeVersion(CodeVersion),
}
