//! The process that parses: how it is started, what it may use, and what its end means.

use std::io::{self, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::{Language, parse};
use crate::domain::code::Problem;
use crate::domain::limits::{
    SOURCE_BYTES_MAX, SOURCE_PARSE_CPU_SECONDS_MAX, SOURCE_PARSE_MEMORY_BYTES_MAX, SOURCE_PROBLEMS_MAX,
};
use crate::error::{Error, Result};

/// The hidden command of `runledger` that this module runs.
pub const COMMAND: &str = "check-source";
/// The longest answer: as many problems as there may be, each with its quote.
const ANSWER_BYTES_MAX: u64 = SOURCE_PROBLEMS_MAX as u64 * 1024;

/// Starts a process, gives it the source, and takes its answer.
pub(super) async fn ask(language: Language, source: &str) -> Result<Vec<Problem>> {
    let mut child = Command::new(program().map_err(unavailable)?)
        .args([COMMAND, language.name()])
        // It gets nothing but the source: no secrets, no folder.
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(unavailable)?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::internal("a child process has no pipes"));
    };
    let give = async move {
        // A parser that dies reads no more; its end tells.
        let _ = input.write_all(source.as_bytes()).await;
    };
    let mut answer = Vec::new();
    let mut output = output.take(ANSWER_BYTES_MAX);
    let ((), read) = tokio::join!(give, output.read_to_end(&mut answer));
    read.map_err(unavailable)?;
    drop(output);
    judge(child.wait().await.map_err(unavailable)?, &answer)
}

/// What the child process does: reads a source, prints its problems as JSON.
///
/// # Errors
/// When the language is not known, or its input or output breaks.
pub fn run(language: &str) -> Result<()> {
    for (resource, max) in [
        (Resource::Cpu, SOURCE_PARSE_CPU_SECONDS_MAX),
        (Resource::As, SOURCE_PARSE_MEMORY_BYTES_MAX),
        (Resource::Core, 0),
    ] {
        // A system that does not know one of them has the others, and the parent's patience.
        let _ = setrlimit(resource, Rlimit { current: Some(max), maximum: Some(max) });
    }
    let language = Language::named(language).ok_or_else(|| Error::internal("no such language"))?;
    let mut source = String::new();
    io::stdin().take(SOURCE_BYTES_MAX.max).read_to_string(&mut source).map_err(Error::internal)?;
    let answer = serde_json::to_vec(&parse::check(language, &source)).map_err(Error::internal)?;
    io::stdout().write_all(&answer).map_err(Error::internal)
}

fn judge(status: ExitStatus, answer: &[u8]) -> Result<Vec<Problem>> {
    if status.success() {
        return serde_json::from_slice(answer).map_err(Error::internal);
    }
    match status.signal() {
        // Out of time, out of memory, or a fault of the parser: this source is not for it.
        Some(_) => Ok(vec![Problem {
            message: "the parser cannot read this source within its limits".into(),
            line: 1,
            column: 1,
        }]),
        None => Err(Error::internal(format!("the process that parses ended with {status}"))),
    }
}

/// This program, also after its file has been replaced by a newer one.
fn program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: io::Error) -> Error {
    Error::Unavailable {
        message: "the source cannot be checked right now; try again".into(),
        cause: Some(error.to_string()),
    }
}
