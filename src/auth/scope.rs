//! What a viewer may read and write, for the store to put into every query.

use super::{Role, Viewer, tenant_of};
use crate::error::Error;

/// Which rows can be read. Only a [`Viewer`] makes one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    tenant_id: Option<String>,
    owner_id: Option<String>,
}

impl Scope {
    /// Only rows of this tenant; `None` for every tenant.
    pub fn tenant_id(&self) -> Option<&str> {
        self.tenant_id.as_deref()
    }

    /// Whether a row of this tenant and owner can be read, for rows that were not selected by the scope.
    pub fn admits(&self, tenant_id: &str, owner_id: &str) -> bool {
        self.tenant_id().is_none_or(|tenant| tenant == tenant_id)
            && self.owner_id().is_none_or(|owner| owner == owner_id)
    }

    /// Only rows of this owner; `None` for every owner.
    pub fn owner_id(&self) -> Option<&str> {
        self.owner_id.as_deref()
    }
}

/// Whose row is being made. It is never taken from a row's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    tenant_id: String,
    owner_id: String,
}

impl Stamp {
    /// The tenant.
    pub fn tenant_id(&self) -> &str {
        &self.tenant_id
    }

    /// The owner.
    pub fn owner_id(&self) -> &str {
        &self.owner_id
    }
}

/// Somebody on whose behalf a service writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnBehalfOf {
    pub user_id: String,
    pub org_id: Option<String>,
}

impl Viewer {
    /// The rows that this viewer may read.
    pub fn reads(&self) -> Scope {
        match self.role() {
            Role::Service => Scope { tenant_id: None, owner_id: None },
            Role::Admin | Role::Member => Scope {
                tenant_id: Some(self.tenant_id().to_owned()),
                owner_id: self.sees_only_own().then(|| self.user_id().to_owned()),
            },
        }
    }

    /// Whether this viewer may change a row that they can read.
    ///
    /// # Errors
    /// `FORBIDDEN`.
    pub fn may_write(&self, tenant_id: &str, owner_id: &str) -> Result<(), Error> {
        let own_tenant = tenant_id == self.tenant_id();
        let allowed = match self.role() {
            Role::Service => true,
            Role::Admin => own_tenant,
            Role::Member => own_tenant && owner_id == self.user_id(),
        };
        if allowed { Ok(()) } else { Err(Error::Forbidden("only its owner and admins may change it".into())) }
    }

    /// The stamp for a new row of this viewer, or of somebody on whose behalf a service acts.
    ///
    /// # Errors
    /// `FORBIDDEN` for `on_behalf_of` from anyone but a service.
    pub fn stamp(&self, on_behalf_of: Option<OnBehalfOf>) -> Result<Stamp, Error> {
        match (on_behalf_of, self.role()) {
            (None, _) => {
                Ok(Stamp { tenant_id: self.tenant_id().to_owned(), owner_id: self.user_id().to_owned() })
            }
            (Some(other), Role::Service) => Ok(Stamp {
                tenant_id: tenant_of(other.org_id.as_deref(), &other.user_id),
                owner_id: other.user_id,
            }),
            (Some(_), Role::Member | Role::Admin) => {
                Err(Error::Forbidden("only a service-role token may write on behalf of somebody".into()))
            }
        }
    }
}
