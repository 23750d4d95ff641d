//! The `runledger` command.

fn main() -> std::process::ExitCode {
    runledger::cli::main()
}
