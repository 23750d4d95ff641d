//! Who is asking, and in which tenant.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What a viewer may do inside a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Reads the tenant's rows (or only their own, by setting), writes their own.
    Member,
    /// Also writes all of the tenant's rows.
    Admin,
    /// Reads and writes every tenant's rows, on behalf of anyone.
    Service,
}

/// The caller of a request, as a verified token named them. Cheap to clone.
///
/// Only this module's parent can make one, from a verified token; that is what makes a `Scope` trustworthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    user_id: String,
    tenant_id: String,
    role: Role,
    expires_at: Timestamp,
    owner_only: bool,
}

/// A viewer who lets whoever has a link read as they do, or a job. It is only in what the server has signed, and in its
/// database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    user_id: String,
    tenant_id: String,
    role: Role,
    owner_only: bool,
}

impl Delegation {
    /// Somebody who sees what the viewer saw who gave the link, until it expires.
    pub fn accept(self, expires_at: Timestamp) -> Viewer {
        let Self { user_id, tenant_id, role, owner_only } = self;
        Viewer::new(user_id, tenant_id, role, expires_at, owner_only)
    }
}

impl Viewer {
    pub(super) fn new(
        user_id: String,
        tenant_id: String,
        role: Role,
        expires_at: Timestamp,
        owner_only: bool,
    ) -> Self {
        Self(Arc::new(Inner { user_id, tenant_id, role, expires_at, owner_only }))
    }

    /// The token's `sub`.
    pub fn user_id(&self) -> &str {
        &self.0.user_id
    }

    /// The organisation that the token names, or the user's own tenant.
    pub fn tenant_id(&self) -> &str {
        &self.0.tenant_id
    }

    /// What they may do.
    pub fn role(&self) -> Role {
        self.0.role
    }

    /// When the token ends, and with it every socket opened with it.
    pub fn expires_at(&self) -> Timestamp {
        self.0.expires_at
    }

    /// Whether they see only rows that they own (`RUNLEDGER_OWNERSHIP=user`).
    pub fn sees_only_own(&self) -> bool {
        self.0.owner_only && self.0.role == Role::Member
    }

    /// For a link that reads as this viewer.
    pub fn delegate(&self) -> Delegation {
        let Inner { user_id, tenant_id, role, owner_only, .. } = &*self.0;
        Delegation {
            user_id: user_id.clone(),
            tenant_id: tenant_id.clone(),
            role: *role,
            owner_only: *owner_only,
        }
    }
}
