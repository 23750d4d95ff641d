//! Following the change feed: every change once, in commit order, from a cursor on.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use futures_util::Stream;
use uuid::Uuid;

use super::wakeups::{Topic, Wakeup, Wakeups};
use crate::auth::{Role, Viewer};
use crate::clock::{Timestamp, now};
use crate::domain::execution::Filter;
use crate::domain::limits::FEED_RETENTION_HOURS;
use crate::error::{Error, Result};
use crate::store::{ExecutionRow, FeedEvent, FeedPosition, Store};

pub use entity::change_event::Kind as ChangeKind;

/// Events read at once.
const PAGE_EVENTS: u64 = 200;
/// Executions whose newest change is remembered by a follower.
const NEWEST_EXECUTIONS_MAX: usize = 4_096;
/// First wait for an older transaction to end; doubled up to [`SETTLE_MILLIS_MAX`].
const SETTLE_MILLIS: u64 = 5;
const SETTLE_MILLIS_MAX: u64 = 500;

/// One change, with the execution as it is now.
#[derive(Debug, Clone)]
pub struct Change {
    pub kind: ChangeKind,
    /// Where to go on after this change.
    pub cursor: String,
    pub execution_id: Uuid,
    /// `None` once it is deleted.
    pub execution: Option<ExecutionRow>,
}

/// The cursor of the feed's end: what changes from now on comes after it.
///
/// # Errors
/// What the store says.
pub async fn current_cursor(store: &Store, viewer: &Viewer) -> Result<String> {
    Ok(encode(store.reader(viewer).feed_end().await?, now()))
}

/// Follows the changes of the viewer's executions that match `filter`, after the cursor `after` or from now on.
///
/// A deletion is sent whatever the filter says, since the row that it could be checked against is gone.
///
/// # Errors
/// `BAD_INPUT` for a cursor that the feed has not given, or one older than [`FEED_RETENTION_HOURS`].
pub async fn changes(
    store: Store,
    wakeups: &Wakeups,
    viewer: Viewer,
    filter: Filter,
    after: Option<&str>,
) -> Result<impl Stream<Item = Result<Change>> + use<>> {
    let topic = match viewer.role() {
        Role::Service => Topic::EveryTenant,
        Role::Admin | Role::Member => Topic::Tenant(viewer.tenant_id().to_owned()),
    };
    let wakeup = wakeups.follow(topic);
    let position = match after {
        Some(cursor) => decode(cursor)?,
        None => store.reader(&viewer).feed_end().await?,
    };
    let follower = Follower {
        store,
        viewer,
        filter,
        wakeup,
        position,
        newest: Newest::default(),
        settle_millis: SETTLE_MILLIS,
    };
    Ok(async_stream::try_stream! {
        let mut follower = follower;
        loop {
            for change in follower.next().await? {
                yield change;
            }
        }
    })
}

struct Follower {
    store: Store,
    viewer: Viewer,
    filter: Filter,
    wakeup: Wakeup,
    position: FeedPosition,
    newest: Newest,
    settle_millis: u64,
}

/// What the follower would see of an execution now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Seen,
    /// The filter may hide it.
    Unseen,
    /// The filter hides nothing.
    Gone,
}

/// The newest revisions that were sent, of executions that changed lately.
///
/// On PostgreSQL, a transaction that changes many executions may have begun before another one that changed one of
/// them, or made it, and end after it: then the feed has the newer change first. An older one, which comes second, says nothing
/// new, and is left out; that an execution was made is said all the same.
#[derive(Debug, Default)]
struct Newest(HashMap<Uuid, (i32, ChangeKind)>);

impl Newest {
    /// Whether this event says something new.
    fn admits(&mut self, event: &FeedEvent, sight: Sight) -> bool {
        use ChangeKind::{Created, Deleted};
        let (newest, is_news) = match (self.0.get(&event.execution_id), event.kind) {
            // Made anew, or by a transaction that began after the one that deleted it.
            (Some((_, Deleted)), Created) if sight != Sight::Gone => {
                ((event.revision, Created), sight == Sight::Seen)
            }
            (Some((_, Deleted)), _) => return false,
            (Some((revision, kind)), Created) if *revision > event.revision => ((*revision, *kind), true),
            (Some((revision, _)), _) if *revision > event.revision => return false,
            (_, kind) => ((event.revision, kind), true),
        };
        if self.0.len() >= NEWEST_EXECUTIONS_MAX {
            self.0.clear(); // what changed long ago is in order
        }
        self.0.insert(event.execution_id, newest);
        is_news
    }
}

impl Follower {
    /// The next changes; empty after a wait.
    async fn next(&mut self) -> Result<Vec<Change>> {
        let reader = self.store.reader(&self.viewer);
        // Others' events are not read again and again by somebody who sees only their own.
        let end = if self.viewer.sees_only_own() { Some(reader.feed_end().await?) } else { None };
        let page = reader.feed_after(self.position, PAGE_EVENTS).await?;
        let Some(last) = page.events.last() else {
            self.position = end.map_or(self.position, |end| end.max(self.position));
            if reader.feed_is_unsettled(self.position).await? {
                // Nobody announces the end of somebody else's transaction.
                tokio::time::sleep(Duration::from_millis(self.settle_millis)).await;
                self.settle_millis = (self.settle_millis * 2).min(SETTLE_MILLIS_MAX);
            } else {
                self.settle_millis = SETTLE_MILLIS;
                self.wakeup.wait().await;
            }
            return Ok(Vec::new());
        };
        self.settle_millis = SETTLE_MILLIS;
        self.position = last.position;
        let mut keys: Vec<_> =
            page.events.iter().map(|event| (event.tenant_id.clone(), event.execution_id)).collect();
        keys.sort_unstable();
        keys.dedup();
        let executions = reader.followed_executions(&keys, &self.filter).await?;
        let everything = self.filter == Filter::default();
        let newest = &mut self.newest;
        let sight = |event: &FeedEvent| match executions.get(&event.execution_id) {
            Some(_) => Sight::Seen,
            None if everything => Sight::Gone,
            None => Sight::Unseen,
        };
        let news = page.events.into_iter().filter(|event| newest.admits(event, sight(event)));
        Ok(news
            .filter_map(|event| {
                let execution = match event.kind {
                    ChangeKind::Deleted => None,
                    _ => executions.get(&event.execution_id).cloned(),
                };
                let matches = everything || execution.is_some() || event.kind == ChangeKind::Deleted;
                matches.then(|| Change {
                    kind: event.kind,
                    cursor: encode(event.position, event.created_at),
                    execution_id: event.execution_id,
                    execution,
                })
            })
            .collect())
    }
}

fn encode(position: FeedPosition, at: Timestamp) -> String {
    URL_SAFE_NO_PAD.encode(format!("F{}.{}.{}", position.xid, position.seq, at.timestamp_micros()))
}

fn decode(cursor: &str) -> Result<FeedPosition> {
    let (position, at) = parse(cursor)
        .ok_or_else(|| Error::bad_input("after", "after must be a cursor that this feed has given"))?;
    if at < now() - TimeDelta::hours(FEED_RETENTION_HOURS) {
        return Err(Error::bad_input(
            "after",
            format!(
                "the cursor has expired: changes are kept for {FEED_RETENTION_HOURS} hours; list the executions again"
            ),
        ));
    }
    Ok(position)
}

fn parse(cursor: &str) -> Option<(FeedPosition, Timestamp)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let mut parts = text.strip_prefix('F')?.splitn(3, '.');
    let mut number = || parts.next()?.parse::<i64>().ok();
    let position = FeedPosition { xid: number()?, seq: number()? };
    Some((position, Timestamp::from_timestamp_micros(number()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these events of one execution are sent, all of which are read while the follower would see so much of it.
    fn sent(events: &[(ChangeKind, i32)], sight: Sight) -> Vec<(ChangeKind, i32)> {
        let mut newest = Newest::default();
        events.iter().copied().filter(|change| newest.admits(&event(*change), sight)).collect()
    }

    fn event((kind, revision): (ChangeKind, i32)) -> FeedEvent {
        FeedEvent {
            position: FeedPosition { xid: 1, seq: 1 },
            tenant_id: "org:one".into(),
            execution_id: Uuid::from_u128(7),
            kind,
            revision,
            created_at: now(),
        }
    }

    #[test]
    fn an_older_change_that_comes_after_a_newer_one_is_left_out() {
        use ChangeKind::{Created, Finished, Updated};
        let events = [(Created, 1), (Updated, 3), (Updated, 2), (Finished, 4), (Updated, 3)];
        assert_eq!(sent(&events, Sight::Seen), [(Created, 1), (Updated, 3), (Finished, 4)]);
    }

    #[test]
    fn that_it_was_made_is_said_even_after_its_first_change() {
        use ChangeKind::{Created, Finished, Updated};
        let events = [(Updated, 2), (Created, 1), (Updated, 2), (Finished, 3)];
        assert_eq!(sent(&events, Sight::Seen), events);
        let events = [(Updated, 3), (Created, 1), (Updated, 2)];
        assert_eq!(sent(&events, Sight::Seen), [(Updated, 3), (Created, 1)]);
    }

    #[test]
    fn after_its_deletion_nothing_is_said_of_it_unless_it_was_made_anew() {
        use ChangeKind::{Created, Deleted, Updated};
        let events = [(Created, 1), (Updated, 2), (Deleted, 2), (Updated, 2), (Created, 1)];
        assert_eq!(sent(&events, Sight::Unseen), events[..3]);
        let events = [(Created, 1), (Deleted, 1), (Created, 1), (Updated, 2), (Deleted, 2)];
        assert_eq!(sent(&events, Sight::Gone), events[..2], "it was deleted again");
        let events = [(Created, 1), (Updated, 2), (Deleted, 2), (Created, 1), (Updated, 2)];
        assert_eq!(sent(&events, Sight::Seen), events);
    }

    #[test]
    fn changes_of_one_that_was_made_anew_are_said_once_it_passes_the_filter() {
        use ChangeKind::{Created, Deleted, Updated};
        let mut newest = Newest::default();
        assert!(newest.admits(&event((Deleted, 2)), Sight::Unseen));
        assert!(!newest.admits(&event((Created, 1)), Sight::Unseen), "it does not pass yet");
        assert!(newest.admits(&event((Updated, 2)), Sight::Seen));
    }
}
