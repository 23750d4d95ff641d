//! Pure types and rules.

pub mod limits;
