//! What a shared execution says, and those who listen.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::domain::limits::{
    SHARED_EVENTS_BYTES_MAX, SHARED_EVENTS_MAX, SHARED_UNREAD_EVENTS_MAX, SHARED_WAIT_MILLISECONDS_MAX,
};

/// A shared execution, as its followers see it.
pub(super) struct Run {
    said: Mutex<Said>,
    changed: watch::Sender<()>,
    /// A follower that was behind has taken something.
    taken: Notify,
}

struct Said {
    /// The newest.
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// How many came before these.
    forgotten: u64,
    /// For each event how many followers take it next, and how many have taken all. Whoever wants one that is forgotten is
    /// not counted: it does not follow any more.
    followers: VecDeque<usize>,
    /// The line after the last event.
    stands_at: i64,
    is_over: bool,
}

/// Something that the shared execution has said, or only how far it has come.
pub(super) struct Event {
    /// The outcome as it is sent.
    pub(super) payload: Option<Arc<str>>,
    /// The line after it.
    pub(super) next: i64,
    /// It is the end of the log.
    pub(super) is_last: bool,
}

impl Event {
    fn bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, |payload| payload.len())
    }
}

impl Said {
    /// Where an event is; `None` when it is forgotten.
    fn index(&self, heard: u64) -> Option<usize> {
        usize::try_from(heard.checked_sub(self.forgotten)?).ok()
    }

    fn forget_the_oldest(&mut self) {
        let Some(oldest) = self.events.pop_front() else { return };
        self.bytes -= oldest.bytes();
        self.forgotten += 1;
        self.followers.pop_front();
    }

    /// The place of whoever is no more behind than is usual.
    fn first_usual(&self) -> usize {
        (self.events.len() + 1).saturating_sub(SHARED_UNREAD_EVENTS_MAX)
    }

    /// Whether more than half of the followers are behind.
    fn is_ahead(&self) -> bool {
        let all: usize = self.followers.iter().sum();
        let behind: usize = self.followers.iter().take(self.first_usual()).sum();
        behind * 2 > all
    }
}

impl Run {
    pub(super) fn new(stands_at: i64) -> Self {
        let said = Said {
            events: VecDeque::new(),
            bytes: 0,
            forgotten: 0,
            followers: VecDeque::from([0]),
            stands_at,
            is_over: false,
        };
        Self { said: Mutex::new(said), changed: watch::Sender::new(()), taken: Notify::new() }
    }

    /// Begins to listen.
    pub(super) fn follow(self: &Arc<Self>) -> Follower {
        let mut said = self.lock();
        if let Some(all_taken) = said.followers.back_mut() {
            *all_taken += 1;
        }
        Follower {
            run: Arc::clone(self),
            changed: self.changed.subscribe(),
            heard: said.forgotten + said.events.len() as u64,
            stands_at: said.stands_at,
        }
    }

    pub(super) fn say(&self, payload: Option<Arc<str>>, next: i64, is_last: bool) {
        let event = Event { payload, next, is_last };
        let mut said = self.lock();
        said.stands_at = next;
        said.bytes += event.bytes();
        said.events.push_back(Arc::new(event));
        said.followers.push_back(0);
        while said.events.len() > SHARED_EVENTS_MAX
            || said.bytes > SHARED_EVENTS_BYTES_MAX && said.events.len() > 1
        {
            said.forget_the_oldest();
        }
        drop(said);
        self.changed.send_replace(());
    }

    /// Says that nothing follows.
    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.changed.send_replace(());
    }

    /// Waits for a moment while most followers are behind.
    pub(super) async fn wait_for_followers(&self) {
        let longest = Duration::from_millis(SHARED_WAIT_MILLISECONDS_MAX);
        let caught_up = async {
            while self.lock().is_ahead() {
                self.taken.notified().await;
            }
        };
        let _ = timeout(longest, caught_up).await;
    }

    /// Waits until nobody listens.
    pub(super) async fn deserted(&self) {
        self.changed.closed().await;
    }

    pub(super) fn is_deserted(&self) -> bool {
        self.changed.receiver_count() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        // Nothing that runs under this lock can leave it half-changed.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who listens to a shared execution.
pub(super) struct Follower {
    run: Arc<Run>,
    changed: watch::Receiver<()>,
    /// How many events it has taken, or came too late for.
    heard: u64,
    stands_at: i64,
}

impl Follower {
    /// The line after the last event that was taken.
    pub(super) fn stands_at(&self) -> i64 {
        self.stands_at
    }

    /// The next event; `None` when there will be none, and when some were missed.
    pub(super) async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            if let Some(event) = self.take()? {
                return Some(event);
            }
            self.changed.changed().await.ok()?;
        }
    }

    /// The next event, if it is there already; the outer `None` as of [`Self::next`].
    fn take(&mut self) -> Option<Option<Arc<Event>>> {
        let mut said = self.run.lock();
        let index = said.index(self.heard)?;
        let Some(event) = said.events.get(index).cloned() else {
            return (!said.is_over).then_some(None);
        };
        said.followers[index] -= 1;
        said.followers[index + 1] += 1;
        let was_behind = index < said.first_usual();
        drop(said);
        if was_behind {
            self.run.taken.notify_one();
        }
        self.heard += 1;
        self.stands_at = event.next;
        Some(Some(event))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut said = self.run.lock();
        if let Some(index) = said.index(self.heard) {
            said.followers[index] -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(run: &Run, next: i64) {
        run.say(Some(next.to_string().into()), next, false);
    }

    async fn hear(follower: &mut Follower) -> Option<i64> {
        follower.next().await.map(|event| event.next)
    }

    #[tokio::test]
    async fn a_follower_hears_what_is_said_from_then_on() {
        let run = Arc::new(Run::new(7));
        let mut first = run.follow();
        say(&run, 8);
        let mut second = run.follow();
        assert_eq!((first.stands_at(), second.stands_at()), (7, 8));
        say(&run, 9);
        run.end();
        assert_eq!(
            (hear(&mut first).await, hear(&mut first).await, hear(&mut first).await),
            (Some(8), Some(9), None)
        );
        assert_eq!((hear(&mut second).await, hear(&mut second).await), (Some(9), None));
        assert_eq!(second.stands_at(), 9);
    }

    #[tokio::test]
    async fn whoever_is_too_far_behind_is_told_so_and_knows_where_it_stands() {
        let run = Arc::new(Run::new(0));
        let (mut slow, mut quick) = (run.follow(), run.follow());
        say(&run, 1);
        assert_eq!(hear(&mut slow).await, Some(1));
        for next in 2..=(SHARED_EVENTS_MAX as i64) + 2 {
            say(&run, next);
            while quick.stands_at() < next {
                assert!(hear(&mut quick).await.is_some());
            }
        }
        assert_eq!(hear(&mut slow).await, None);
        assert_eq!(slow.stands_at(), 1);
    }

    #[tokio::test]
    async fn what_waits_for_followers_is_bounded_by_bytes() {
        let run = Arc::new(Run::new(0));
        let large: Arc<str> = "x".repeat(SHARED_EVENTS_BYTES_MAX).into();
        for next in 1..4 {
            run.say(Some(Arc::clone(&large)), next, false);
            assert_eq!(run.lock().events.len(), 1, "the newest is there, however large it is");
        }
    }

    #[tokio::test]
    async fn it_waits_while_most_are_behind_and_not_for_a_few() {
        let run = Arc::new(Run::new(0));
        let mut followers: Vec<_> = (0..4).map(|_| run.follow()).collect();
        (1..=SHARED_UNREAD_EVENTS_MAX as i64).for_each(|next| say(&run, next));
        assert!(run.lock().is_ahead());
        for follower in &mut followers[..2] {
            assert_eq!(hear(follower).await, Some(1));
        }
        assert!(!run.lock().is_ahead());
        say(&run, 9);
        assert!(run.lock().is_ahead());
        run.wait_for_followers().await;
        assert!(run.lock().is_ahead(), "it waited for a moment");
        followers.truncate(1);
        for _ in 0..2 {
            assert!(hear(&mut followers[0]).await.is_some());
        }
        assert!(!run.lock().is_ahead(), "who has left is not waited for");
    }

    #[tokio::test]
    async fn whoever_has_fallen_behind_for_good_is_not_waited_for() {
        let run = Arc::new(Run::new(0));
        let (mut stuck, mut quick) = (run.follow(), run.follow());
        for next in 1..=(SHARED_EVENTS_MAX as i64) + 1 {
            say(&run, next);
            assert_eq!(hear(&mut quick).await, Some(next));
        }
        assert_eq!(run.lock().followers.iter().sum::<usize>(), 1);
        assert_eq!(hear(&mut stuck).await, None);
        drop((stuck, quick));
        assert_eq!(run.lock().followers.iter().sum::<usize>(), 0);
    }
}
