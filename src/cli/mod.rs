//! The `runledger` command: reads the command line and the settings, and hands over.
//!
//! Exit codes: 0 for success, 1 for a failure, 2 when the command line or a setting is wrong.

mod backoff;
mod check;
mod compact;
mod connection;
mod duration;
mod exec;
mod export;
mod import;
mod logging;
mod notice;
mod recompute;
mod serve;
mod token;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::app;
use crate::config::{Config, Settings};
use crate::error::Error;
use crate::syntax;

/// Of each worker thread; only what is used of it takes memory. Resolvers nest as deep as a document may, and without
/// optimisation their frames are large: two mebibytes, the default, were not enough.
const WORKER_STACK_BYTES: usize = 16 * 1024 * 1024;

const FAILURE: u8 = 1;
const USAGE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  runledger                                    try it on this machine
  runledger --listen 0.0.0.0:8080              serve others; needs a key setting, see Tokens
  runledger token --user ada --org acme        make a token for ada in organisation acme
  DATABASE_URL=postgres://… runledger migrate  prepare a PostgreSQL database
  runledger check                              show the settings, ask the database and storage
  runledger exec --name build -- make          run a command and record it
  runledger import projects --dry-run          see which projects in a folder would be saved
  runledger export --output runs.csv           write the history to a file

Every setting is a flag or an environment variable; .env.example lists them all.";

/// The system of record for code agents: executions and log lines, stored durably and shown live.
#[derive(Debug, Parser)]
#[command(name = "runledger", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API. The default.
    Serve(Settings),
    /// Bring the database to this version's schema, or take steps back. `serve` does the first by itself.
    Migrate(Migrate),
    /// Show the settings, without secrets, and whether the database, storage and the issuers' keys can be reached.
    Check(Settings),
    /// Count the statistics anew from the executions, and say whether they were right. Servers may run meanwhile: what is
    /// read stays exact.
    Recompute(Settings),
    /// Rewrite the database without what was deleted, and give the disk back. With SQLite no server may run meanwhile; with
    /// PostgreSQL who wants a table waits until it is done. Takes as much more disk for a while as the rows need.
    Compact(Settings),
    /// Print the GraphQL schema.
    Schema,
    /// Print a token signed with the configured secret.
    Token(token::Token),
    /// Print the problems of the source on standard input. For the server, which runs it with little to lose.
    #[command(name = syntax::COMMAND, hide = true)]
    CheckSource {
        language: String,
    },
    // Their descriptions stand at their options.
    Exec(exec::Args),
    Import(import::Args),
    Export(export::Args),
}

#[derive(Debug, Args)]
struct Migrate {
    /// Undo this many of the newest steps instead.
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u32).range(1..))]
    down: Option<u32>,
    #[command(flatten)]
    settings: Settings,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let matches = without_empty_variables(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli, &matches) {
        Ok(code) => code,
        Err(Stop::Usage(message)) => {
            eprintln!("runledger: {message}");
            ExitCode::from(USAGE)
        }
        Err(Stop::Failure(error)) => {
            let cause = error.cause().map_or_else(|| error.message(), str::to_owned);
            eprintln!("runledger: {cause}");
            ExitCode::from(FAILURE)
        }
    }
}

/// Why a command ended early.
#[derive(Debug)]
enum Stop {
    /// The command line or a setting is wrong.
    Usage(String),
    /// It was started well and failed. On a terminal the cause is for whoever started it.
    Failure(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failure(error)
    }
}

fn run(cli: Cli, matches: &ArgMatches) -> Result<ExitCode, Stop> {
    match cli.command.unwrap_or(Command::Serve(cli.settings)) {
        Command::Exec(args) => return block_on(async { Ok(exec::run(args).await) }),
        Command::Export(args) => return block_on(async { Ok(export::run(args).await) }),
        Command::Import(args) => return block_on(async { Ok(import::run(args).await) }),
        Command::Serve(settings) => serve::run(started(&settings)?)?,
        Command::Migrate(Migrate { down, settings }) => {
            let config = started(&settings)?;
            block_on(app::migrate(&config, down))?;
        }
        Command::Check(settings) => {
            let matches = matches.subcommand_matches("check").unwrap_or(matches);
            print(&settings_in_use(matches))?;
            let config = started(&settings)?;
            check::run(&config)?;
        }
        Command::Recompute(settings) => recompute::run(&started(&settings)?)?,
        Command::Compact(settings) => compact::run(&started(&settings)?)?,
        Command::Schema => print(&crate::graphql::sdl())?,
        Command::CheckSource { language } => syntax::run(&language)?,
        Command::Token(token) => token.run()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The checked settings, with logging started as they say.
fn started(settings: &Settings) -> Result<Config, Stop> {
    let config = checked(settings)?;
    logging::start(&config.log);
    Ok(config)
}

fn checked(settings: &Settings) -> Result<Config, Stop> {
    settings.check().map_err(|problems| {
        let lines: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
        Stop::Usage(format!("these settings cannot be used:{lines}"))
    })
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure, where `print!` would panic.
fn print(text: &str) -> Result<(), Stop> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::internal(error).into()),
        _ => Ok(()),
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Stop> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let builder = builder.enable_all().thread_stack_size(WORKER_STACK_BYTES);
    let runtime = builder.build().map_err(Error::internal)?;
    Ok(runtime.block_on(work)?)
}

/// Makes an empty variable count as absent: deployment files often have `NAME=`.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let without = move |argument: clap::Arg| match argument.get_env() {
        Some(name) if is_empty(name) => argument.env(None::<&str>),
        _ => argument,
    };
    command.mut_args(without).mut_subcommands(|command| command.mut_args(without))
}

/// Every setting as `NAME=value`, with where it came from; secrets as `***`.
fn settings_in_use(matches: &ArgMatches) -> String {
    let command = Cli::command();
    let settings = command.get_arguments().filter_map(|argument| Some((argument, argument.get_env()?)));
    settings
        .map(|(argument, variable)| {
            let id = argument.get_id().as_str();
            let value = match matches.get_raw(id).and_then(|mut values| values.next()) {
                Some(_) if argument.is_hide_env_values_set() => "***".into(),
                Some(value) => value.to_string_lossy(),
                None => "".into(),
            };
            let source = match matches.value_source(id) {
                Some(clap::parser::ValueSource::CommandLine) => " (flag)",
                Some(clap::parser::ValueSource::EnvVariable) => " (environment)",
                _ => "",
            };
            format!("{}={value}{source}\n", variable.to_string_lossy())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_stand_before_nothing_or_after_a_command() {
        for line in [
            "runledger",
            "runledger --listen 127.0.0.1:1",
            "runledger serve --listen 127.0.0.1:1",
            "runledger migrate --down 1",
            "runledger check --log debug",
            "runledger schema",
            "runledger token --user ada --org acme --role admin --expires-in 7d --jwt-secret x",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in
            ["runledger --listen x serve", "runledger migrate --down 0", "runledger token", "runledger fly"]
        {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn the_settings_in_use_hide_secrets() {
        let line = "runledger check --listen 127.0.0.1:1 --jwt-secret hunter2 --database-url sqlite:hunter2";
        let matches = Cli::command().get_matches_from(line.split(' '));
        let shown = settings_in_use(matches.subcommand_matches("check").unwrap());
        assert!(shown.contains("RUNLEDGER_LISTEN=127.0.0.1:1 (flag)\n"), "{shown}");
        assert!(shown.contains("RUNLEDGER_JWT_SECRET=*** (flag)\n"), "{shown}");
        assert!(shown.contains("DATABASE_URL=*** (flag)\n"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
