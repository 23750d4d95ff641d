//! Who is asking.

use async_graphql::{Enum, SimpleObject};

use crate::auth;
use crate::graphql::scalars::DateTime;

/// Who is asking, as their token says.
#[derive(Debug, SimpleObject)]
pub(in crate::graphql) struct Viewer {
    /// The token's `sub`.
    user_id: String,
    /// The id of the organisation that the token names, or the user's own id when it names none.
    tenant_id: String,
    /// What they may do.
    role: Role,
    /// When the token ends, and with it every socket opened with it, unless it is renewed there.
    expires_at: Option<DateTime>,
}

/// What a viewer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "auth::Role")]
pub(in crate::graphql) enum Role {
    /// Reads the tenant's rows (or only their own, where the server is set so), writes their own.
    Member,
    /// Reads and writes all rows of the tenant.
    Admin,
    /// Reads and writes the rows of every tenant, on behalf of anyone.
    Service,
}

impl From<&auth::Viewer> for Viewer {
    fn from(viewer: &auth::Viewer) -> Self {
        Self {
            user_id: viewer.user_id().to_owned(),
            tenant_id: auth::tenant_name(viewer.tenant_id()).to_owned(),
            role: viewer.role().into(),
            expires_at: Some(DateTime(viewer.expires_at())),
        }
    }
}
