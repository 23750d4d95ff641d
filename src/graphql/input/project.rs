//! Projects to be made.

use async_graphql::InputObject;

/// A project to be made, or found: making it again gives it as it is.
#[derive(Debug, InputObject)]
pub(in crate::graphql) struct CreateProjectInput {
    /// Unique within the tenant; at most 255 characters, as the name.
    pub key: String,
    /// The key, if left out.
    pub name: Option<String>,
}
