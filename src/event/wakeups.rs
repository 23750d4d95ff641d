//! Wake-ups inside one process.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::domain::stream::StreamKind;

/// How often a follower looks by itself, should a wake-up from another process have been lost.
pub const SLOW_POLL_SECONDS: u64 = 30;

/// What can be followed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The executions of a tenant.
    Tenant(String),
    /// The executions of all tenants: woken with each of them.
    EveryTenant,
    /// One execution's state.
    Execution(Uuid),
    /// One execution's log.
    Log(Uuid),
    /// One execution's visual session.
    Visual(Uuid),
    /// One generation's upload.
    Generation(Uuid),
    /// Work in the background.
    Jobs,
}

impl Topic {
    /// A stream of an execution.
    pub fn stream(kind: StreamKind, execution_id: Uuid) -> Self {
        match kind {
            StreamKind::Log => Self::Log(execution_id),
            StreamKind::Visual => Self::Visual(execution_id),
        }
    }
}

/// Where followers register and changes are announced. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Wakeups(Arc<Hub>);

#[derive(Debug, Default)]
struct Hub {
    followers: Mutex<HashMap<Topic, watch::Sender<()>>>,
    outbox: Outbox,
}

/// What other processes are still to be told.
#[derive(Debug)]
pub(super) struct Outbox {
    topics: Mutex<HashSet<Topic>>,
    filled: Notify,
    /// Whether nothing is left to tell.
    told: watch::Sender<bool>,
}

impl Wakeups {
    /// Registers a follower. Changes announced from here on will wake it.
    pub fn follow(&self, topic: Topic) -> Wakeup {
        let changed = lock(&self.0.followers)
            .entry(topic.clone())
            .or_insert_with(|| watch::Sender::new(()))
            .subscribe();
        Wakeup { hub: Arc::clone(&self.0), topic, changed: Some(changed) }
    }

    /// Wakes the followers of `topics`, here and in other processes. Call it after the commit.
    pub fn announce(&self, topics: impl IntoIterator<Item = Topic>) {
        let topics: HashSet<_> = topics.into_iter().collect();
        self.wake(&topics);
        self.0.outbox.add(topics);
    }

    /// Wakes the followers of `topics` in this process.
    pub(super) fn wake<'t>(&self, topics: impl IntoIterator<Item = &'t Topic>) {
        let followers = lock(&self.0.followers);
        let wake = |topic: &Topic| followers.get(topic).map(|sender| sender.send_replace(()));
        for topic in topics {
            wake(topic);
            if matches!(topic, Topic::Tenant(_)) {
                wake(&Topic::EveryTenant);
            }
        }
    }

    /// Wakes everybody in this process: something may have been missed.
    pub(super) fn wake_all(&self) {
        for sender in lock(&self.0.followers).values() {
            sender.send_replace(());
        }
    }

    /// Waits until the other processes have been told of everything.
    pub async fn told(&self) {
        let mut told = self.0.outbox.told.subscribe();
        let _ = told.wait_for(|told| *told).await;
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self { topics: Mutex::default(), filled: Notify::new(), told: watch::Sender::new(true) }
    }
}

impl Outbox {
    fn add(&self, topics: HashSet<Topic>) {
        if topics.is_empty() {
            return;
        }
        let mut waiting = lock(&self.topics);
        waiting.extend(topics);
        self.told.send_replace(false);
        self.filled.notify_one();
    }

    /// Says that what was taken has been sent.
    pub(super) fn sent(&self) {
        let waiting = lock(&self.topics);
        self.told.send_replace(waiting.is_empty());
    }

    /// Puts back what could not be sent.
    pub(super) fn put_back(&self, topics: impl IntoIterator<Item = Topic>) {
        self.add(topics.into_iter().collect());
    }

    /// Waits until there is something, and takes all of it.
    pub(super) async fn take(&self) -> HashSet<Topic> {
        loop {
            let filled = self.filled.notified();
            let topics = std::mem::take(&mut *lock(&self.topics));
            if !topics.is_empty() {
                return topics;
            }
            filled.await;
        }
    }

    /// Forgets everything: there is nobody to tell.
    pub(super) async fn discard_forever(&self) {
        loop {
            self.take().await;
            self.sent();
        }
    }
}

/// A registered follower.
#[derive(Debug)]
pub struct Wakeup {
    hub: Arc<Hub>,
    topic: Topic,
    /// `Some` until it is dropped.
    changed: Option<watch::Receiver<()>>,
}

impl Wakeup {
    /// Waits for the next announcement since the last wait, or for [`SLOW_POLL_SECONDS`].
    pub async fn wait(&mut self) {
        let Some(changed) = &mut self.changed else { return };
        // A closed channel cannot be: the hub holds the sender for as long as there is a follower.
        let _ = tokio::time::timeout(Duration::from_secs(SLOW_POLL_SECONDS), changed.changed()).await;
    }
}

impl Drop for Wakeup {
    fn drop(&mut self) {
        let mut followers = lock(&self.hub.followers);
        self.changed = None; // under the lock, so that of two that go at once the second one sees it
        if followers.get(&self.topic).is_some_and(|sender| sender.receiver_count() == 0) {
            followers.remove(&self.topic);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under these locks can leave them half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_announcement_between_registering_and_waiting_wakes() {
        let wakeups = Wakeups::default();
        let mut wakeup = wakeups.follow(Topic::EveryTenant);
        wakeups.announce([Topic::Tenant("a".into())]);
        tokio::time::timeout(Duration::from_secs(1), wakeup.wait()).await.unwrap();
    }

    #[test]
    fn the_last_follower_leaves_nothing_behind() {
        let wakeups = Wakeups::default();
        let (first, second) = (wakeups.follow(Topic::EveryTenant), wakeups.follow(Topic::EveryTenant));
        drop(first);
        assert_eq!(lock(&wakeups.0.followers).len(), 1);
        drop(second);
        assert!(lock(&wakeups.0.followers).is_empty());
    }
}
