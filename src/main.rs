//! The `runledger` command.
fn main() {}
