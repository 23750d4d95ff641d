//! The command: how it is started, and what its end means.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, PipeWriter};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::api::Status;
use super::lines::Stream;
use super::pump::Pump;
use super::queue::Queue;
use super::signals::asks_to_end;

/// A command that ends this soon after it was asked to has ended because of it.
const HEED_TIME: Duration = Duration::from_secs(10);
/// A shell's exit status for a command that was not found …
const NOT_FOUND: u8 = 127;
/// … and for one that was found but cannot be run.
const NOT_EXECUTABLE: u8 = 126;
/// A shell adds this to the number of the signal that killed a command.
const SIGNAL_BASE: u8 = 128;

/// A command that runs.
pub(super) struct Running {
    pub child: Child,
    pub outputs: Vec<oneshot::Receiver<()>>,
    /// Closed when the command has ended: the pumps then do not wait for whoever else has its outputs open.
    pub alive: PipeWriter,
}

/// Starts `command` with its outputs recorded in `queue` and copied to ours. Its input is ours. Of the environment it
/// gets `environment` in addition; a token that was given as an option is not in it.
pub(super) fn start(
    command: &[OsString],
    environment: &[(&str, String)],
    queue: &Arc<Queue>,
) -> io::Result<Running> {
    let [program, arguments @ ..] = command else { return Err(ErrorKind::InvalidInput.into()) };
    let (stdout, stdout_writer) = io::pipe()?;
    let (stderr, stderr_writer) = io::pipe()?;
    let (ended, alive) = io::pipe()?;
    // In a block of its own: the command's ends of the pipes must close here, or the outputs would never end.
    let child = {
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::inherit()).stdout(stdout_writer).stderr(stderr_writer);
        command.spawn()?
    };
    let stdout = Pump {
        stream: Stream::Stdout,
        source: stdout,
        target: File::from(io::stdout().as_fd().try_clone_to_owned()?),
        ended: ended.try_clone()?,
        queue: Arc::clone(queue),
    };
    let stderr = Pump {
        stream: Stream::Stderr,
        source: stderr,
        target: File::from(io::stderr().as_fd().try_clone_to_owned()?),
        ended,
        queue: Arc::clone(queue),
    };
    Ok(Running { child, outputs: vec![stdout.spawn()?, stderr.spawn()?], alive })
}

/// The last signal that asked the command to end, and how long before its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub signal: Signal,
    pub before_end: Duration,
}

/// How a command ended, in the words of a shell and of an execution.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct End {
    pub exit_code: u8,
    pub status: Status,
    pub error: Option<String>,
    pub result: Value,
}

impl End {
    /// It ran.
    pub(super) fn ran(exit: ExitStatus, asked: Option<Asked>) -> Self {
        let signal = exit.signal();
        let exit_code = match signal {
            Some(signal) => SIGNAL_BASE.saturating_add(u8::try_from(signal).unwrap_or_default()),
            // Unix keeps eight bits of it.
            None => exit.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
        };
        let error = match signal {
            Some(signal) => Some(format!("killed by signal {signal}")),
            None if exit_code != 0 => Some(format!("exit status {exit_code}")),
            None => None,
        };
        let status = if asked.is_some_and(|asked| heeded(exit_code, asked)) {
            Status::Cancelled
        } else if error.is_some() {
            Status::Failed
        } else {
            Status::Completed
        };
        let mut result = json!({ "exitCode": exit_code });
        if let Some(signal) = signal {
            result["signal"] = signal.into();
        }
        Self { exit_code, status, error, result }
    }

    /// It could not be started.
    pub(super) fn not_started(error: &io::Error) -> Self {
        let exit_code = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        Self {
            exit_code,
            status: Status::Failed,
            error: Some(format!("cannot start the command: {error}")),
            result: json!({ "exitCode": exit_code }),
        }
    }
}

/// The signal that a command died of, or says that it did (as shells do).
pub(super) fn by_signal(exit: ExitStatus) -> Option<Signal> {
    let number = exit.signal().or_else(|| exit.code()?.checked_sub(SIGNAL_BASE.into()))?;
    Signal::from_named_raw(number)
}

/// Whether a command ended because it was asked to. An interpreter at its prompt takes Ctrl-C as a key, and a service
/// takes a hang-up as "read your settings again": neither is cancelled by it when it ends in its own time.
fn heeded(exit_code: u8, asked: Asked) -> bool {
    let by_signal = i32::from(exit_code) == i32::from(SIGNAL_BASE) + asked.signal.as_raw();
    asks_to_end(asked.signal) && (by_signal || asked.signal == Signal::TERM || asked.before_end <= HEED_TIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn killed(signal: Signal) -> ExitStatus {
        ExitStatus::from_raw(signal.as_raw())
    }

    fn asked(signal: Signal, seconds: u64) -> Option<Asked> {
        Some(Asked { signal, before_end: Duration::from_secs(seconds) })
    }

    #[test]
    fn the_exit_status_decides() {
        let end = End::ran(exited(0), None);
        assert_eq!((end.exit_code, end.status, end.error), (0, Status::Completed, None));
        let end = End::ran(exited(3), None);
        assert_eq!((end.exit_code, end.status, end.error), (3, Status::Failed, Some("exit status 3".into())));
        assert_eq!(end.result, json!({ "exitCode": 3 }));
        let end = End::ran(killed(Signal::KILL), None);
        assert_eq!((end.exit_code, end.status), (137, Status::Failed));
        assert_eq!(end.error.as_deref(), Some("killed by signal 9"));
        assert_eq!(end.result, json!({ "exitCode": 137, "signal": 9 }));
    }

    #[test]
    fn a_command_that_ends_when_asked_to_is_cancelled() {
        for (exit, asked) in [
            (killed(Signal::INT), asked(Signal::INT, 0)),
            (exited(130), asked(Signal::INT, 3600)),
            (exited(0), asked(Signal::INT, 1)),
            (exited(0), asked(Signal::TERM, 3600)),
            (exited(1), asked(Signal::HUP, 2)),
        ] {
            assert_eq!(End::ran(exit, asked).status, Status::Cancelled, "{exit} {asked:?}");
        }
    }

    #[test]
    fn a_command_that_goes_on_after_a_signal_is_not() {
        assert_eq!(End::ran(exited(0), asked(Signal::INT, 60)).status, Status::Completed);
        assert_eq!(End::ran(exited(2), asked(Signal::HUP, 60)).status, Status::Failed);
        assert_eq!(End::ran(exited(0), asked(Signal::USR1, 0)).status, Status::Completed);
    }

    #[test]
    fn a_command_that_cannot_start_ends_as_in_a_shell() {
        assert_eq!(End::not_started(&ErrorKind::NotFound.into()).exit_code, 127);
        assert_eq!(End::not_started(&ErrorKind::PermissionDenied.into()).exit_code, 126);
    }
}
