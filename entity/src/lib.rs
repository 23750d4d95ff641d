//! One SeaORM entity per table. No rules and no GraphQL live here: rules are in `runledger::domain`, queries in
//! `runledger::store`.

pub mod change_event;
pub mod execution;
pub mod execution_payload;
pub mod log_chunk;
pub mod log_stream;
pub mod project;
