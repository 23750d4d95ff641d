//! From a token to a [`Viewer`]: the only maker of one.

mod scope;
mod tenant;
mod viewer;

pub use scope::{OnBehalfOf, Scope, Stamp};
pub use viewer::{Role, Viewer};
