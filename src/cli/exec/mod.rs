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
mod backoff;
mod batch;
mod child;
mod lines;
mod notice;
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
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Url;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

pub use args::Args;

use api::{Api, FinishInput, StartInput, Status, time_text};
use args::token_source;
use child::{Asked, End, Running};
use notice::say;
use queue::{Limits, Queue};
use sender::{Outcome, Sender};
use signals::{Signals, asks_to_end};
use spool::{Header, Opened, Spool};

use crate::client::Client;
use crate::clock;

/// Output that waits for the server takes at most this much memory; more goes to disk.
const MEMORY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A signal from the keyboard may arrive here just after the command has died of it.
const SIGNAL_RACE_TIME: Duration = Duration::from_millis(50);
/// A delivery that goes on for longer than this after the command's end is worth a notice.
const DRAIN_NOTICE_TIME: Duration = Duration::from_secs(2);
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
    let server = match args.server(None) {
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

    let began = Instant::now();
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
    let end = match running {
        Ok(running) => {
            let stop = args.cancel_with_server.then_some(&*ended_elsewhere);
            wait(running, &mut signals, stop).await
        }
        Err(error) => {
            say(format_args!("cannot run {}: {error}", args.command[0].display()));
            End::not_started(&error)
        }
    };
    queue.close(finish_input(&start, &end, began.elapsed()));
    if let Some(sender) = sender {
        drain(sender, &queue, &mut signals, args.drain_timeout, &server).await;
    }
    end.exit_code
}

/// Waits for the command and its outputs, and passes signals on meanwhile.
async fn wait(running: Running, signals: &mut Signals, stop: Option<&Notify>) -> End {
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
        && let Ok(signal) = timeout(SIGNAL_RACE_TIME, signals.recv()).await
        && asks_to_end(signal)
    {
        asked = Some((signal, ended));
    }
    drop(alive);
    tokio::select! {
        _ = join_all(outputs) => {}
        _ = signals.recv() => {}
    }
    match exit {
        Ok(exit) => {
            End::ran(exit, asked.map(|(signal, at)| Asked { signal, before_end: ended.duration_since(at) }))
        }
        Err(error) => {
            say(format_args!("cannot wait for the command: {error}"));
            End::not_started(&error)
        }
    }
}

async fn notified(notify: Option<&Notify>) {
    match notify {
        Some(notify) => notify.notified().await,
        None => std::future::pending().await,
    }
}

/// Lets the sender finish for a while; then keeps what is left in a file. Says whether all was delivered.
async fn drain(
    mut sender: JoinHandle<Outcome>,
    queue: &Queue,
    signals: &mut Signals,
    limit: Duration,
    server: &Url,
) -> bool {
    let outcome = tokio::select! {
        outcome = &mut sender => outcome.ok(),
        () = sleep(limit) => None,
        () = async {
            sleep(DRAIN_NOTICE_TIME).await;
            let server = address(server);
            say(format_args!("the command has ended; still delivering to {server} (Ctrl-C to leave it for later)"));
            while !asks_to_end(signals.recv().await) {}
        } => None,
    };
    sender.abort();
    match outcome {
        Some(Outcome::Delivered) => return true,
        Some(Outcome::EndedElsewhere(_) | Outcome::NotStarted(_)) => return false,
        Some(Outcome::Refused(_) | Outcome::Unreadable(_)) | None => {}
    }
    match queue.keep() {
        Ok(path) => say(format_args!(
            "not all was delivered; the rest is kept: runledger exec --resume '{}'",
            path.display()
        )),
        Err(error) => say(format_args!("not all was delivered, and the rest cannot be kept: {error}")),
    }
    false
}

/// Delivers what an earlier run has left.
async fn resume(args: &Args, path: &Path) -> u8 {
    let opened = match Spool::open(path) {
        Ok(opened) => opened,
        Err(error) => {
            say(format_args!("cannot resume {}: {error}", path.display()));
            return FAILURE;
        }
    };
    let setup = args.server(Some(&opened.header.server)).and_then(|server| Ok((api(args, &server)?, server)));
    let ((api, server), mut signals) = match (setup, Signals::listen()) {
        (Ok(setup), Ok(signals)) => (setup, signals),
        (Err(message), _) => {
            say(format_args!("cannot resume {}: {message}", path.display()));
            return FAILURE;
        }
        (_, Err(error)) => {
            say(format_args!("cannot listen for signals: {error}"));
            return FAILURE;
        }
    };
    let Opened { header, end, .. } = &opened;
    let start = header.start.clone();
    let end = end.clone().unwrap_or_else(|| cut_off(&start));
    let queue = Arc::new(Queue::resume(opened, end, limits(args)));
    let sender = Sender {
        api: Arc::new(api),
        queue: Arc::clone(&queue),
        start: start.clone(),
        resumed: true,
        ended_elsewhere: Arc::default(),
    };
    let sender = tokio::spawn(sender.run());
    if drain(sender, &queue, &mut signals, args.drain_timeout, &server).await {
        say(format_args!("execution {} is delivered", start.id));
        0
    } else {
        FAILURE
    }
}

fn api(args: &Args, server: &Url) -> Result<Api, String> {
    let client = Client::new(server, token_source(args, server)?).map_err(|error| error.to_string())?;
    Ok(Api::new(client))
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

fn finish_input(start: &StartInput, end: &End, duration: Duration) -> FinishInput {
    FinishInput {
        id: start.id,
        status: end.status,
        result: Some(end.result.clone()),
        error: end.error.clone(),
        duration_ms: u64::try_from(duration.as_millis()).ok(),
        completed_at: time_text(clock::now()),
    }
}

/// The end of a recording whose process was killed before it knew the command's end.
fn cut_off(start: &StartInput) -> FinishInput {
    FinishInput {
        id: start.id,
        status: Status::Failed,
        result: None,
        error: Some("runledger exec was killed before the command ended; how it ended is not known".into()),
        duration_ms: None,
        completed_at: time_text(clock::now()),
    }
}
