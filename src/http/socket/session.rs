//! One conversation: a loop over everything that can happen to a socket.
//!
//! Whatever ends the conversation comes first in the loop, then what the client says, then what operations have to
//! say: so neither a flood of events nor a client that does not read can delay an expiry or a shutdown for longer
//! than one send may take.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};

use crate::auth::Viewer;
use crate::clock;
use crate::error::Error;
use crate::http::Transport;
use crate::http::listen::Place;
use crate::monitor::OpenSocket;

use super::WRITE_BYTES_MAX;
use super::close::Close;
use super::message::{ClientMessage, Credentials, Payload, PongPayload, ServerMessage, TokenState};
use super::operations::{Deliveries, Delivery, Operations};

/// How far ahead an expiry is looked at: a timer cannot be set to any year.
const EXPIRY_CHECK_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// For the peer to answer a close frame before the connection is cut.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// For the peer to read a close frame while it is still sending.
const LINGER: Duration = Duration::from_secs(1);

/// Why a conversation ends.
enum End {
    /// We say why.
    Close(Close),
    /// The peer has closed, or is gone.
    Gone,
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

/// Serves one socket to its end. It is split before the future begins, which would keep room for the whole beside the halves.
pub(super) fn serve(
    socket: WebSocket,
    transport: Transport,
    place: Option<Place>,
) -> impl Future<Output = ()> + Send {
    let has_protocol = socket.protocol().is_some();
    let (sink, incoming) = socket.split();
    async move {
        let _place = place; // among the connections, until this ends
        let _open = OpenSocket::opened();
        let mut incoming = incoming; // is dropped before its place is given back
        let (operations, deliveries) = Operations::new();
        let mut session = Session { transport, sink, operations, state: State::New };
        let end = if has_protocol {
            match session.converse(&mut incoming, deliveries).await {
                Ok(never) => match never {},
                Err(end) => end,
            }
        } else {
            Close::PROTOCOL.into()
        };
        Box::pin(session.say_goodbye(incoming, end)).await;
    }
}

struct Session {
    transport: Transport,
    sink: SplitSink<WebSocket, Message>,
    operations: Operations,
    state: State,
}

enum State {
    /// Before `connection_init`.
    New,
    /// After `connection_ack`.
    Ready { viewer: Option<Viewer> },
}

impl State {
    fn viewer(&self) -> Option<&Viewer> {
        match self {
            Self::New => None,
            Self::Ready { viewer } => viewer.as_ref(),
        }
    }
}

impl Session {
    async fn converse(
        &mut self,
        incoming: &mut SplitStream<WebSocket>,
        mut deliveries: Deliveries,
    ) -> Result<std::convert::Infallible, End> {
        let settings = self.transport.settings.socket.clone();
        let mut shutdown = self.transport.shutdown.clone();
        let init_deadline = Instant::now() + settings.init_wait;
        let mut pings = interval_at(Instant::now() + settings.ping_interval, settings.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pong_deadline = None;
        // Also when the clock is set: it is looked at again after whatever the peer says.
        let mut expiry_check = Instant::now();

        // What it does is in boxes: a socket mostly waits.
        loop {
            tokio::select! {
                biased;
                () = is_true(&mut shutdown) => return Err(Close::SHUTTING_DOWN.into()),
                () = sleep_until(init_deadline), if matches!(self.state, State::New) => {
                    return Err(Close::INIT_TIMEOUT.into());
                }
                () = sleep_until(expiry_check), if self.state.viewer().is_some() => {
                    self.check_expiry()?;
                    expiry_check = next_expiry_check(self.state.viewer());
                }
                () = sleep_until(pong_deadline.unwrap_or(init_deadline)), if pong_deadline.is_some() => {
                    return Err(Close::NO_PONG.into());
                }
                _ = pings.tick() => {
                    Box::pin(self.send(Message::Ping(Default::default()))).await?;
                    pong_deadline.get_or_insert(Instant::now() + settings.pong_wait);
                }
                message = incoming.next() => {
                    pong_deadline = None;
                    Box::pin(self.hear(message, init_deadline)).await?;
                    expiry_check = next_expiry_check(self.state.viewer());
                }
                Some(delivery) = deliveries.recv() => {
                    Box::pin(self.deliver(delivery, &mut deliveries)).await?;
                }
            }
        }
    }

    async fn hear(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
        init_deadline: Instant,
    ) -> Result<(), End> {
        match message {
            Some(Ok(Message::Text(text))) => {
                let message = ClientMessage::parse(&text).map_err(|what| Close::invalid_message(&what))?;
                self.handle(message, init_deadline).await
            }
            Some(Ok(Message::Binary(_))) => Err(Close::NOT_TEXT.into()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_))) | None => Err(End::Gone),
            Some(Err(error)) if is_too_big(&error) => Err(Close::TOO_BIG.into()),
            Some(Err(_)) => Err(End::Gone),
        }
    }

    async fn handle(&mut self, message: ClientMessage, init_deadline: Instant) -> Result<(), End> {
        match message {
            ClientMessage::ConnectionInit(payload) => {
                if matches!(self.state, State::Ready { .. }) {
                    return Err(Close::SECOND_INIT.into());
                }
                let initialising = self.initialise(&payload);
                match timeout(init_deadline.duration_since(Instant::now()), initialising).await {
                    Ok(initialised) => initialised,
                    Err(_elapsed) => Err(Close::TRY_LATER.into()),
                }
            }
            ClientMessage::Ping(payload) => self.answer_ping(payload).await,
            ClientMessage::Pong => Ok(()),
            ClientMessage::Subscribe { id, params } => {
                let State::Ready { viewer } = &self.state else { return Err(Close::UNAUTHORIZED.into()) };
                let engine = &self.transport.engine;
                match self.operations.start(engine, viewer.as_ref(), &id, *params)? {
                    Some(refusal) => self.send(refusal).await,
                    None => Ok(()),
                }
            }
            ClientMessage::Complete { id } => {
                self.operations.stop(&id);
                Ok(())
            }
        }
    }

    async fn initialise(&mut self, payload: &Payload) -> Result<(), End> {
        let viewer = match payload.credentials() {
            Credentials::Token(token) => Some(self.authenticate(token).await?),
            Credentials::Absent if !self.transport.settings.socket.require_token => None,
            Credentials::Absent => return Err(Close::TOKEN_REQUIRED.into()),
            Credentials::Unusable => return Err(Close::forbidden("the token is not a bearer token").into()),
        };
        let payload = viewer.as_ref().map(|viewer| TokenState::new(viewer.expires_at()));
        self.state = State::Ready { viewer };
        self.say(&ServerMessage::ConnectionAck { payload }).await
    }

    /// A `ping` that brings a token renews the session's own.
    async fn answer_ping(&mut self, ping: Payload) -> Result<(), End> {
        let payload = match (ping.credentials(), &self.state) {
            (Credentials::Absent, _) => ping.0.map(PongPayload::Echo),
            // Before the session begins there is nothing to renew; and a token is never sent back.
            (_, State::New) => None,
            (Credentials::Token(token), State::Ready { viewer }) => {
                let renewing = self.authenticate(token);
                let renewed = match timeout(self.transport.settings.socket.init_wait, renewing).await {
                    Ok(renewed) => renewed?,
                    Err(_elapsed) => return Err(Close::TRY_LATER.into()),
                };
                if !viewer.as_ref().is_some_and(|viewer| is_same_identity(viewer, &renewed)) {
                    return Err(Close::OTHER_IDENTITY.into());
                }
                let state = TokenState::new(renewed.expires_at());
                self.state = State::Ready { viewer: Some(renewed) };
                Some(PongPayload::Renewed(state))
            }
            (Credentials::Unusable, State::Ready { .. }) => {
                return Err(Close::forbidden("the token is not a bearer token").into());
            }
        };
        self.say(&ServerMessage::Pong { payload }).await
    }

    async fn authenticate(&self, token: &str) -> Result<Viewer, End> {
        match self.transport.authenticator.authenticate(token).await {
            Ok(viewer) => Ok(viewer),
            Err(Error::Unavailable { .. }) => Err(Close::TRY_LATER.into()),
            Err(error) => Err(Close::forbidden(&error.message()).into()),
        }
    }

    fn check_expiry(&self) -> Result<(), End> {
        match self.state.viewer() {
            Some(viewer) if viewer.expires_at() <= clock::now() => Err(Close::TOKEN_EXPIRED.into()),
            _ => Ok(()),
        }
    }

    async fn say(&mut self, message: &ServerMessage<'_>) -> Result<(), End> {
        match message.to_frame() {
            Ok(frame) => self.send(frame).await,
            Err(error) => {
                tracing::error!(cause = %error, "a message could not be written");
                Err(End::Gone)
            }
        }
    }

    /// Sends a frame, and what waits behind it, in one write as long as it is short.
    async fn deliver(&mut self, first: Box<Delivery>, others: &mut Deliveries) -> Result<(), End> {
        let Self { sink, operations, transport, .. } = self;
        let sending = async {
            let (mut next, mut bytes) = (Some(first), 0);
            while let Some(delivery) = next.take() {
                if let Some(frame) = operations.deliver(*delivery) {
                    bytes += frame_bytes(&frame);
                    sink.feed(frame).await?;
                }
                if bytes < WRITE_BYTES_MAX {
                    next = others.try_recv().ok();
                }
            }
            sink.flush().await
        };
        in_time(transport.settings.socket.send_wait, sending).await
    }

    /// A peer that does not read is cut: everything else in the loop waits while this does.
    async fn send(&mut self, frame: Message) -> Result<(), End> {
        in_time(self.transport.settings.socket.send_wait, self.sink.send(frame)).await
    }

    /// Without the flush, and without reading what is still on its way, the peer would see 1006 and no reason.
    async fn say_goodbye(self, mut incoming: SplitStream<WebSocket>, end: End) {
        let Self { mut sink, operations, .. } = self;
        drop(operations);
        let goodbye = async {
            if let End::Close(close) = end {
                tracing::debug!(code = close.code, reason = %close.reason, "closing a socket");
                let is_too_big = close.code == Close::TOO_BIG.code;
                if sink.send(close.into_frame()).await.is_ok() {
                    while let Some(Ok(_)) = incoming.next().await {}
                    if is_too_big {
                        // What the peer is still sending cannot be read; a connection that is dropped meanwhile takes
                        // the close frame with it.
                        sleep(LINGER).await;
                    }
                }
            }
            sink.close().await
        };
        let _ = timeout(CLOSE_WAIT, goodbye).await;
    }
}

async fn in_time(
    longest: Duration,
    sending: impl Future<Output = Result<(), axum::Error>>,
) -> Result<(), End> {
    match timeout(longest, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}

fn frame_bytes(frame: &Message) -> usize {
    match frame {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

/// A running operation keeps the rights that it began with, so a renewed token may not have others.
fn is_same_identity(current: &Viewer, renewed: &Viewer) -> bool {
    current.user_id() == renewed.user_id()
        && current.tenant_id() == renewed.tenant_id()
        && current.role() == renewed.role()
}

fn next_expiry_check(viewer: Option<&Viewer>) -> Instant {
    let left = viewer.and_then(|viewer| (viewer.expires_at() - clock::now()).to_std().ok());
    Instant::now() + left.unwrap_or_default().min(EXPIRY_CHECK_MAX)
}

async fn is_true(flag: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = flag.wait_for(|is_set| *is_set).await;
}

/// axum hides the type of this error; a test holds the text.
fn is_too_big(error: &axum::Error) -> bool {
    error.to_string().contains("Message too long")
}
