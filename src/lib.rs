//! Runledger: the system of record for code agents.
//!
//! Data flows one way: `http` and `cli` → `graphql` → `service` → `store` → the `entity` crate. `domain` holds the
//! pure types and rules that all of them know. `tests/architecture.rs` fails when a module imports upward.

pub mod auth;
pub mod cli;
pub mod client;
pub mod clock;
pub mod domain;
pub mod error;
