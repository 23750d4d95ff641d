//! A client of the WebSocket API: `graphql-transport-ws`, with everything that the protocol lets one see.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    task::AbortHandle,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::{Client, Refusal, Server, soon};

const PROTOCOL: &str = "graphql-transport-ws";

/// One connection. Dropping it cuts it.
#[derive(Debug)]
pub(crate) struct Socket {
    outgoing: mpsc::UnboundedSender<Message>,
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What the task that owns the connection tells the test.
#[derive(Debug)]
struct Shared {
    subscriptions: Mutex<HashMap<String, mpsc::UnboundedSender<Event>>>,
    acknowledged: watch::Sender<bool>,
    pongs: mpsc::UnboundedSender<Value>,
    pongs_received: tokio::sync::Mutex<mpsc::UnboundedReceiver<Value>>,
    closed: watch::Sender<Option<u16>>,
    next_id: AtomicU64,
}

/// What happened to a subscription.
#[derive(Debug)]
pub(crate) enum Event {
    /// The `data` of a `next` message.
    Next(Value),
    /// It failed, or never began.
    Refused(Refusal),
    /// The server has ended it.
    Complete,
    /// The connection is gone, with this close code.
    Closed(u16),
}

/// A running subscription.
#[derive(Debug)]
pub(crate) struct Subscription {
    id: String,
    events: mpsc::UnboundedReceiver<Event>,
    outgoing: mpsc::UnboundedSender<Message>,
}

/// What a close without a close frame counts as.
const ABNORMAL: u16 = 1006;

impl Socket {
    /// A connection on which `connection_init` has not been sent.
    pub(crate) async fn open(server: &Server) -> Result<Self, Error> {
        let mut request = server.socket_url().into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(PROTOCOL));
        let (stream, response) = connect_async(request).await?;
        assert_eq!(response.headers()["sec-websocket-protocol"], PROTOCOL);

        let (outgoing, to_send) = mpsc::unbounded_channel();
        let (pongs, pongs_received) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            subscriptions: Mutex::default(),
            acknowledged: watch::Sender::new(false),
            pongs,
            pongs_received: tokio::sync::Mutex::new(pongs_received),
            closed: watch::Sender::new(None),
            next_id: AtomicU64::new(1),
        });
        let task = tokio::spawn(Arc::clone(&shared).run(stream, to_send)).abort_handle();
        Ok(Self { outgoing, shared, task })
    }

    /// A connection of `client`, acknowledged.
    pub(crate) async fn connect(client: &Client) -> Self {
        Self::try_connect(client.server(), client.token()).await.expect("the server accepts the socket")
    }

    /// A connection with `token`, or the reason why there is none.
    pub(crate) async fn try_connect(server: &Server, token: Option<&str>) -> Result<Self, Cut> {
        let socket = Self::open(server).await.map_err(|_| Cut(ABNORMAL))?;
        let payload = token.map(|token| json!({ "Authorization": format!("Bearer {token}") }));
        socket.send(&json!({ "type": "connection_init", "payload": payload }));
        let mut acknowledged = socket.shared.acknowledged.subscribe();
        tokio::select! {
            answer = soon("connection_ack", acknowledged.wait_for(|acknowledged| *acknowledged)) => {
                drop(answer.expect("the socket is ours"));
            }
            code = socket.closed() => return Err(Cut(code)),
        }
        Ok(socket)
    }

    /// Sends any message.
    pub(crate) fn send(&self, message: &Value) {
        // A closed connection shows in what the test waits for next.
        let _ = self.outgoing.send(Message::text(message.to_string()));
    }

    pub(crate) fn subscribe(&self, document: &str, variables: Value) -> Subscription {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed).to_string();
        let (sender, events) = mpsc::unbounded_channel();
        self.shared.route(&id, sender);
        let mut payload = json!({ "query": document });
        payload["variables"] = variables;
        self.send(&json!({ "id": id, "type": "subscribe", "payload": payload }));
        Subscription { id, events, outgoing: self.outgoing.clone() }
    }

    /// Renews the token in place; the answer's payload.
    pub(crate) async fn renew(&self, token: &str) -> Result<Value, Cut> {
        self.send(&json!({ "type": "ping", "payload": { "authorization": format!("Bearer {token}") } }));
        let mut pongs = self.shared.pongs_received.lock().await;
        tokio::select! {
            payload = soon("pong", pongs.recv()) => Ok(payload.expect("the socket is ours")),
            code = self.closed() => Err(Cut(code)),
        }
    }

    /// The code that the server closes it with.
    pub(crate) async fn closed(&self) -> u16 {
        let mut closed = self.shared.closed.subscribe();
        let code =
            *soon("the socket's end", closed.wait_for(Option::is_some)).await.expect("the socket is ours");
        code.expect("it was waited for")
    }

    /// Drops the connection without a word, as a bad network does.
    pub(crate) fn cut(&self) {
        self.task.abort();
        self.shared.close(ABNORMAL);
    }
}

/// The close code of a connection that came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut(pub(crate) u16);

impl Drop for Socket {
    fn drop(&mut self) {
        self.cut();
    }
}

impl Shared {
    async fn run(
        self: Arc<Self>,
        mut stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
        mut to_send: mpsc::UnboundedReceiver<Message>,
    ) {
        let code = loop {
            tokio::select! {
                message = to_send.recv() => {
                    let Some(message) = message else { break ABNORMAL };
                    if stream.send(message).await.is_err() { break ABNORMAL }
                }
                message = stream.next() => match message {
                    Some(Ok(Message::Text(text))) => self.receive(&stream_json(&text)),
                    Some(Ok(Message::Close(frame))) => break frame.map_or(1005, |frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => break ABNORMAL,
                },
            }
        };
        self.close(code);
    }

    fn receive(&self, message: &Value) {
        let payload = &message["payload"];
        match message["type"].as_str().expect("a message has a type") {
            "connection_ack" => {
                self.acknowledged.send_replace(true);
            }
            "next" => match payload.get("errors") {
                None => self.tell(message, Event::Next(payload["data"].clone()), false),
                Some(errors) => self.tell(message, refused(errors), false),
            },
            "error" => self.tell(message, refused(payload), true),
            "complete" => self.tell(message, Event::Complete, true),
            "pong" => drop(self.pongs.send(payload.clone())),
            "ping" => {}
            other => panic!("the protocol has no message {other}"),
        }
    }

    fn route(&self, id: &str, sender: mpsc::UnboundedSender<Event>) {
        let mut subscriptions = self.subscriptions.lock().expect("no holder panics");
        match *self.closed.borrow() {
            None => drop(subscriptions.insert(id.into(), sender)),
            // The receiver is the caller's, and alive.
            Some(code) => drop(sender.send(Event::Closed(code))),
        }
    }

    fn tell(&self, message: &Value, event: Event, last: bool) {
        let id = message["id"].as_str().expect("it is about one operation");
        let mut subscriptions = self.subscriptions.lock().expect("no holder panics");
        let route = if last { subscriptions.remove(id) } else { subscriptions.get(id).cloned() };
        // The test may have dropped its end.
        route.map(|route| route.send(event));
    }

    fn close(&self, code: u16) {
        let mut subscriptions = self.subscriptions.lock().expect("no holder panics");
        self.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert(code);
            first
        });
        for (_, route) in subscriptions.drain() {
            // The test may have dropped its end.
            let _ = route.send(Event::Closed(code));
        }
    }
}

impl Subscription {
    /// The data of the next event, which must be one.
    pub(crate) async fn next(&mut self) -> Value {
        match self.event().await {
            Event::Next(data) => data,
            other => panic!("an event was due, and this came: {other:?}"),
        }
    }

    /// Waits for the end, and for nothing before it.
    pub(crate) async fn completed(&mut self) {
        match self.event().await {
            Event::Complete => {}
            other => panic!("the end was due, and this came: {other:?}"),
        }
    }

    /// Waits for the refusal, and for nothing before it.
    pub(crate) async fn refused(&mut self) -> Refusal {
        match self.event().await {
            Event::Refused(refusal) => refusal,
            other => panic!("a refusal was due, and this came: {other:?}"),
        }
    }

    /// What comes next, soon.
    pub(crate) async fn event(&mut self) -> Event {
        soon("an event", self.event_whenever()).await
    }

    /// What comes next, however long it takes.
    pub(crate) async fn event_whenever(&mut self) -> Event {
        self.events.recv().await.expect("the socket says how each subscription ends")
    }

    /// Whether nothing has come that was not asked for.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.events.try_recv().is_err()
    }

    /// Says that no more is wanted.
    pub(crate) fn complete(&self) {
        // A closed connection needs no telling.
        let _ = self.outgoing.send(Message::text(json!({ "id": self.id, "type": "complete" }).to_string()));
    }
}

fn refused(errors: &Value) -> Event {
    Event::Refused(Refusal { status: 200, errors: errors.as_array().expect("errors are a list").clone() })
}

fn stream_json(text: &str) -> Value {
    serde_json::from_str(text).expect("messages are JSON")
}
