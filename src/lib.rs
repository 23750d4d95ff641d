//! Runledger: the system of record for code agents.
//!
//! Data flows one way: `http` and `cli` → `graphql` → `service` → `logs`, `event`, `syntax` → `store` → the `entity` crate.
//! `domain` holds the pure types and rules that all of them know, `grouping` commits what waits together, `monitor` counts what happens in them,
//! and `analytics` tells PostHog of it if it is asked to. `archive` packs
//! and checks projects, `export` writes executions as files; `app` puts the parts together.
//! `tests/integration/architecture.rs` fails when a module imports upward.

pub mod analytics;
pub mod app;
pub mod archive;
pub mod auth;
pub mod blob;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod domain;
pub mod error;
pub mod event;
pub mod export;
pub mod graphql;
pub mod grouping;
pub mod http;
pub mod jobs;
pub mod logs;
pub mod monitor;
pub mod service;
pub mod storage;
pub mod store;
pub mod syntax;
