//! Wake-ups inside one process, and the entries that were appended here: whoever follows a stream need not ask the database
//! for what this process has just stored.
//!
//! A follower is told in one place of both, in order, so that it knows of every announcement whether the database must be
//! looked at: it must, unless all that has happened since its last look is that entries were appended that it is given.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::domain::limits::{LIVE_BYTES_MAX, LIVE_CHUNKS_MAX};
use crate::domain::stream::StreamKind;
use crate::store::LogChunk;

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
    followers: Mutex<HashMap<Topic, watch::Sender<News>>>,
    outbox: Outbox,
}

/// What the followers of a topic can know.
#[derive(Debug, Default)]
struct News {
    /// How often it was announced without saying what has changed.
    unknown_changes: u64,
    /// The newest of what was appended here.
    appended: VecDeque<Arc<AppendedHere>>,
    appended_bytes: usize,
}

/// Entries that this process has committed, and whose they are: an id may come again, as another tenant's.
#[derive(Debug)]
pub struct AppendedHere {
    pub tenant_id: String,
    pub owner_id: String,
    pub chunk: LogChunk,
}

impl News {
    /// Those that are kept are one tenant's and continue each other: what does not fit is told as a change of any kind.
    fn add(&mut self, appended: Arc<AppendedHere>) {
        let continues = |last: &Arc<AppendedHere>| {
            last.tenant_id == appended.tenant_id && last.chunk.last_seq < appended.chunk.first_seq
        };
        if self.appended.back().is_some_and(|last| !continues(last)) {
            self.unknown_changes += 1;
            self.appended.clear();
            self.appended_bytes = 0;
        }
        self.appended_bytes += appended.chunk.body.len();
        self.appended.push_back(appended);
        while self.appended.len() > LIVE_CHUNKS_MAX || self.appended_bytes > LIVE_BYTES_MAX {
            let Some(oldest) = self.appended.pop_front() else { break };
            self.appended_bytes -= oldest.chunk.body.len();
        }
    }
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
            .or_insert_with(|| watch::Sender::new(News::default()))
            .subscribe();
        Wakeup { hub: Arc::clone(&self.0), topic, changed: Some(changed) }
    }

    /// Wakes the followers of `topics`, here and in other processes. Call it after the commit.
    pub fn announce(&self, topics: impl IntoIterator<Item = Topic>) {
        let topics: HashSet<_> = topics.into_iter().collect();
        self.wake(&topics);
        self.0.outbox.add(topics);
    }

    /// Whether anybody here follows `topic`.
    pub fn is_followed(&self, topic: &Topic) -> bool {
        lock(&self.0.followers).contains_key(topic)
    }

    /// Wakes the followers of a stream and gives those in this process what was appended to it. Call it after the commit,
    /// for the calls of a stream in the order of their commits.
    pub fn announce_appended(&self, topic: Topic, appended: Vec<AppendedHere>) {
        if let Some(sender) = lock(&self.0.followers).get(&topic) {
            sender.send_modify(|news| appended.into_iter().for_each(|appended| news.add(Arc::new(appended))));
        }
        self.0.outbox.add(HashSet::from([topic]));
    }

    /// Wakes the followers of `topics` in this process.
    pub(super) fn wake<'t>(&self, topics: impl IntoIterator<Item = &'t Topic>) {
        let followers = lock(&self.0.followers);
        let wake = |topic: &Topic| {
            if let Some(sender) = followers.get(topic) {
                sender.send_modify(|news| news.unknown_changes += 1);
            }
        };
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
            sender.send_modify(|news| news.unknown_changes += 1);
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
    changed: Option<watch::Receiver<News>>,
}

impl Wakeup {
    /// Waits for the next announcement since the last wait, or for [`SLOW_POLL_SECONDS`]; `false` when none came.
    pub async fn wait(&mut self) -> bool {
        let Some(changed) = &mut self.changed else { return false };
        // A closed channel cannot be: the hub holds the sender for as long as there is a follower.
        tokio::time::timeout(Duration::from_secs(SLOW_POLL_SECONDS), changed.changed()).await.is_ok()
    }

    /// How often the topic was announced so far without saying what has changed.
    pub fn unknown_changes(&self) -> u64 {
        self.changed.as_ref().map_or(0, |changed| changed.borrow().unknown_changes)
    }

    /// What was appended here of which a part has number `seq` or a later one, in order. It may begin later, have holes for
    /// what other processes have appended, and be of another tenant.
    pub fn appended_from(&self, seq: i64) -> Vec<Arc<AppendedHere>> {
        let Some(changed) = &self.changed else { return Vec::new() };
        let news = changed.borrow();
        let is_new = |appended: &&Arc<AppendedHere>| appended.chunk.last_seq >= seq;
        let mut found: Vec<_> = news.appended.iter().rev().take_while(is_new).cloned().collect();
        found.reverse();
        found
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
    use crate::domain::log::NumberedLines;

    #[tokio::test]
    async fn an_announcement_between_registering_and_waiting_wakes() {
        let wakeups = Wakeups::default();
        let mut wakeup = wakeups.follow(Topic::EveryTenant);
        wakeups.announce([Topic::Tenant("a".into())]);
        tokio::time::timeout(Duration::from_secs(1), wakeup.wait()).await.unwrap();
    }

    fn appended(tenant_id: &str, first_seq: i64, bytes: usize) -> AppendedHere {
        let body = "x".repeat(bytes);
        let lines = NumberedLines { first_seq, last_seq: first_seq, body, ..Default::default() };
        let chunk = LogChunk::appended(Uuid::nil(), StreamKind::Log, lines);
        AppendedHere { tenant_id: tenant_id.into(), owner_id: "o".into(), chunk }
    }

    fn numbers(wakeup: &Wakeup, from: i64) -> Vec<i64> {
        wakeup.appended_from(from).iter().map(|appended| appended.chunk.first_seq).collect()
    }

    #[tokio::test]
    async fn what_is_appended_here_comes_with_the_wake_up_and_is_no_unknown_change() {
        let wakeups = Wakeups::default();
        let topic = || Topic::Log(Uuid::nil());
        assert!(!wakeups.is_followed(&topic()));
        let mut wakeup = wakeups.follow(topic());
        assert!(wakeups.is_followed(&topic()));
        wakeups.announce_appended(topic(), vec![appended("a", 3, 1), appended("a", 4, 1)]);
        assert!(wakeup.wait().await);
        assert_eq!(
            (numbers(&wakeup, 0), numbers(&wakeup, 4), numbers(&wakeup, 5)),
            (vec![3, 4], vec![4], vec![])
        );
        assert_eq!(wakeup.unknown_changes(), 0);
        wakeups.announce([topic()]);
        assert_eq!(wakeup.unknown_changes(), 1);
    }

    #[test]
    fn what_is_kept_for_followers_is_bounded_and_one_tenants() {
        let wakeups = Wakeups::default();
        let wakeup = wakeups.follow(Topic::Log(Uuid::nil()));
        let announce = |appended| wakeups.announce_appended(Topic::Log(Uuid::nil()), vec![appended]);
        (0..100).for_each(|seq| announce(appended("a", seq, 1)));
        assert_eq!(numbers(&wakeup, 0).len(), LIVE_CHUNKS_MAX);
        (100..110).for_each(|seq| announce(appended("a", seq, LIVE_BYTES_MAX / 3)));
        assert_eq!(numbers(&wakeup, 0), [107, 108, 109]);
        assert_eq!(wakeup.unknown_changes(), 0, "whoever misses some sees a hole");
        announce(appended("b", 110, 1));
        assert_eq!((numbers(&wakeup, 0), wakeup.unknown_changes()), (vec![110], 1));
        announce(appended("b", 0, 1));
        assert_eq!((numbers(&wakeup, 0), wakeup.unknown_changes()), (vec![0], 2), "a new log of the same id");
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
