//! The `runledger` command.

use std::process::ExitCode;

/// It gives memory back that one large request has taken, where the system's allocator keeps it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    runledger::cli::main()
}
