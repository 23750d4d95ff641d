//! One suite of promises, tried on every backend; and what only clouds can promise.

mod appends;
mod failures;
mod fixture;
mod links;
mod privacy;
mod promises;
mod readers;
mod retention;
mod s3_appends;
#[path = "../../../tests/support/mod.rs"]
mod support;
