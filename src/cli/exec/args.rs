//! The options of `runledger exec`.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::StartInput;
use crate::cli::connection::Connection;
use crate::clock;

/// Run a command and record it as an execution: its output as log lines while it runs, its exit status, its duration.
///
/// The command runs as it would without: its output appears at once, it has the terminal, it gets the signals, and its
/// exit status is that of `exec`. A server that is slow or away never holds it up. What the server has not taken in
/// time is kept in a file, which `--resume` delivers.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) connection: Connection,

    /// Name of the execution [default: the command's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Code agent that it runs, by its id or by its name, if only one has that name
    #[arg(long, value_name = "NAME-OR-ID")]
    agent: Option<String>,

    /// Number of the version that it runs [default: the newest]
    #[arg(long, value_name = "N", requires = "agent", value_parser = clap::value_parser!(i32).range(1..))]
    agent_version: Option<i32>,

    /// Workflow that it belongs to
    #[arg(long, value_name = "ID")]
    workflow: Option<String>,

    /// Run of that workflow
    #[arg(long, value_name = "ID")]
    workflow_run: Option<String>,

    /// Key of the project that it belongs to
    #[arg(long, value_name = "KEY")]
    project: Option<String>,

    /// Where it runs
    #[arg(long, value_enum, default_value_t = Mode::LocalRun)]
    mode: Mode,

    /// Inputs of the execution [default: the command and its folder]
    #[arg(long, value_name = "JSON", value_parser = Value::from_str)]
    inputs: Option<Value>,

    /// Id of the execution; one that is queued on the server begins to run [default: a new one]
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,

    /// Keep the execution only while it runs
    #[arg(long)]
    no_history: bool,

    /// Stop the command (SIGTERM) when its execution is cancelled on the server
    #[arg(long)]
    pub(super) cancel_with_server: bool,

    /// How long to go on delivering after the command has ended, such as 90s, 5m or 1h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(super) drain_timeout: Duration,

    /// Folder for output that the server has not taken yet [default: the system's for temporary files]
    #[arg(long, value_name = "FOLDER", env = "RUNLEDGER_SPOOL_DIR")]
    pub(super) spool_dir: Option<PathBuf>,

    /// The most bytes that such output may take on disk; more is not recorded
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 30)]
    pub(super) spool_bytes_max: u64,

    /// Deliver what an earlier run has left in this file, instead of running a command
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    pub(super) resume: Option<PathBuf>,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, required_unless_present = "resume")]
    pub(super) command: Vec<OsString>,
}

/// `ExecutionMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    LocalRun,
    CloudRun,
}

impl Mode {
    fn graphql(self) -> &'static str {
        match self {
            Self::LocalRun => "LOCAL_RUN",
            Self::CloudRun => "CLOUD_RUN",
        }
    }
}

impl Args {
    /// What to start, with a new id unless one was given.
    pub(super) fn start_input(&self) -> StartInput {
        let words: Vec<_> = self.command.iter().map(|word| word.to_string_lossy()).collect();
        let name = self.name.clone().unwrap_or_else(|| {
            let program = self.command.first().map(PathBuf::from).unwrap_or_default();
            program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
        });
        let inputs = self.inputs.clone().unwrap_or_else(|| {
            let folder = env::current_dir().ok().map(|folder| folder.to_string_lossy().into_owned());
            json!({ "command": words, "cwd": folder })
        });
        let agent = self.agent.as_deref();
        let code_agent_id = agent.and_then(|agent| Uuid::parse_str(agent).ok());
        StartInput {
            code_agent_name: agent.filter(|_| code_agent_id.is_none()).map(str::to_owned),
            code_agent_id,
            code_version: self.agent_version,
            id: self.id.unwrap_or_else(clock::new_id),
            name,
            mode: self.mode.graphql().into(),
            workflow_id: self.workflow.clone(),
            workflow_run_id: self.workflow_run.clone(),
            project_key: self.project.clone(),
            inputs,
            started_at: super::api::time_text(clock::now()),
            keep_history: !self.no_history,
        }
    }
}

/// A number with `s`, `m` or `h`; seconds without.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, seconds) = match text.as_bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b'h') => (&text[..text.len() - 1], 3600),
        _ => (text, 1),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| "write it as 90s, 5m or 1h".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Cli::try_parse_from(["exec"].iter().chain(words)).map(|cli| cli.args)
    }

    #[test]
    fn all_that_follows_the_command_is_the_commands() {
        for words in [
            &["--name", "n", "--", "make", "-j4", "--", "--name"][..],
            &["--name", "n", "make", "-j4", "--", "--name"],
        ] {
            let args = parse(words).unwrap();
            assert_eq!(args.command, ["make", "-j4", "--", "--name"]);
            assert_eq!(args.name.as_deref(), Some("n"));
        }
    }

    #[test]
    fn the_execution_is_described_by_the_command_unless_told_otherwise() {
        let input = parse(&["/usr/bin/make", "all"]).unwrap().start_input();
        assert_eq!((input.name.as_str(), input.mode.as_str()), ("make", "LOCAL_RUN"));
        assert_eq!(input.inputs["command"], json!(["/usr/bin/make", "all"]));
        assert!(input.keep_history);

        let id = clock::new_id();
        for (agent, name, id) in [("fixer", Some("fixer"), None), (&id.to_string(), None, Some(id))] {
            let input = parse(&["--agent", agent, "--agent-version", "2", "x"]).unwrap().start_input();
            assert_eq!((input.code_agent_name.as_deref(), input.code_agent_id), (name, id));
            assert_eq!(input.code_version, Some(2));
        }

        let words =
            ["--inputs", r#"{"a":1}"#, "--mode", "cloud-run", "--no-history", "--workflow-run", "w1", "x"];
        let input = parse(&words).unwrap().start_input();
        assert_eq!((&input.inputs, input.mode.as_str()), (&json!({ "a": 1 }), "CLOUD_RUN"));
        assert_eq!(input.workflow_run_id.as_deref(), Some("w1"));
        assert!(!input.keep_history);
    }

    #[test]
    fn mistakes_are_told_before_the_command_starts() {
        for words in [
            &[][..],
            &["--agent-version", "1", "x"],
            &["--inputs", "{", "x"],
            &["--id", "7", "x"],
            &["--resume", "f", "x"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        assert!(parse(&["--drain-timeout", "5 minutes", "x"]).is_err());
        assert_eq!(parse(&["--drain-timeout", "90s", "x"]).unwrap().drain_timeout, Duration::from_secs(90));
    }
}
