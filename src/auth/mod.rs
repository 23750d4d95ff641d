//! From a token to a [`Viewer`]: the only maker of one.

mod viewer;

pub use viewer::{Role, Viewer};
