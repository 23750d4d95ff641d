//! Tails that are alike are executed once for all, and each message is serialised once.
//!
//! Alike are subscriptions of the same document, operation and variables, but for those that only say where to begin, whose
//! viewers may read the same rows and have the same role: their messages are the same once they stand at the same line.
//!
//! - Each subscriber begins on its own. When it has caught up and waits, it looks for others: with two, the one that looked
//!   gives its execution to a task of its own (`lead`), which tells every follower each message and the line after it.
//! - Whoever joins goes on alone to exactly the line at which the shared execution stood when it was asked, and takes the
//!   messages from there on; when the newcomer is ahead, it leaves out those that it has. So every line comes once, in order,
//!   whenever one joins. Where an execution stands is told by the tail ([`TailPlace`]), whatever the document selects.
//! - Nothing is buffered without bound: a follower that is further behind than [`SHARED_EVENTS_MAX`] messages goes on alone
//!   from where it stands, and joins again when it has caught up. While most are behind, the shared execution waits for them
//!   for a moment, and what comes meanwhile is one message.
//! - An error is nobody else's: the shared execution ends without a word, and each goes on alone and meets it, or not, under
//!   its own request id. The end of a log is shared.
//!
//! Other subscriptions than tails have no line to stand at, and are never shared.
//!
//! [`SHARED_EVENTS_MAX`]: crate::domain::limits::SHARED_EVENTS_MAX
//! [`TailPlace`]: crate::logs::TailPlace

mod group;
mod lead;
mod run;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, Fuse};
use tracing::Instrument as _;

use super::engine::{Engine, Event, Outcome, Refusal, RequestId};
use super::guard::GuardedRequest;
use crate::auth::Viewer;
use crate::logs::TailPlace;
use crate::monitor::SharedSubscription;
use group::{Joined, Likeness, Membership};
use lead::lead;
use run::Follower;

pub(super) use group::Groups;

/// One subscription, alone or with others.
pub(super) struct Subscriber {
    engine: Engine,
    request_id: RequestId,
    viewer: Option<Viewer>,
    standing: Standing,
    mode: Mode,
}

/// Whether there may be others.
enum Standing {
    /// It has not caught up yet.
    Unknown(Likeness, Box<str>),
    Member(Membership),
    /// It is not like any other.
    Alone,
}

enum Mode {
    /// With an execution of its own.
    Own(Own),
    /// The same, on the way to where the follower stands.
    Joining(Own, Follower),
    Following(Follower, SharedSubscription),
    Over,
}

/// An execution of its own.
pub(super) struct Own {
    outcomes: Fuse<BoxStream<'static, Box<Outcome>>>,
    place: TailPlace,
}

/// What an execution does next.
pub(super) enum Step {
    Says(Box<Outcome>),
    /// It has said everything for now.
    Waits,
    Ends,
}

impl Own {
    fn new(outcomes: BoxStream<'static, Box<Outcome>>, place: TailPlace) -> Self {
        Self { outcomes: outcomes.fuse(), place }
    }

    async fn step(&mut self) -> Step {
        poll_fn(|context| self.poll_step(context)).await
    }

    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        match self.outcomes.poll_next_unpin(context) {
            Poll::Ready(Some(outcome)) => Poll::Ready(Step::Says(outcome)),
            Poll::Ready(None) => Poll::Ready(Step::Ends),
            Poll::Pending if self.place.begins_to_wait() => Poll::Ready(Step::Waits),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether it stands at this line and goes on from there.
    fn stands_at(&self, seq: i64) -> bool {
        self.place.stands_at() == Some(seq) && !self.place.has_ended()
    }
}

fn following(follower: Follower) -> Mode {
    Mode::Following(follower, SharedSubscription::begun())
}

impl Subscriber {
    pub(super) fn new(
        engine: Engine,
        request_id: RequestId,
        viewer: Option<&Viewer>,
        guarded: GuardedRequest,
    ) -> Self {
        let likeness =
            viewer.zip(guarded.sameness()).map(|(viewer, sameness)| Likeness::of(viewer, sameness));
        let standing = match likeness.zip(guarded.variables()) {
            Some((likeness, variables)) => Standing::Unknown(likeness, variables),
            None => Standing::Alone,
        };
        let place = TailPlace::default();
        let outcomes = engine.run_subscription(request_id, viewer, guarded, place.clone());
        let mode = Mode::Own(Own::new(outcomes, place));
        Self { engine, request_id, viewer: viewer.cloned(), standing, mode }
    }

    /// What it says next; `None` when there is nothing more. Whoever drops this future ends the subscription.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            self.mode = match std::mem::replace(&mut self.mode, Mode::Over) {
                Mode::Own(mut own) => match own.step().await {
                    Step::Says(outcome) => {
                        self.mode = Mode::Own(own);
                        return Some(Event::Outcome(outcome));
                    }
                    Step::Waits => self.look_for_others(own),
                    Step::Ends => Mode::Over,
                },
                Mode::Joining(own, follower) if own.stands_at(follower.stands_at()) => following(follower),
                Mode::Joining(own, mut follower) if own.place.stands_at() > Some(follower.stands_at()) => {
                    match follower.next().await {
                        Some(event) if !event.is_last => Mode::Joining(own, follower),
                        _ => Mode::Own(own),
                    }
                }
                Mode::Joining(mut own, follower) => {
                    own.place.stop_at(follower.stands_at());
                    match own.step().await {
                        Step::Says(outcome) => {
                            self.mode = Mode::Joining(own, follower);
                            return Some(Event::Outcome(outcome));
                        }
                        Step::Waits => Mode::Joining(own, follower),
                        Step::Ends if own.stands_at(follower.stands_at()) => following(follower),
                        Step::Ends => Mode::Over,
                    }
                }
                Mode::Following(mut follower, shared) => match follower.next().await {
                    Some(event) => {
                        self.mode =
                            if event.is_last { Mode::Over } else { Mode::Following(follower, shared) };
                        match &event.payload {
                            Some(payload) => return Some(Event::Shared(Arc::clone(payload))),
                            None => continue,
                        }
                    }
                    None => match self.go_on_alone(follower.stands_at()) {
                        Ok(mode) => mode,
                        Err(refused) => return Some(Event::Outcome(refused)),
                    },
                },
                Mode::Over => return None,
            };
        }
    }

    /// Joins those that are like it, if there are any.
    fn look_for_others(&mut self, own: Own) -> Mode {
        let Some(stands_at) = own.place.stands_at() else { return Mode::Own(own) };
        if let Standing::Unknown(..) = &self.standing
            && let Standing::Unknown(likeness, variables) =
                std::mem::replace(&mut self.standing, Standing::Alone)
        {
            self.standing = Standing::Member(self.engine.groups().enter(likeness, variables));
        }
        let Standing::Member(membership) = &self.standing else { return Mode::Own(own) };
        match membership.join(stands_at) {
            Joined::Alone => Mode::Own(own),
            Joined::Others(follower) => Mode::Joining(own, follower),
            Joined::First(run, follower) => {
                tokio::spawn(lead(run, membership.group(), own).in_current_span());
                following(follower)
            }
        }
    }

    /// Executes it anew from this line on, with this subscriber's rights and under its request id.
    fn go_on_alone(&self, seq: i64) -> Result<Mode, Box<Outcome>> {
        let Standing::Member(membership) = &self.standing else { return Ok(Mode::Over) };
        let params = membership.params().map_err(|error| Refusal::new(self.request_id, &error));
        let guarded = params.and_then(|params| self.engine.guard(self.request_id, params));
        let guarded = guarded.map_err(|refusal| Box::new(refusal.into()))?;
        let place = TailPlace::resuming_at(seq);
        let viewer = self.viewer.as_ref();
        let outcomes = self.engine.run_subscription(self.request_id, viewer, guarded, place.clone());
        Ok(Mode::Own(Own::new(outcomes, place)))
    }
}
