//! Doing the jobs that are due, a few at once, each under a lease that is renewed for as long as it takes.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::task::JoinSet;

use super::retry::wait_after;
use super::{Tools, delete, history, source, upload, waiting};
use crate::blob::{BlobError, Retry};
use crate::clock::now;
use crate::domain::limits::{
    JOB_LEASE_RENEWAL_SECONDS, JOB_LEASE_SECONDS, JOB_POLL_SECONDS, JOBS_AT_ONCE_MAX,
};
use crate::error::{Error, Result};
use crate::event::Topic;
use crate::monitor;
use crate::store::{JobKind, JobRow};

/// Why a job is not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// Storage did not do its part.
    Storage(BlobError),
    /// The database or the disk did not.
    Here(Error),
    /// It cannot be done with the settings of now; later, perhaps.
    Settings(&'static str),
    /// It takes long, and lets others come first.
    Unfinished,
}

impl From<BlobError> for Failure {
    fn from(error: BlobError) -> Self {
        Self::Storage(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

const CONTENDED_WAIT_MILLIS: u64 = 200;
/// How long settings are given to change.
const SETTINGS_WAIT: Duration = Duration::from_secs(3_600);

/// Works for ever.
pub async fn work(tools: Tools) {
    let mut signal = tools.wakeups.follow(Topic::Jobs);
    let mut running = JoinSet::new();
    loop {
        let free = JOBS_AT_ONCE_MAX.saturating_sub(running.len() as u64);
        if free == 0 {
            note_panic(running.join_next().await);
            continue;
        }
        let wait = match take(&tools, free).await {
            Ok((jobs, wait)) => {
                for job in jobs {
                    running.spawn(carry_out(tools.clone(), job));
                }
                wait
            }
            Err(error) => {
                tracing::warn!(?error, "could not look for work; trying again");
                Duration::from_secs(JOB_POLL_SECONDS)
            }
        };
        tokio::select! {
            _ = signal.wait() => {}
            () = tokio::time::sleep(wait) => {}
            ended = running.join_next(), if !running.is_empty() => note_panic(ended),
        }
    }
}

/// The lease of a job that panicked ends, and it is tried again.
fn note_panic(ended: Option<std::result::Result<(), tokio::task::JoinError>>) {
    if let Some(Err(panic)) = ended {
        tracing::error!(%panic, "a job has panicked");
    }
}

/// The jobs that are due, and how long it is until the next one is.
async fn take(tools: &Tools, free: u64) -> Result<(Vec<JobRow>, Duration)> {
    let node_id = tools.storage.node_id();
    let poll = Duration::from_secs(JOB_POLL_SECONDS);
    let now = now();
    let Some(next) = tools.store.next_job_at(node_id, now).await? else { return Ok((Vec::new(), poll)) };
    if next > now {
        return Ok((Vec::new(), (next - now).to_std().unwrap_or_default().min(poll)));
    }
    let jobs = tools.store.claim_jobs(node_id, now, lease_end(), free).await?;
    // Another server may be taking them at this moment.
    let wait = if jobs.is_empty() { Duration::from_millis(CONTENDED_WAIT_MILLIS) } else { Duration::ZERO };
    Ok((jobs, wait))
}

fn lease_end() -> crate::clock::Timestamp {
    now() + TimeDelta::seconds(JOB_LEASE_SECONDS)
}

async fn carry_out(tools: Tools, job: JobRow) {
    let done = tokio::select! {
        done = attempt(&tools, &job) => done,
        () = keep_lease(&tools, &job) => return,
    };
    if !matches!(done, Err(Failure::Unfinished)) {
        monitor::job_tried(waiting::word(job.kind), done.is_ok());
    }
    let Err(failure) = done else { return };
    if let Err(error) = put_back(&tools, &job, &failure).await {
        // Its lease ends, and it is tried again.
        tracing::warn!(?error, kind = ?job.kind, "could not put a job back");
    }
}

async fn attempt(tools: &Tools, job: &JobRow) -> Result<(), Failure> {
    match job.kind {
        JobKind::UploadGeneration => upload::upload(tools, job).await,
        JobKind::MoveSource => source::move_source(tools, job).await,
        JobKind::DeleteObjects | JobKind::DeleteVisualObjects => delete::delete_objects(tools, job).await,
        JobKind::DeleteExecutions => history::delete_executions(tools, job).await,
    }
}

/// Ends when the lease is lost: somebody else may be at the job by now, or it is gone.
async fn keep_lease(tools: &Tools, job: &JobRow) {
    let mut lost_at = tokio::time::Instant::now() + lease();
    loop {
        tokio::time::sleep(Duration::from_secs(JOB_LEASE_RENEWAL_SECONDS)).await;
        match tools.store.renew_lease(job, lease_end()).await {
            Ok(true) => lost_at = tokio::time::Instant::now() + lease(),
            Ok(false) => return,
            Err(_)
                if tokio::time::Instant::now() + Duration::from_secs(JOB_LEASE_RENEWAL_SECONDS) < lost_at => {
            }
            Err(_) => return,
        }
    }
}

fn lease() -> Duration {
    Duration::from_secs(JOB_LEASE_SECONDS.unsigned_abs())
}

async fn put_back(tools: &Tools, job: &JobRow, failure: &Failure) -> Result<()> {
    let (wait, reason) = match failure {
        Failure::Storage(error) => {
            let at_least = match error.retry() {
                Retry::Never => Duration::ZERO,
                Retry::Later { at_least } => at_least,
            };
            tracing::warn!(%error, kind = ?job.kind, attempts = job.attempts, "storage did not do its part");
            (wait_after(job.attempts).max(at_least), error.reason())
        }
        Failure::Here(error) => {
            tracing::warn!(?error, kind = ?job.kind, attempts = job.attempts, "a job failed");
            (wait_after(job.attempts), "the server could not do its part; its log says why".to_owned())
        }
        Failure::Settings(why) => {
            tracing::warn!(why, kind = ?job.kind, "a job waits for other settings");
            (SETTINGS_WAIT, (*why).to_owned())
        }
        Failure::Unfinished => (Duration::ZERO, "it goes on after others".to_owned()),
    };
    let run_at = now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
    let shown = tools.store.postpone_job(job, run_at, &reason).await?;
    tools.wakeups.announce(shown.map(|row| Topic::Generation(row.id)));
    Ok(())
}
