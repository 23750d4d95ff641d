//! Pure types and rules: no I/O, no clock, known to every other module.

pub mod code;
pub mod compare;
pub mod execution;
pub mod export;
pub mod generation;
pub mod limits;
pub mod log;
pub mod manifest;
pub mod money;
pub mod object;
pub mod page;
pub mod recent;
pub mod search;
pub mod stats;
pub mod stream;
pub mod text;
pub mod visual;

/// Whom Runledger's own secret signs in when nobody is named: in the start message, and in `runledger exec`.
pub const LOCAL_USER_ID: &str = "me";
