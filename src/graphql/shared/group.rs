//! Who is like whom.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::run::{Follower, Run};
use crate::auth::{Role, Scope, Viewer};
use crate::error::Result;
use crate::graphql::guard::{Params, Sameness};

/// What makes two subscriptions alike: who may read what, and what they ask for.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Likeness {
    reads: Scope,
    role: Role,
    sameness: Sameness,
}

impl Likeness {
    pub(super) fn of(viewer: &Viewer, sameness: Sameness) -> Self {
        Self { reads: viewer.reads(), role: viewer.role(), sameness }
    }
}

/// All groups of subscriptions that are alike, and have caught up once. Cheap to clone.
#[derive(Clone, Default)]
pub(in crate::graphql) struct Groups(Arc<Mutex<HashMap<Arc<Likeness>, Arc<Group>>>>);

/// Subscriptions that are alike.
pub(super) struct Group {
    /// Those of one of them, as JSON: the others' differ only in where they began.
    variables: Box<str>,
    /// Changed under the lock of all groups.
    members: AtomicUsize,
    run: Mutex<Option<Arc<Run>>>,
}

/// A place in a group, until it is dropped.
pub(super) struct Membership {
    groups: Groups,
    likeness: Arc<Likeness>,
    group: Arc<Group>,
}

/// How a member goes on.
pub(super) enum Joined {
    /// There is nobody else.
    Alone,
    /// There is an execution that others follow.
    Others(Follower),
    /// There are others, but no shared execution: this member's becomes it.
    First(Arc<Run>, Follower),
}

impl Groups {
    pub(super) fn enter(&self, likeness: Likeness, variables: Box<str>) -> Membership {
        let likeness = Arc::new(likeness);
        let group = match lock(&self.0).entry(Arc::clone(&likeness)) {
            Entry::Occupied(occupied) => {
                occupied.get().members.fetch_add(1, Ordering::Relaxed);
                Arc::clone(occupied.get())
            }
            Entry::Vacant(vacant) => {
                let group = Group { variables, members: AtomicUsize::new(1), run: Mutex::default() };
                Arc::clone(vacant.insert(Arc::new(group)))
            }
        };
        Membership { groups: self.clone(), likeness, group }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut groups = lock(&self.groups.0);
        if self.group.members.fetch_sub(1, Ordering::Relaxed) == 1 {
            groups.remove(&self.likeness);
        }
    }
}

impl Membership {
    pub(super) fn group(&self) -> Arc<Group> {
        Arc::clone(&self.group)
    }

    /// A request like those of the members.
    ///
    /// # Errors
    /// As of [`Sameness::params`].
    pub(super) fn params(&self) -> Result<Params> {
        self.likeness.sameness.params(&self.group.variables)
    }

    /// Joins the others, from a member that stands at this line.
    pub(super) fn join(&self, stands_at: i64) -> Joined {
        let mut run = lock(&self.group.run);
        if let Some(run) = &*run {
            return Joined::Others(run.follow());
        }
        if self.group.members.load(Ordering::Relaxed) < 2 {
            return Joined::Alone;
        }
        let first = Arc::new(Run::new(stands_at));
        let follower = first.follow();
        *run = Some(Arc::clone(&first));
        Joined::First(first, follower)
    }
}

impl Group {
    /// Ends a run: nobody can join it any more.
    pub(super) fn end(&self, run: &Run) {
        let mut current = lock(&self.run);
        // By now another one may have begun.
        current.take_if(|current| std::ptr::eq(&**current, run));
        drop(current);
        run.end();
    }

    /// Ends a run that nobody follows; `false` when somebody does.
    pub(super) fn end_if_deserted(&self, run: &Run) -> bool {
        let mut current = lock(&self.run);
        let is_deserted = run.is_deserted();
        if is_deserted {
            current.take_if(|current| std::ptr::eq(&**current, run));
        }
        is_deserted
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under these locks can leave them half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
