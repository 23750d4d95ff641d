//! From a token to a [`Viewer`]. A stand-in until tokens are verified: it knows no token but those of the tests.

use crate::error::Error;

use super::Viewer;

/// The maker of viewers. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Authenticator;

impl Authenticator {
    /// Whom the token names.
    ///
    /// # Errors
    /// `Unauthenticated` for a token that is not valid (any more), `Unavailable` when that cannot be found out now.
    pub async fn authenticate(&self, token: &str) -> Result<Viewer, Error> {
        #[cfg(test)]
        if let Some(viewer) = toy::viewer(token) {
            return if viewer.expires_at() > crate::clock::now() {
                Ok(viewer)
            } else {
                Err(Error::Unauthenticated("the token has expired".into()))
            };
        }
        let _ = token;
        Err(Error::Unauthenticated("the token is not valid".into()))
    }
}

#[cfg(test)]
pub(crate) mod toy {
    //! Tokens for tests: `user.tenant.expiry`, the expiry in milliseconds since 1970.

    use crate::auth::{Authenticator, Role, Viewer};
    use crate::clock::{Timestamp, now};

    pub(crate) fn authenticator() -> Authenticator {
        Authenticator
    }

    /// A token that lives for some milliseconds; negative: it has expired.
    pub(crate) fn token(user: &str, tenant: &str, milliseconds: i64) -> String {
        format!("{user}.{tenant}.{}", now().timestamp_millis() + milliseconds)
    }

    pub(super) fn viewer(token: &str) -> Option<Viewer> {
        let mut parts = token.split('.');
        let (user, tenant, expiry) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
        let expires_at = Timestamp::from_timestamp_millis(expiry)?;
        Some(Viewer::new(user.into(), tenant.into(), Role::Member, expires_at, false))
    }
}
