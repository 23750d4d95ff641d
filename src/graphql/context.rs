//! What resolvers ask of their context.

use async_graphql::{Context, ID};
use uuid::Uuid;

use super::budget::Budget;
use crate::auth::Viewer;
use crate::error::{Error, Result};
use crate::logs::TailPlace;
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

    /// Where the tail that this request runs is to say where it stands.
    fn tail_place(&self) -> TailPlace;

    /// Notes that `field` puts so many bytes of stored text into the answer.
    ///
    /// # Errors
    /// `TOO_LARGE` when that is too much together.
    fn charge(&self, field: &'static str, bytes: usize) -> Result<()>;
}

impl ContextExt for Context<'_> {
    fn viewer(&self) -> Result<&Viewer> {
        self.data_opt().ok_or_else(|| Error::Unauthenticated("a token is required".into()))
    }

    fn service(&self) -> &Service {
        self.data_unchecked()
    }

    fn tail_place(&self) -> TailPlace {
        self.data_opt::<TailPlace>().cloned().unwrap_or_default()
    }

    fn charge(&self, field: &'static str, bytes: usize) -> Result<()> {
        self.data_opt::<Budget>().map_or(Ok(()), |budget| budget.take(field, bytes))
    }
}

/// Reads an id.
///
/// # Errors
/// `BAD_INPUT` about `field` for what is not a UUID.
pub(super) fn uuid(field: &str, id: &ID) -> Result<Uuid> {
    Uuid::try_parse(id).map_err(|_| Error::bad_input(field.to_owned(), format!("{field} must be a UUID")))
}

/// [`uuid()`] for an id that may be absent.
///
/// # Errors
/// As [`uuid()`].
pub(super) fn uuid_optional(field: &str, id: Option<ID>) -> Result<Option<Uuid>> {
    id.map(|id| uuid(field, &id)).transpose()
}
