//! One SeaORM entity per table. No rules and no GraphQL live here: rules are in `runledger::domain`, queries in
//! `runledger::store`.

pub mod change_event;
pub mod code_agent;
pub mod code_publish;
pub mod code_source;
pub mod code_version;
pub mod code_version_run;
pub mod deletion;
pub mod deletion_item;
pub mod execution;
pub mod execution_payload;
pub mod execution_search;
pub mod generation;
pub mod generation_manifest;
pub mod job;
pub mod log_chunk;
pub mod log_stream;
pub mod place;
pub mod project;
pub mod server_secret;
pub mod statistic;
pub mod statistic_place;
pub mod statistic_state;
pub mod stream_kind;
