//! Group commit of log lines: a task collects the calls that wait and stores them in one transaction.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use uuid::Uuid;

use crate::clock::now;
use crate::domain::limits::{APPEND_GROUP_BYTES_MAX, APPEND_WAITING_BYTES_MAX, LIVE_BYTES_MAX};
use crate::domain::stream::StreamKind;
use crate::error::{Error, Result};
use crate::event::{AppendedHere, Topic, Wakeups};
use crate::grouping::{GroupFailure, Lanes, StoreGroup, store_calls};
use crate::monitor;
use crate::store::{Append, Appended, LogChunk, Store};

/// Calls that may wait; further ones wait to be let in.
const WAITING_CALLS_MAX: usize = 4_096;
/// Calls stored in one transaction.
const GROUP_CALLS_MAX: usize = 256;
/// Lines stored in one transaction, give or take one call.
const GROUP_LINES_MAX: usize = 20_000;

/// The way in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Appender {
    lanes: Lanes<Waiting>,
    /// One permit per byte that waits or is being stored.
    bytes: Arc<Semaphore>,
}

#[derive(Debug)]
struct Waiting {
    call: Append,
    answer: oneshot::Sender<Result<Appended>>,
    /// Given back when the call has been answered.
    bytes: OwnedSemaphorePermit,
}

/// One task's end of the way in.
#[derive(Debug)]
pub struct Calls(mpsc::Receiver<Waiting>);

impl Appender {
    /// Makes both ends; each of the second is for an [`append_in_groups`].
    pub fn new(lanes: NonZeroUsize) -> (Self, Vec<Calls>) {
        let (lanes, receivers) = Lanes::new(lanes, WAITING_CALLS_MAX);
        let bytes = Arc::new(Semaphore::new(APPEND_WAITING_BYTES_MAX.to_usize()));
        (Self { lanes, bytes }, receivers.into_iter().map(Calls).collect())
    }

    /// Stores a call's lines. Once this returns `Ok` they are durable.
    ///
    /// # Errors
    /// Those of [`Store::append_logs`]. After `UNAVAILABLE` the lines may or may not be stored: `first_seq` makes the
    /// retry safe.
    pub async fn append(&self, call: Append) -> Result<Appended> {
        let stopped = || Error::Unavailable { message: "the server is shutting down".into(), cause: None };
        // One that is larger than all that may wait can at least wait alone.
        let bytes = call.lines.bytes().min(APPEND_WAITING_BYTES_MAX.to_usize());
        let bytes = u32::try_from(bytes).map_err(Error::internal)?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.map_err(|_| stopped())?;
        let (answer, answered) = oneshot::channel();
        let lane = self.lanes.of(call.execution_id);
        lane.send(Waiting { call, answer, bytes }).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

/// Stores calls until every [`Appender`] is gone.
///
/// Lines are due to be archived after `archive_after`. What `gate` does not let in, because too much waits to be archived, is
/// refused rather than lost.
pub async fn append_in_groups(
    mut calls: Calls,
    store: Store,
    wakeups: Wakeups,
    archive_after: TimeDelta,
    gate: Gate,
) {
    let store = Archiving { store, archive_after };
    while let Some(first) = calls.0.recv().await {
        let mut size = Size::default();
        size.add(&first.call);
        let mut group = vec![first];
        while group.len() < GROUP_CALLS_MAX && !size.is_full() {
            let Ok(next) = calls.0.try_recv() else { break };
            size.add(&next.call);
            group.push(next);
        }
        let (admitted, refused) = gate.divide(group);
        if !refused.is_empty() {
            monitor::appends_refused(refused.len());
        }
        for waiting in refused {
            // The caller may have gone.
            let _ = waiting.answer.send(Err(too_far_behind()));
        }
        if !admitted.is_empty() {
            store_group(admitted, &store, &wakeups).await;
        }
    }
}

/// Which lines are taken. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<RwLock<Admitted>>);

/// Whose lines are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Admitted {
    /// Everybody's.
    #[default]
    All,
    /// Those of all executions but these, of which most waits.
    AllBut(HashSet<Uuid>),
    /// Nobody's.
    None,
}

impl Admitted {
    fn admits(&self, execution_id: &Uuid) -> bool {
        match self {
            Self::All => true,
            Self::AllBut(executions) => !executions.contains(execution_id),
            Self::None => false,
        }
    }
}

impl Gate {
    /// Those of a group's calls that are let in, and the others.
    fn divide(&self, group: Vec<Waiting>) -> (Vec<Waiting>, Vec<Waiting>) {
        let admitted = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if *admitted == Admitted::All {
            return (group, Vec::new());
        }
        group.into_iter().partition(|waiting| admitted.admits(&waiting.call.execution_id))
    }

    /// Lets in these; says whether that changed anything.
    pub(super) fn set(&self, admitted: Admitted) -> bool {
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let changed = *now != admitted;
        *now = admitted;
        changed
    }
}

fn too_far_behind() -> Error {
    Error::Unavailable {
        message: "too many log lines wait for object storage, which does not take them; try again later"
            .into(),
        cause: None,
    }
}

/// A store, and when what it stores is due to be archived.
#[derive(Debug)]
struct Archiving {
    store: Store,
    archive_after: TimeDelta,
}

/// How much a group has to store.
#[derive(Debug, Default)]
struct Size {
    lines: usize,
    bytes: usize,
}

impl Size {
    fn add(&mut self, call: &Append) {
        self.lines += call.lines.len();
        self.bytes += call.lines.bytes();
    }

    fn is_full(&self) -> bool {
        self.lines >= GROUP_LINES_MAX || self.bytes >= APPEND_GROUP_BYTES_MAX.to_usize()
    }
}

async fn store_group(group: Vec<Waiting>, store: &Archiving, wakeups: &Wakeups) {
    let mut calls = Vec::with_capacity(group.len());
    let mut answers = Vec::with_capacity(group.len());
    for Waiting { call, answer, bytes } in group {
        calls.push(call);
        answers.push((answer, bytes));
    }
    let began = Instant::now();
    let results = store_calls(store, &calls).await;
    note_appended(&calls, &results, began.elapsed());
    announce(&calls, &results, wakeups);
    for ((answer, _bytes), result) in answers.into_iter().zip(results) {
        // The caller may have gone; its lines are stored all the same.
        let _ = answer.send(result);
    }
}

/// Tells followers of what is new, in the order in which it was numbered.
fn announce(calls: &[Append], results: &[Result<Appended>], wakeups: &Wakeups) {
    let mut followed_elsewhere = Vec::new();
    for (call, result) in calls.iter().zip(results) {
        let Ok(appended) = result else { continue };
        if appended.lines == 0 {
            continue;
        }
        let topic = Topic::stream(call.lines.kind(), call.execution_id);
        if !wakeups.is_followed(&topic) || appended.bytes > LIVE_BYTES_MAX {
            followed_elsewhere.push(topic);
            continue;
        }
        let skipped = call.lines.len() - appended.lines;
        let numbered = call.lines.number(skipped, appended.next_seq - appended.lines as i64);
        let here = numbered.into_iter().map(|lines| AppendedHere {
            tenant_id: call.tenant_id.clone(),
            owner_id: appended.owner_id.clone(),
            chunk: LogChunk::appended(call.execution_id, call.lines.kind(), lines),
        });
        wakeups.announce_appended(topic, here.collect());
    }
    wakeups.announce(followed_elsewhere);
}

fn note_appended(calls: &[Append], results: &[Result<Appended>], took: Duration) {
    let (mut lines, mut bytes) = (0, 0);
    for (call, result) in calls.iter().zip(results) {
        if let Ok(appended) = result
            && call.lines.kind() == StreamKind::Log
        {
            lines += appended.lines;
            bytes += appended.bytes;
        }
    }
    monitor::lines_appended(lines, bytes, took);
}

impl StoreGroup for Archiving {
    type Call = Append;
    type Answer = Appended;

    async fn store(&self, calls: &[Append]) -> Result<Vec<Result<Appended>>, GroupFailure> {
        self.store.append_logs(calls, self.archive_after, now()).await
    }
}
