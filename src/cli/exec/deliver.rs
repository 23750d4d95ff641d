//! The end of a recording: what is left is delivered, or kept; and what was kept is delivered later.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::api::{FinishInput, StartInput, Status, time_text};
use super::args::Args;
use super::queue::Queue;
use super::sender::{Outcome, Sender};
use super::signals::{Signals, asks_to_end};
use super::spool::{Opened, Spool};
use super::{FAILURE, address, api, limits};
use crate::cli::notice::say;
use crate::clock;

/// A delivery that goes on for longer than this after the command's end is worth a notice.
const DRAIN_NOTICE_TIME: Duration = Duration::from_secs(2);

/// Lets the sender finish for a while; then keeps what is left in a file. Says whether all was delivered.
pub(super) async fn drain(
    mut sender: JoinHandle<Outcome>,
    queue: &Queue,
    signals: &mut Signals,
    limit: Duration,
    server: &Url,
) -> bool {
    let outcome = tokio::select! {
        outcome = &mut sender => Some(outcome.unwrap_or_else(|error| Outcome::Unreadable(error.to_string()))),
        () = sleep(limit) => None,
        () = async {
            sleep(DRAIN_NOTICE_TIME).await;
            let server = address(server);
            let seconds = limit.as_secs();
            say(format_args!(
                "the command has ended; delivering to {server} for up to {seconds} s (Ctrl-C to leave it for later)"
            ));
            signals.forget();
            while !asks_to_end(signals.recv().await) {}
        } => None,
    };
    let outcome = match outcome {
        Some(outcome) => Some(outcome),
        None => {
            // Until it has really stopped, it may still report something as delivered.
            sender.abort();
            sender.await.ok()
        }
    };
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
pub(super) async fn resume(args: &Args, path: &Path) -> u8 {
    let opened = match Spool::open(path) {
        Ok(opened) => opened,
        Err(error) => {
            say(format_args!("cannot resume {}: {error}", path.display()));
            return FAILURE;
        }
    };
    let setup =
        args.connection.url(Some(&opened.header.server)).and_then(|server| Ok((api(args, &server)?, server)));
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
