//! What resolvers ask of their context.

use async_graphql::dataloader::DataLoader;
use async_graphql::{Context, ID};
use uuid::Uuid;

use super::loaders::{LastAppends, Payloads, Projects};
use crate::auth::Viewer;
use crate::error::{Error, Result};
use crate::service::Service;

/// What resolvers ask of their context.
pub(super) trait ContextExt {
    /// Who is asking.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for a request without a token.
    fn viewer(&self) -> Result<&Viewer>;

    /// What Runledger does.
    fn service(&self) -> &Service;

    fn payloads(&self) -> &DataLoader<Payloads>;

    fn projects(&self) -> &DataLoader<Projects>;

    fn last_appends(&self) -> &DataLoader<LastAppends>;
}

impl ContextExt for Context<'_> {
    fn viewer(&self) -> Result<&Viewer> {
        self.data_opt().ok_or_else(|| Error::Unauthenticated("a token is required".into()))
    }

    fn service(&self) -> &Service {
        self.data_unchecked()
    }

    fn payloads(&self) -> &DataLoader<Payloads> {
        self.data_unchecked()
    }

    fn projects(&self) -> &DataLoader<Projects> {
        self.data_unchecked()
    }

    fn last_appends(&self) -> &DataLoader<LastAppends> {
        self.data_unchecked()
    }
}

/// Reads an id.
///
/// # Errors
/// `BAD_INPUT` about `field` for what is not a UUID.
pub(super) fn uuid(field: &str, id: &ID) -> Result<Uuid> {
    Uuid::try_parse(id).map_err(|_| Error::bad_input(field.to_owned(), format!("{field} must be a UUID")))
}

/// [`uuid`] for an id that may be absent.
///
/// # Errors
/// As [`uuid`].
pub(super) fn uuid_optional(field: &str, id: Option<ID>) -> Result<Option<Uuid>> {
    id.map(|id| uuid(field, &id)).transpose()
}
