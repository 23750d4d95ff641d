//! Starts and changes of executions, stored in groups: what waits together is committed together.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use uuid::Uuid;

use super::change::{Applied, Change, apply};
use super::{topics, topics_of};
use crate::auth::{Stamp, Viewer};
use crate::clock::{Timestamp, new_id, now};
use crate::domain::execution::is_final;
use crate::error::{Error, Result};
use crate::event::{Topic, Wakeups};
use crate::grouping::{self, Calls, Entrance, GroupFailure, StoreGroup, store_in_groups};
use crate::store::{ExecutionRow, NewExecution, NewProject, PayloadChange, Store, Writable, WriteTx};

/// Executions that one transaction writes, give or take one call; one with large values counts for several.
const GROUP_EXECUTIONS_MAX: usize = 1_000;
/// Large values that count for one execution more: 4 MiB of them fill a group.
const BYTES_PER_EXECUTION: usize = 4 * 1024;

/// The way in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer(Entrance<Write, Written>);

/// One task's end of the way in.
#[derive(Debug)]
pub struct Writes(Calls<Write, Written>);

/// One call.
#[derive(Debug)]
pub(super) enum Write {
    Start {
        stamp: Stamp,
        new: Box<NewExecution>,
    },
    /// With the tenant of each execution, as the viewer knows it.
    Change {
        viewer: Viewer,
        changes: Vec<(String, Change)>,
    },
}

/// What became of a call.
#[derive(Debug)]
pub(super) enum Written {
    Started(bool),
    Changed(Vec<Changed>),
}

/// An execution after a change.
#[derive(Debug)]
pub(super) struct Changed {
    pub row: ExecutionRow,
    /// By this change.
    pub has_ended: bool,
}

impl Writer {
    /// Makes both ends; each of the second is for a [`write_in_groups`].
    pub fn new(lanes: NonZeroUsize) -> (Self, Vec<Writes>) {
        let (entrance, calls) = grouping::entrance(lanes);
        (Self(entrance), calls.into_iter().map(Writes).collect())
    }

    /// Starts an execution; `false` when its id is taken, by whomever.
    pub(super) async fn start(&self, stamp: Stamp, new: NewExecution) -> Result<bool> {
        match self.0.store(new.row.id, Write::Start { stamp, new: Box::new(new) }).await? {
            Written::Started(is_new) => Ok(is_new),
            Written::Changed(_) => Err(Error::internal("a start was answered as a change")),
        }
    }

    /// Changes executions, all or none; gives them in the order of the changes.
    pub(super) async fn change(
        &self,
        viewer: Viewer,
        changes: Vec<(String, Change)>,
    ) -> Result<Vec<Changed>> {
        let first = changes.first().map_or_else(Uuid::nil, |(_, change)| change.id);
        match self.0.store(first, Write::Change { viewer, changes }).await? {
            Written::Changed(changed) => Ok(changed),
            Written::Started(_) => Err(Error::internal("a change was answered as a start")),
        }
    }
}

/// Stores starts and changes until every [`Writer`] is gone.
pub async fn write_in_groups(writes: Writes, store: Store, wakeups: Wakeups) {
    let weight = |payload: &PayloadChange| 1 + payload.bytes() / BYTES_PER_EXECUTION;
    let executions = |call: &Write| match call {
        Write::Start { new, .. } => weight(&new.payload),
        Write::Change { changes, .. } => changes.iter().map(|(_, change)| weight(&change.payload)).sum(),
    };
    store_in_groups(writes.0, Groups { store, wakeups }, executions, GROUP_EXECUTIONS_MAX).await;
}

#[derive(Debug)]
struct Groups {
    store: Store,
    wakeups: Wakeups,
}

impl StoreGroup for Groups {
    type Call = Write;
    type Answer = Written;

    async fn store(&self, calls: &[Write]) -> Result<Vec<Result<Written>>, GroupFailure> {
        let now = now();
        let tx = self.store.begin().await?;
        let starts: Vec<_> = calls
            .iter()
            .filter_map(|call| match call {
                Write::Start { stamp, new } => Some((stamp, &**new)),
                Write::Change { .. } => None,
            })
            .collect();
        let started = start(&tx, &starts, now).await?;
        let changes: Vec<_> = calls
            .iter()
            .filter_map(|call| match call {
                Write::Change { viewer, changes } => Some((viewer, changes.as_slice())),
                Write::Start { .. } => None,
            })
            .collect();
        let changed = change(&tx, &changes, now).await?;
        tx.commit().await.map_err(|error| GroupFailure { error, before_commit: false })?;

        let new = starts.iter().zip(&started).filter(|(_, is_new)| **is_new);
        let new = new.flat_map(|((stamp, new), _)| topics_of(stamp.tenant_id(), new.row.id));
        self.wakeups.announce(new.chain(changed.woken));
        let (mut started, mut changed) = (started.into_iter(), changed.answers.into_iter());
        let answer = |call: &Write| match call {
            Write::Start { .. } => started.next().map(|is_new| Ok(Written::Started(is_new))),
            Write::Change { .. } => changed.next().map(|changed| changed.map(Written::Changed)),
        };
        Ok(calls.iter().filter_map(answer).collect())
    }
}

/// Inserts what is to start; says of each whether it was new.
async fn start(tx: &WriteTx, starts: &[(&Stamp, &NewExecution)], now: Timestamp) -> Result<Vec<bool>> {
    if starts.is_empty() {
        return Ok(Vec::new());
    }
    let keys: BTreeMap<_, _> = starts
        .iter()
        .filter_map(|(stamp, new)| Some(((stamp.tenant_id(), new.row.project_key.as_deref()?), *stamp)))
        .collect();
    let project = |((_, key), stamp): (_, &Stamp)| NewProject::named_by_key(stamp.clone(), new_id(), key);
    tx.ensure_projects(keys.into_iter().map(project).collect(), now).await?;
    let new = starts.iter().map(|(stamp, new)| ((*stamp).clone(), (*new).clone())).collect();
    let mut inserted = tx.insert_executions(new).await?;
    // Of two that have both in common, the first.
    let mut take = |stamp: &Stamp, id| inserted.remove(&(stamp.tenant_id().to_owned(), id));
    let is_new: Vec<_> = starts.iter().map(|(stamp, new)| take(stamp, new.row.id)).collect();
    let rows: Vec<_> = starts
        .iter()
        .zip(&is_new)
        .filter(|(_, is_new)| **is_new)
        .map(|((stamp, new), _)| stamped(stamp, &new.row))
        .collect();
    tx.record_created(&rows.iter().collect::<Vec<_>>(), now).await?;
    Ok(is_new)
}

/// A row as it is inserted.
pub(super) fn stamped(stamp: &Stamp, row: &ExecutionRow) -> ExecutionRow {
    ExecutionRow {
        tenant_id: stamp.tenant_id().to_owned(),
        owner_id: stamp.owner_id().to_owned(),
        ..row.clone()
    }
}

/// What became of the changes of a group.
struct ChangedGroup {
    answers: Vec<Result<Vec<Changed>>>,
    woken: Vec<Topic>,
}

/// One execution of one call.
struct Step {
    execution: Writable<ExecutionRow>,
    applied: Option<Applied>,
}

/// Applies the changes of calls one after the other, each call's all or none.
async fn change(
    tx: &WriteTx,
    calls: &[(&Viewer, &[(String, Change)])],
    now: Timestamp,
) -> Result<ChangedGroup> {
    let keys = calls.iter().flat_map(|(_, changes)| changes.iter());
    let keys: Vec<_> = keys.map(|(tenant_id, change)| (tenant_id.clone(), change.id)).collect();
    if keys.is_empty() {
        return Ok(ChangedGroup { answers: Vec::new(), woken: Vec::new() });
    }
    let mut locked = tx.lock_executions(keys).await?;
    let mut answers: Vec<Result<Vec<Step>>> = Vec::with_capacity(calls.len());
    for (viewer, changes) in calls {
        let take = |(tenant_id, change): &(String, Change)| {
            let execution = locked.writable(viewer, &(tenant_id.clone(), change.id))?;
            let mut execution = execution.ok_or(Error::NotFound { what: "execution" })?;
            let applied = apply(change, execution.row_mut(), now)?;
            Ok(Step { execution, applied })
        };
        let steps: Result<Vec<_>> = changes.iter().map(take).collect();
        for step in steps.iter().flatten() {
            locked.replace(&step.execution);
        }
        answers.push(steps);
    }
    save(tx, &mut answers, now).await?;
    let applied = answers.iter().flatten().flatten().filter(|step| step.applied.is_some());
    let woken = applied.flat_map(|step| topics(step.execution.row())).collect();
    let changed = |step: Step| Changed {
        has_ended: step.applied.is_some() && is_final(step.execution.row().status),
        row: step.execution.into_row(),
    };
    let answers = answers.into_iter().map(|steps| Ok(steps?.into_iter().map(changed).collect())).collect();
    Ok(ChangedGroup { answers, woken })
}

/// Saves what was applied: the number of statements does not depend on how much it is.
async fn save(tx: &WriteTx, answers: &mut [Result<Vec<Step>>], now: Timestamp) -> Result<()> {
    let (mut alive, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for Step { execution, applied } in answers.iter().flatten().flatten() {
        let row = execution.row();
        match (is_final(row.status), applied) {
            (true, Some(_)) => ended.insert((row.tenant_id.clone(), row.id)),
            // A call that changes nothing is a runner that says it lives.
            (false, None) => alive.insert((row.tenant_id.clone(), row.id)),
            _ => false,
        };
    }
    let alive = alive.difference(&ended).cloned().collect();
    let sessions = tx.save_log_states(alive, ended.into_iter().collect(), now).await?;
    let (mut befores, mut afters) = (Vec::new(), Vec::new());
    let mut payloads: BTreeMap<(String, Uuid), (ExecutionRow, PayloadChange)> = BTreeMap::new();
    let mut newest = BTreeMap::new();
    for Step { execution, applied } in answers.iter_mut().flatten().flatten() {
        if is_final(execution.row().status)
            && let Some(totals) = sessions.get(&execution.row().id)
        {
            totals.note(execution.row_mut());
        }
        let Some(Applied { before, payload }) = applied else { continue };
        let row = execution.row();
        let key = (row.tenant_id.clone(), row.id);
        befores.push(&*before);
        afters.push(row.clone());
        if !payload.is_empty() {
            payloads
                .entry(key.clone())
                .and_modify(|(_, earlier)| earlier.add(payload.clone()))
                .or_insert_with(|| (row.clone(), payload.clone()));
        }
        newest.insert(key, execution.clone());
    }
    tx.record_changed(&befores.into_iter().zip(&afters).collect::<Vec<_>>(), now).await?;
    tx.save_payloads(payloads.values().map(|(row, payload)| (row, payload.clone())).collect()).await?;
    tx.save_executions(newest.into_values().collect()).await
}
