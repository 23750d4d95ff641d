//! Delivers a recording: its start, its lines, its end.
//!
//! Promises: every line arrives once and in order, also when answers are lost, because lines are numbered here and the
//! server skips numbers that it has; a failure that may pass is tried again for as long as it takes (who started the
//! sender decides how long that is); a failure that will not pass ends the delivery with one notice. A line is sent at
//! once while there are few, and together with others (at most [`COALESCE_TIME`] late) while there are many. A command
//! that is silent is reported as alive every [`HEARTBEAT_TIME`].
//!
//! The command may add lines of its own to its execution (it knows the id). Those take numbers that this sender would
//! have used, and the server then skips as many of this sender's lines. The count of lines appended tells, and the
//! skipped ones are sent again with the next numbers. Only when an answer was lost as well is there no telling the two
//! cases apart; then lines of that one request may be missing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::api::{Api, Appended, FinishInput, StartInput, Status};
use super::batch::{Batch, Batches, Work};
use super::lines::LogLine;
use super::queue::Queue;
use crate::cli::backoff::Backoff;
use crate::cli::notice::say;
use crate::client::ClientError;
use crate::error::Code;

/// Requests with few lines start at least this far apart.
const COALESCE_TIME: Duration = Duration::from_millis(50);
/// A silent command is reported as alive this often.
pub(super) const HEARTBEAT_TIME: Duration = Duration::from_secs(15);
/// A server that is away for longer than this is worth a notice.
const AWAY_NOTICE_TIME: Duration = Duration::from_secs(3);
/// How often lines that were skipped for another writer's are sent again before giving up.
const RENUMBER_MAX: usize = 20;

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server has everything.
    Delivered,
    /// The execution had ended on the server before: it takes no more, now or later.
    EndedElsewhere(Option<Status>),
    /// The server will not take it as it is. What is left can be delivered another time.
    Refused(ClientError),
    /// The server does not let the execution start; nothing is recorded.
    NotStarted(ClientError),
    /// The queue could not be read.
    Unreadable(String),
}

/// The one that delivers what is in a queue.
pub(super) struct Sender {
    pub api: Arc<Api>,
    pub queue: Arc<Queue>,
    pub start: StartInput,
    /// Whether an earlier process may have delivered some of it.
    pub resumed: bool,
    /// Told when the execution turns out to have ended on the server.
    pub ended_elsewhere: Arc<Notify>,
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: std::io::Error) -> Outcome {
    Outcome::Unreadable(error.to_string())
}

/// An answer, and whether an earlier try may have been carried out too.
struct Tried<T> {
    answer: T,
    again: bool,
}

impl Sender {
    /// Delivers until the end. It is safe to drop it at any point: the queue knows what is left.
    pub(super) async fn run(self) -> Outcome {
        let outcome = self.deliver().await.unwrap_or_else(|outcome| outcome);
        match &outcome {
            Outcome::Delivered => self.queue.discard(),
            // Nothing will ever come of it; but what an earlier run saved is not this one's to throw away.
            Outcome::EndedElsewhere(_) | Outcome::NotStarted(_) if !self.resumed => self.queue.discard(),
            _ => {}
        }
        self.tell(&outcome);
        outcome
    }

    async fn deliver(&self) -> Result<Outcome, Outcome> {
        let mut seq = self.begin().await?;
        // Up to where the server is known to have lines; ahead of `seq` only when resuming.
        let mut known = 0;
        let mut batches = Batches::new(Arc::clone(&self.queue));
        let mut earliest = Instant::now();
        loop {
            loop {
                match timeout(HEARTBEAT_TIME, batches.ready()).await {
                    Ok(ready) => break ready.map_err(unreadable)?,
                    Err(_silent) => self.heartbeat().await?,
                }
            }
            let batch = match batches.take().await.map_err(unreadable)? {
                Work::Send(batch) => batch,
                Work::Finish(end) => return self.finish(end).await,
            };
            let after = seq + batch.lines.len() as u64;
            if after > known {
                sleep_until(earliest).await;
                if !batch.is_full() {
                    earliest = Instant::now() + COALESCE_TIME;
                }
                let next_seq = self.send(seq, &batch).await?;
                if self.resumed {
                    known = next_seq;
                    seq = after;
                } else {
                    seq = next_seq;
                }
            } else {
                seq = after;
            }
            self.queue.delivered(batch.blocks, seq - batch.lines_of_next_block);
        }
    }

    /// Starts the execution. Gives the number of the first line to send.
    async fn begin(&self) -> Result<u64, Outcome> {
        let started = self.persist(|| self.api.start(&self.start)).await.map_err(Outcome::NotStarted)?.answer;
        let mut status = started.status;
        if status == Status::Queued {
            status = self
                .persist(|| self.api.touch(self.start.id, true))
                .await
                .map_err(Outcome::NotStarted)?
                .answer;
        }
        if status.is_final() {
            return Err(Outcome::EndedElsewhere(Some(status)));
        }
        if self.resumed {
            return Ok(self.queue.first_seq());
        }
        self.queue.delivered(0, started.next_seq);
        Ok(started.next_seq)
    }

    /// Sends the lines of one batch. Gives the number of the next line.
    async fn send(&self, first_seq: u64, batch: &Batch) -> Result<u64, Outcome> {
        let mut first_seq = first_seq;
        let mut lines: &[LogLine] = &batch.lines;
        for _ in 0..RENUMBER_MAX {
            let sent = self.persist(|| self.api.append(self.start.id, first_seq, lines)).await;
            let Tried { answer: Appended { next_seq, appended }, again } = match sent {
                Ok(sent) => sent,
                Err(error) => return Err(self.refused(error).await),
            };
            let skipped = lines.len().saturating_sub(usize::try_from(appended).unwrap_or(usize::MAX));
            if skipped == 0 || again || self.resumed {
                return Ok(next_seq);
            }
            (first_seq, lines) = (next_seq, &lines[..skipped]);
        }
        Err(Outcome::Unreadable("another writer leaves no room between its lines".into()))
    }

    async fn heartbeat(&self) -> Result<(), Outcome> {
        match self.persist(|| self.api.touch(self.start.id, false)).await {
            Ok(Tried { answer: status, .. }) if status.is_final() => {
                Err(Outcome::EndedElsewhere(Some(status)))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(self.refused(error).await),
        }
    }

    async fn finish(&self, mut end: FinishInput) -> Result<Outcome, Outcome> {
        if let (Some(lost), Some(result)) = (self.queue.lost(), &mut end.result) {
            result["outputLost"] = lost.into();
        }
        match self.persist(|| self.api.finish(&end)).await {
            Ok(_) => Ok(Outcome::Delivered),
            Err(error) => Err(self.refused(error).await),
        }
    }

    /// Tells an execution that has ended, or is gone, from another refusal.
    async fn refused(&self, error: ClientError) -> Outcome {
        if error.is(Code::Conflict) || error.is(Code::NotFound) {
            match self.persist(|| self.api.status(self.start.id)).await {
                Ok(Tried { answer: None, .. }) => return Outcome::EndedElsewhere(None),
                Ok(Tried { answer: Some(status), .. }) if status.is_final() => {
                    return Outcome::EndedElsewhere(Some(status));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Outcome::Refused(error)
    }

    /// Makes a call that is idempotent until it gets through or is refused for good.
    async fn persist<T, F>(&self, call: impl Fn() -> F) -> Result<Tried<T>, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut backoff = Backoff::default();
        let began = Instant::now();
        let mut noticed = false;
        let mut again = false;
        loop {
            match call().await {
                Ok(answer) => {
                    if noticed {
                        say("the server is back");
                    }
                    return Ok(Tried { answer, again });
                }
                Err(error) if error.retryable => {
                    if !noticed && began.elapsed() >= AWAY_NOTICE_TIME {
                        say(format_args!("the server is away, the output is kept and sent later: {error}"));
                        noticed = true;
                    }
                    again = true;
                    sleep(backoff.wait(error.retry_after)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The one notice about how it ended, unless all is well.
    fn tell(&self, outcome: &Outcome) {
        let id = self.start.id;
        match outcome {
            Outcome::Delivered => {}
            Outcome::EndedElsewhere(status) => {
                let what = status.map_or("deleted", Status::word);
                say(format_args!("execution {id} is already {what} on the server; no more is recorded"));
                self.ended_elsewhere.notify_one();
            }
            Outcome::Refused(error) => {
                say(format_args!("the server takes no more of execution {id}: {error}"));
            }
            Outcome::NotStarted(error) => say(format_args!("not recorded: {error}")),
            Outcome::Unreadable(error) => {
                say(format_args!("the rest of execution {id} cannot be sent: {error}"));
            }
        }
    }
}
