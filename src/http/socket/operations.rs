//! The operations of one socket: a task each, and one bounded queue of frames from them to the socket.
//!
//! Every operation has a generation. A frame whose generation is no longer the one under its id is dropped, so
//! nothing follows a client's `complete`, also when the id is used again at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::ws::Message;
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::Instrument as _;

use crate::auth::Viewer;
use crate::domain::limits::{SOCKET_OPERATIONS_MAX, SOCKET_QUEUE_FRAMES_MAX};
use crate::error::Error;
use crate::graphql::guard::{GuardedRequest, OperationKind, Params};
use crate::graphql::{Engine, Event, Outcome, Refusal, RequestId};

use super::close::Close;
use super::message::{ServerMessage, next_frame, next_head};

/// A frame on its way from an operation to the socket.
pub(super) struct Delivery {
    id: Arc<str>,
    generation: u64,
    frame: Message,
    /// Nothing comes after it: the id is free again.
    is_last: bool,
}

/// The running operations. Dropping them stops them.
pub(super) struct Operations {
    running: HashMap<Arc<str>, Running>,
    next_generation: u64,
    queue: Sender,
}

/// Of boxes: a channel has room for thirty-two at once, also while nothing waits in it.
type Sender = mpsc::Sender<Box<Delivery>>;
pub(super) type Deliveries = mpsc::Receiver<Box<Delivery>>;

struct Running {
    generation: u64,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Operations {
    /// None yet, and the queue that their frames come out of.
    pub(super) fn new() -> (Self, Deliveries) {
        let (queue, deliveries) = mpsc::channel(SOCKET_QUEUE_FRAMES_MAX.to_usize());
        (Self { running: HashMap::new(), next_generation: 0, queue }, deliveries)
    }

    /// Starts one, or closes the socket because the id is in use.
    ///
    /// When too many run already, `Ok` has the frame that says so.
    pub(super) fn start(
        &mut self,
        engine: &Engine,
        viewer: Option<&Viewer>,
        id: &str,
        params: Params,
    ) -> Result<Option<Message>, Close> {
        let is_full = self.running.len() >= SOCKET_OPERATIONS_MAX.to_usize();
        let id: Arc<str> = id.into();
        let Entry::Vacant(place) = self.running.entry(Arc::clone(&id)) else {
            return Err(Close::id_in_use(&id));
        };
        let request_id = RequestId::generate();
        if is_full {
            let error = Error::TooLarge { field: "operations".into(), limit: SOCKET_OPERATIONS_MAX };
            return Ok(refusal_frame(&id, &Refusal::new(request_id, &error)));
        }
        let generation = self.next_generation;
        self.next_generation += 1;
        let replies = Replies { next_head: next_head(&id), id, generation, queue: self.queue.clone() };
        let task = tokio::spawn(run(engine.clone(), viewer.cloned(), request_id, params, replies));
        place.insert(Running { generation, task: task.abort_handle() });
        Ok(None)
    }

    /// Stops one, if it runs.
    pub(super) fn stop(&mut self, id: &str) {
        self.running.remove(id);
    }

    /// The frame to send, unless its operation is over.
    pub(super) fn deliver(&mut self, delivery: Delivery) -> Option<Message> {
        let running = self.running.get(&delivery.id)?;
        if running.generation != delivery.generation {
            return None;
        }
        if delivery.is_last {
            self.running.remove(&delivery.id);
        }
        Some(delivery.frame)
    }
}

/// Where one operation sends what it finds.
struct Replies {
    id: Arc<str>,
    next_head: Box<str>,
    generation: u64,
    queue: Sender,
}

impl Replies {
    async fn complete(&self) {
        self.send(&ServerMessage::Complete { id: &self.id }, true).await;
    }

    async fn refuse(&self, refusal: &Refusal) {
        self.send(&ServerMessage::Error { id: &self.id, payload: refusal.errors() }, true).await;
    }

    /// Sends what a subscription says.
    async fn event(&self, event: &Event) -> ControlFlow<()> {
        match event {
            Event::Outcome(outcome) => self.outcome(outcome).await,
            Event::Shared(payload) => {
                self.deliver(next_frame(&self.next_head, payload), false).await;
                ControlFlow::Continue(())
            }
        }
    }

    /// Sends an outcome; after a refusal there is nothing more to say.
    async fn outcome(&self, outcome: &Outcome) -> ControlFlow<()> {
        match outcome {
            Outcome::Refused(refusal) => {
                self.refuse(refusal).await;
                ControlFlow::Break(())
            }
            Outcome::Executed(_) => {
                self.send(&ServerMessage::Next { id: &self.id, payload: outcome }, false).await;
                ControlFlow::Continue(())
            }
        }
    }

    async fn send(&self, message: &ServerMessage<'_>, is_last: bool) {
        match message.to_frame() {
            Ok(frame) => self.deliver(frame, is_last).await,
            Err(error) => tracing::error!(cause = %error, "a message could not be written"),
        }
    }

    /// Waits while the queue is full: that is how a slow reader slows the operation down.
    async fn deliver(&self, frame: Message, is_last: bool) {
        let id = Arc::clone(&self.id);
        let delivery = Box::new(Delivery { id, generation: self.generation, frame, is_last });
        // The socket may be gone: so will this task be.
        let _ = self.queue.send(delivery).await;
    }
}

/// Resolvers that panic are caught by the engine; this is the net under everything else in the task.
async fn run(
    engine: Engine,
    viewer: Option<Viewer>,
    request_id: RequestId,
    params: Params,
    replies: Replies,
) {
    let running = operate(&engine, viewer.as_ref(), request_id, params, &replies);
    if AssertUnwindSafe(running).catch_unwind().await.is_err() {
        let error = Error::internal("an operation's task panicked");
        Box::pin(replies.refuse(&Refusal::new(request_id, &error))).await;
    }
}

async fn operate(
    engine: &Engine,
    viewer: Option<&Viewer>,
    request_id: RequestId,
    params: Params,
    replies: &Replies,
) {
    let guarded = match engine.guard(request_id, params) {
        Ok(guarded) => guarded,
        Err(refusal) => return Box::pin(replies.refuse(&refusal)).await,
    };
    // In boxes: a task is as large as the largest thing that it may do, and most do nothing but wait for long.
    if guarded.kind() == OperationKind::Subscription {
        let span = Engine::span(request_id, viewer, &guarded);
        Box::pin(follow(engine, viewer, request_id, guarded, replies).instrument(span)).await;
    } else {
        Box::pin(answer(engine, viewer, request_id, guarded, replies)).await;
    }
}

async fn answer(
    engine: &Engine,
    viewer: Option<&Viewer>,
    request_id: RequestId,
    guarded: GuardedRequest,
    replies: &Replies,
) {
    let outcome = engine.execute(request_id, viewer, guarded).await;
    if replies.outcome(&outcome).await.is_continue() {
        replies.complete().await;
    }
}

async fn follow(
    engine: &Engine,
    viewer: Option<&Viewer>,
    request_id: RequestId,
    guarded: GuardedRequest,
    replies: &Replies,
) {
    let mut events = engine.subscribe(request_id, viewer, guarded);
    while let Some(event) = events.next().await {
        if replies.event(&event).await.is_break() {
            return;
        }
    }
    // While the queue is full, others should not take it for one that follows.
    drop(events);
    replies.complete().await;
}

fn refusal_frame(id: &str, refusal: &Refusal) -> Option<Message> {
    ServerMessage::Error { id, payload: refusal.errors() }.to_frame().ok()
}
