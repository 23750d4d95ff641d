//! `runledger exec`: runs a command and records it as an execution.
//!
//! The command comes first. It is started before the server is asked, its output is copied by threads that wait for
//! nothing but the terminal, and its exit status is returned whatever became of the recording.
//!
//! ```text
//! command ── stdout ─ pump ─┬─► our stdout          (thread)
//!         └─ stderr ─ pump ─┼─► our stderr          (thread)
//!                           └─► queue ─► sender ──► server   (task)
//!                             memory, spool
//! ```

mod api;
mod args;
mod batch;
mod child;
mod deliver;
mod lines;
mod pump;
mod queue;
mod sender;
mod signals;
mod spool;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

use std::env;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Url;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

pub use args::Args;

use api::{Api, FinishInput, time_text};
use child::{Asked, End, Running};
use deliver::{drain, resume};
use queue::{Limits, Queue};
use sender::Sender;
use signals::{Signals, asks_to_end};
use spool::Header;

use super::notice::say;
use crate::clock;

/// Output that waits for the server takes at most this much memory; more goes to disk.
const MEMORY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A signal from the keyboard may arrive here just after the command has died of it.
const SIGNAL_RACE_TIME: Duration = Duration::from_millis(50);
/// A signal after the command's end leaves its outputs this much time to run dry.
const LEAVE_TIME: Duration = Duration::from_secs(1);
/// The exit status of a run that records nothing new and could not do its work.
const FAILURE: u8 = 1;

/// Runs the command and returns its exit status; or delivers a spool.
pub async fn run(args: Args) -> ExitCode {
    let code = match &args.resume {
        Some(path) => resume(&args, path).await,
        None => record(&args).await,
    };
    ExitCode::from(code)
}

async fn record(args: &Args) -> u8 {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            say(format_args!("cannot listen for signals: {error}"));
            return FAILURE;
        }
    };
    let server = match args.connection.url(None) {
        Ok(server) => server,
        Err(message) => {
            say(message);
            return FAILURE;
        }
    };
    let start = args.start_input();
    let header = Header { server: server.to_string(), start: start.clone(), first_seq: 0 };
    let queue = Arc::new(Queue::new(header, limits(args)));
    let environment =
        [("RUNLEDGER_EXECUTION_ID", start.id.to_string()), ("RUNLEDGER_SERVER", address(&server))];

    let (began, began_at) = (Instant::now(), clock::now());
    let running = child::start(&args.command, &environment, &queue);
    let ended_elsewhere = Arc::new(Notify::new());
    let sender = match api(args, &server) {
        Ok(api) => Some(tokio::spawn(
            Sender {
                api: Arc::new(api),
                queue: Arc::clone(&queue),
                start: start.clone(),
                resumed: false,
                ended_elsewhere: Arc::clone(&ended_elsewhere),
            }
            .run(),
        )),
        Err(message) => {
            say(format_args!("not recorded: {message}"));
            queue.discard();
            None
        }
    };
    let ended = match running {
        Ok(running) => {
            let stop = args.cancel_with_server.then_some(&*ended_elsewhere);
            wait(running, &mut signals, stop).await
        }
        Err(error) => {
            say(format_args!("cannot run {}: {error}", args.command[0].display()));
            Ended { end: End::not_started(&error), at: Instant::now() }
        }
    };
    // By the clock that nobody sets: the other one may have been put back meanwhile.
    let duration = ended.at.duration_since(began);
    queue.close(FinishInput {
        id: start.id,
        status: ended.end.status,
        result: Some(ended.end.result),
        error: ended.end.error,
        duration_ms: u64::try_from(duration.as_millis()).ok(),
        completed_at: time_text(began_at + duration),
    });
    if let Some(sender) = sender {
        drain(sender, &queue, &mut signals, args.drain_timeout, &server).await;
    }
    ended.end.exit_code
}

/// Waits for the command and its outputs, and passes signals on meanwhile.
async fn wait(running: Running, signals: &mut Signals, stop: Option<&Notify>) -> Ended {
    let Running { mut child, outputs, alive } = running;
    let mut asked: Option<(Signal, Instant)> = None;
    let exit = loop {
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        tokio::select! {
            exit = child.wait() => break exit,
            signal = signals.recv() => {
                if asks_to_end(signal) {
                    asked = Some((signal, Instant::now()));
                }
                if let Some(pid) = pid {
                    signals.pass_on(signal, pid);
                }
            }
            () = notified(stop) => {
                say("stopping the command");
                asked = Some((Signal::TERM, Instant::now()));
                if let Some(pid) = pid {
                    kill_process(pid, Signal::TERM).ok();
                }
            }
        }
    };
    let ended = Instant::now();
    if asked.is_none()
        && exit.as_ref().is_ok_and(|exit| child::by_signal(*exit).is_some_and(asks_to_end))
        && let Ok(signal) = timeout(SIGNAL_RACE_TIME, signals.recv()).await
        && asks_to_end(signal)
    {
        asked = Some((signal, ended));
    }
    drop(alive);
    let mut outputs = join_all(outputs);
    tokio::select! {
        _ = &mut outputs => {}
        // Not at once: it may be the echo of the signal that the command has just died of.
        _ = signals.recv() => drop(timeout(LEAVE_TIME, outputs).await),
    }
    let end = match exit {
        Ok(exit) => {
            End::ran(exit, asked.map(|(signal, at)| Asked { signal, before_end: ended.duration_since(at) }))
        }
        Err(error) => {
            say(format_args!("cannot wait for the command: {error}"));
            End::not_started(&error)
        }
    };
    Ended { end, at: ended }
}

/// How the command ended, and when.
struct Ended {
    end: End,
    at: Instant,
}

async fn notified(notify: Option<&Notify>) {
    match notify {
        Some(notify) => notify.notified().await,
        None => std::future::pending().await,
    }
}

fn api(args: &Args, server: &Url) -> Result<Api, String> {
    Ok(Api::new(args.connection.client(server)?))
}

fn limits(args: &Args) -> Limits {
    Limits {
        memory_bytes_max: MEMORY_BYTES_MAX,
        spool_bytes_max: args.spool_bytes_max,
        spool_folder: args.spool_dir.clone().unwrap_or_else(env::temp_dir),
    }
}

/// As a person writes it: without the slash that a URL has at its end.
fn address(server: &Url) -> String {
    server.as_str().trim_end_matches('/').to_owned()
}
