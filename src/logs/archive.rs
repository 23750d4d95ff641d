//! Moving lines from the database to the one object of their log: after a while, when many wait, when an execution ends,
//! and when the server stops.
//!
//! A write always begins at the log's watermark, which is how many bytes the object is known to have. The watermark moves
//! in the transaction that takes the lines out of the database. So a crash in between repeats the same bytes at the same
//! place, and the object is whole at every moment.
//!
//! Nobody writes to an object but who holds the lease of its log, and no write begins so late that it could end after the
//! lease. One that storage neither took nor refused in time may still arrive: its log is left alone until the lease ends.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::StreamExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::append::{Admitted, Gate};
use crate::blob::{BlobError, Retry};
use crate::clock::{Timestamp, now};
use crate::domain::limits::{
    ARCHIVE_CLAIM_LOGS, ARCHIVE_DOOMED_SECONDS, ARCHIVE_LEASE_MARGIN_SECONDS, ARCHIVE_LEASE_SECONDS,
    ARCHIVE_POLL_MILLISECONDS, ARCHIVE_RETRY_SECONDS_MAX, ARCHIVE_STOP_SECONDS_MAX, ARCHIVE_WRITE_BYTES_MAX,
    ARCHIVE_WRITE_SECONDS_MAX, ARCHIVES_AT_ONCE_MAX,
};
use crate::domain::object::Place;
use crate::domain::stream::StreamKind;
use crate::error::{Error, Result};
use crate::monitor;
use crate::storage::Storage;
use crate::store::{Archived, Behind, LogStream, Release, Store, WaitingChunk};

/// Logs that nobody has planned to archive, found at the start, that one transaction plans.
const PLAN_LOGS: u64 = 500;
/// How often it is looked how much waits.
const BEHIND_INTERVAL: Duration = Duration::from_secs(5);
/// The wait after a first failure of storage; it doubles with each.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// A log that could not be written is tried with half as much text, down to one of 2⁵: what a slow storage does not take in
/// time as a whole it may take piece by piece.
const HALVINGS_MAX: u32 = 5;
/// A storage that can only rewrite objects is asked to when so large a part of the object waits: then all rewriting
/// together costs a fixed number of times the log.
const REWRITE_WHEN_ONE_OF: i64 = 4;
/// How long a log is left alone for which it waits, unless so much comes, or its end.
const REWRITE_WAIT: TimeDelta = TimeDelta::minutes(10);
/// While half of what may wait does, a log of which more than one of so many parts of it waits takes no lines: one that
/// storage does not take keeps no other from being written.
const MOST_WAITS_ONE_OF: u64 = 128;
/// Logs of which so much waits are fewer than this.
const MOST_WAITS_LOGS: u64 = 1_000;

/// What an archiver works with.
#[derive(Debug)]
pub struct Archiver {
    pub store: Store,
    pub storage: Storage,
    /// How old lines may get before they are archived.
    pub archive_after: TimeDelta,
    /// More waiting text than this closes the gate; half of it closes it for the logs of which most waits.
    pub waiting_bytes_max: u64,
    pub gate: Gate,
    /// Shows how much waits, and why.
    pub health: watch::Sender<Health>,
}

/// How archiving stands.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// What waits.
    pub behind: Behind,
    /// Why the last write failed; `None` when it did not.
    pub failure: Option<String>,
    /// Whose lines are taken; the others' are refused because too much waits.
    pub admitted: Admitted,
}

/// What became of the lines of one log.
enum Outcome {
    Archived(Archived),
    /// It is given back; nothing went wrong.
    Put(LogStream, Option<Timestamp>),
    /// So is one whose object is written again when the log has so many bytes.
    PutOff(LogStream, i64),
    /// Storage did not take them; not to be tried again before then.
    Failed(LogStream, BlobError, Timestamp),
    /// The database did not do its part; the lease ends by itself.
    Stuck(Error),
}

/// What became of a round.
enum Round {
    /// Lines were archived, or logs put off: there may be more.
    Moved,
    Idle,
    StorageFailed,
}

impl Archiver {
    /// Archives until `stopped` becomes true; then everything that waits, for [`ARCHIVE_STOP_SECONDS_MAX`].
    pub async fn run(self, stopped: watch::Receiver<bool>) {
        // How much waits is looked at by itself: a storage that hangs must not keep the gate open.
        tokio::join!(self.archive(stopped.clone()), self.watch_how_much_waits(stopped));
    }

    async fn archive(&self, mut stopped: watch::Receiver<bool>) {
        self.prepare().await;
        let mut pause = Duration::ZERO;
        while !*stopped.borrow() {
            let wait = match self.round(now(), false).await {
                Ok(Round::Moved) => {
                    pause = Duration::ZERO;
                    continue;
                }
                Ok(Round::Idle) => Duration::from_millis(ARCHIVE_POLL_MILLISECONDS),
                Ok(Round::StorageFailed) => {
                    let longest = Duration::from_secs(ARCHIVE_RETRY_SECONDS_MAX);
                    pause = (pause * 2).clamp(RETRY_MIN, longest);
                    pause
                }
                Err(error) => {
                    tracing::warn!(?error, "could not archive log lines; trying again");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        }
        let rest = Duration::from_secs(ARCHIVE_STOP_SECONDS_MAX);
        if timeout(rest, self.archive_the_rest()).await.is_err() {
            tracing::warn!("some log lines are archived after the next start");
        }
    }

    /// Takes over what an earlier process has left, and lines of a time before there were objects.
    async fn prepare(&self) {
        if let Err(error) = self.take_over().await {
            tracing::warn!(?error, "could not plan to archive log lines");
        }
    }

    async fn take_over(&self) -> Result<()> {
        match self.storage.place_of_objects(&self.store) {
            // Nobody else has this disk, and what an earlier process wrote is written.
            Some(Place::Local) => self.store.forget_log_leases().await?,
            // Whoever had this data folder, of which one process has the lock, is gone.
            Some(Place::Cloud) => {
                let until = now() + TimeDelta::seconds(ARCHIVE_LEASE_MARGIN_SECONDS);
                self.store.shorten_log_leases(self.storage.node_id(), until).await?;
            }
            None => {}
        }
        while self.store.plan_archiving(now(), PLAN_LOGS).await? > 0 {}
        Ok(())
    }

    /// Whatever waits, due or not.
    async fn archive_the_rest(&self) {
        let late = now() + Ord::max(self.archive_after, REWRITE_WAIT) + TimeDelta::seconds(1);
        while let Ok(Round::Moved) = self.round(late, true).await {}
    }

    async fn watch_how_much_waits(&self, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            self.look_how_much_waits().await;
            tokio::select! {
                () = sleep(BEHIND_INTERVAL) => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        }
    }

    async fn look_how_much_waits(&self) {
        let behind = match self.storage.place_of_objects(&self.store) {
            Some(_) => self.store.archive_behind().await,
            // Lines stay in the database: they wait for nothing.
            None => Ok(Behind::default()),
        };
        let looked = match behind {
            Ok(behind) => self.admitted(&behind).await.map(|admitted| (behind, admitted)),
            Err(error) => Err(error),
        };
        let (behind, admitted) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                tracing::warn!(?error, "could not look how many log lines wait to be archived");
                return;
            }
        };
        if self.gate.set(admitted.clone()) {
            tracing::warn!(?admitted, bytes = behind.bytes, "whose log lines are taken has changed");
        }
        let lag = behind.waiting_since.map_or(0, |since| (now() - since).num_milliseconds().max(0));
        monitor::archive_behind(behind.logs, behind.bytes, lag as f64 / 1e3);
        self.health.send_modify(|health| {
            health.behind = behind;
            health.admitted = admitted;
        });
    }

    /// Whose lines are taken while so much waits.
    async fn admitted(&self, behind: &Behind) -> Result<Admitted> {
        let waiting = behind.bytes.cast_unsigned();
        if waiting > self.waiting_bytes_max {
            return Ok(Admitted::None);
        }
        if waiting <= self.waiting_bytes_max / 2 {
            return Ok(Admitted::All);
        }
        let most = (self.waiting_bytes_max / MOST_WAITS_ONE_OF).cast_signed();
        let logs = self.store.logs_far_behind(most, MOST_WAITS_LOGS).await?;
        Ok(if logs.is_empty() { Admitted::All } else { Admitted::AllBut(logs.into_iter().collect()) })
    }

    /// Archives some of the logs that are due at `due`; before the server `stops`, also what else would wait for more.
    async fn round(&self, due: Timestamp, stops: bool) -> Result<Round> {
        let now = now();
        if self.storage.place_of_objects(&self.store).is_none() || !self.store.has_due_logs(due, now).await? {
            return Ok(Round::Idle);
        }
        let until = now + TimeDelta::seconds(ARCHIVE_LEASE_SECONDS);
        let node_id = self.storage.node_id();
        let claimed = self.store.claim_logs(node_id, due, now, until, ARCHIVE_CLAIM_LOGS).await?;
        if claimed.is_empty() {
            return Ok(Round::Idle);
        }
        let new = claimed.iter().filter(|stream| stream.archived_bytes == 0);
        let doomed = self.store.doomed_logs(new).await?;
        let (doomed, claimed): (Vec<_>, Vec<_>) =
            claimed.into_iter().partition(|stream| doomed.contains(&(stream.kind, stream.execution_id)));
        let later = now + TimeDelta::seconds(ARCHIVE_DOOMED_SECONDS);
        let (done, outcomes) = mpsc::unbounded_channel();
        let doomed = doomed.into_iter().map(|stream| Outcome::Put(stream, Some(later)));
        // There are no more of them than logs are claimed.
        let tell = move |outcome| _ = done.send(outcome);
        doomed.for_each(&tell);
        let writing = async move {
            let writing = futures_util::stream::iter(claimed).map(|stream| self.write(stream, stops));
            writing.buffer_unordered(ARCHIVES_AT_ONCE_MAX).for_each(async |outcome| tell(outcome)).await;
            drop(tell);
            Ok(())
        };
        // Beside each other: a write that nobody polls keeps its connection to the database, of which noting needs one.
        let ((), any_moved) = tokio::try_join!(writing, self.note_all(outcomes))?;
        // What is wrong with one log keeps no other waiting.
        Ok(if any_moved { Round::Moved } else { Round::StorageFailed })
    }

    /// Writes down what becomes of logs, a few at a time: appends wait for that on SQLite, and nobody waits for the slowest
    /// write. Says whether anything has moved.
    async fn note_all(&self, mut outcomes: mpsc::UnboundedReceiver<Outcome>) -> Result<bool> {
        let mut noted = Vec::new();
        let mut any_moved = false;
        while let Some(outcome) = outcomes.recv().await {
            noted.push(outcome);
            if noted.len() >= ARCHIVES_AT_ONCE_MAX {
                any_moved |= self.note(std::mem::take(&mut noted)).await?;
            }
        }
        Ok(any_moved | self.note(noted).await?)
    }

    /// Writes down what became of some logs; says whether anything has moved.
    async fn note(&self, outcomes: Vec<Outcome>) -> Result<bool> {
        if outcomes.is_empty() {
            return Ok(false);
        }
        let (mut archived, mut released) = (Vec::new(), Vec::new());
        let mut failures = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Archived(lines) => archived.push(lines),
                Outcome::Put(stream, due_at) => {
                    released.push(Release { stream, due_at, from_bytes: None, has_failed: false });
                }
                Outcome::PutOff(stream, from_bytes) => {
                    let (due_at, from_bytes) = (Some(now() + REWRITE_WAIT), Some(from_bytes));
                    released.push(Release { stream, due_at, from_bytes, has_failed: false });
                }
                Outcome::Failed(stream, error, due_at) => {
                    failures.push(error);
                    let due_at = Some(due_at);
                    released.push(Release { stream, due_at, from_bytes: None, has_failed: true });
                }
                Outcome::Stuck(error) => tracing::warn!(?error, "could not read waiting log lines"),
            }
        }
        let any_moved = archived.len() + released.len() > failures.len();
        if !archived.is_empty() {
            let logs = archived.iter().filter(|archived| archived.stream.kind == StreamKind::Log);
            let lines: i64 = logs.map(Archived::lines).sum();
            self.store.lines_archived(archived, self.archive_after, now()).await?;
            monitor::lines_archived(lines.unsigned_abs());
        }
        self.store.release_logs(released).await?;
        let Some(failure) = failures.last() else {
            if any_moved {
                self.health.send_if_modified(|health| health.failure.take().is_some());
            }
            return Ok(any_moved);
        };
        tracing::warn!(error = %failure, logs = failures.len(), "storage did not take log lines; trying again");
        self.health.send_modify(|health| health.failure = Some(failure.reason()));
        Ok(any_moved)
    }

    /// Writes the next lines of a log to its object.
    async fn write(&self, stream: LogStream, stops: bool) -> Outcome {
        let Some(place) = stream.object_place.or_else(|| self.storage.place_of_objects(&self.store)) else {
            return Outcome::Put(stream, Some(now() + self.archive_after));
        };
        let from_bytes = rewrite_from(stream.archived_bytes);
        if self.storage.rewrites(place) && !stream.ended && !stops && stream.byte_count < from_bytes {
            return Outcome::PutOff(stream, from_bytes);
        }
        if stream.archive_leased_until.is_none_or(|until| now() > until - write_time()) {
            return Outcome::Put(stream, Some(now()));
        }
        let halvings = u32::try_from(stream.archive_failures).unwrap_or(HALVINGS_MAX).min(HALVINGS_MAX);
        let chunks = match self.store.waiting_chunks(&stream, ARCHIVE_WRITE_BYTES_MAX >> halvings).await {
            Ok(chunks) if chunks.is_empty() => return Outcome::Put(stream, None),
            Ok(chunks) => chunks,
            Err(error) => return Outcome::Stuck(error),
        };
        let mut chunks = chunks;
        let lines: String = chunks.iter_mut().map(WaitingChunk::take_body).collect();
        let offset = u64::try_from(stream.archived_bytes).unwrap_or(0);
        let writing =
            self.storage.append_log(place, (stream.kind, stream.execution_id), offset, lines.into());
        match timeout(Duration::from_secs(ARCHIVE_WRITE_SECONDS_MAX), writing).await {
            Ok(Ok(())) => Outcome::Archived(Archived { stream, place, chunks }),
            Ok(Err(error)) => {
                let due_at = now() + retry_after(&error, stream.archive_failures);
                Outcome::Failed(stream, error, due_at)
            }
            Err(_elapsed) => {
                self.storage.gave_up_appending(place);
                let error = BlobError::unavailable("storage did not take log lines in time");
                let due_at = stream.archive_leased_until.unwrap_or_else(now);
                Outcome::Failed(stream, error, due_at)
            }
        }
    }
}

/// How many bytes a log has when an object of so many is written again.
fn rewrite_from(archived_bytes: i64) -> i64 {
    archived_bytes + (archived_bytes + REWRITE_WHEN_ONE_OF - 1) / REWRITE_WHEN_ONE_OF
}

/// What must be left of a lease when a write begins.
fn write_time() -> TimeDelta {
    let write = i64::try_from(ARCHIVE_WRITE_SECONDS_MAX).unwrap_or(ARCHIVE_LEASE_SECONDS);
    TimeDelta::seconds(write + ARCHIVE_LEASE_MARGIN_SECONDS)
}

/// How long a log waits after a failure, the first or a later one.
fn retry_after(error: &BlobError, failures: i32) -> TimeDelta {
    let longest = Duration::from_secs(ARCHIVE_RETRY_SECONDS_MAX);
    let wait = match error.retry() {
        Retry::Never => longest,
        Retry::Later { at_least } => {
            let doubled = RETRY_MIN * 2_u32.pow(u32::try_from(failures).unwrap_or(0).min(16));
            doubled.min(longest).max(at_least)
        }
    };
    TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX)
}
