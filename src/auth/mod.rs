//! From a token to a [`Viewer`]: the only maker of one.

mod authenticator;
mod viewer;

pub use authenticator::Authenticator;
#[cfg(test)]
pub(crate) use authenticator::toy;
pub use viewer::{Role, Viewer};
