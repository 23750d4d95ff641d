//! The commands of the `runledger` binary.

pub mod exec;
