//! What a socket promises beyond the conversation (`tests/clients/socket.mjs`): limits, ends, and bad company.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::auth::toy::token;
use crate::http::toy::Server;
use crate::http::{SocketSettings, TransportSettings, toy};

const CHANGES: &str = "subscription { executionsChanged { kind cursor } }";
/// Longer than anything here may take.
const TOO_LONG: Duration = Duration::from_secs(20);

struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn open(server: &Server) -> Self {
        let mut request = server.socket_url().into_client_request().unwrap();
        let protocol = HeaderValue::from_static("graphql-transport-ws");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let stream = TcpStream::connect(server.address).await.unwrap();
        Self(client_async(request, stream).await.unwrap().0)
    }

    async fn ready(server: &Server, milliseconds: i64) -> Self {
        let mut client = Self::open(server).await;
        let authorization = token("alice", "acme", milliseconds);
        client
            .say(&json!({ "type": "connection_init", "payload": { "authorization": authorization } }))
            .await;
        assert_eq!(client.hear().await["type"], "connection_ack");
        client
    }

    async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(&json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
    }

    async fn next(&mut self) -> Option<Result<Message, Error>> {
        timeout(TOO_LONG, self.0.next()).await.unwrap()
    }

    /// The next message.
    async fn hear(&mut self) -> Value {
        loop {
            match self.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// The code that the server closes with, whatever it says before; 1006 when it just goes.
    async fn close_code(&mut self) -> u16 {
        loop {
            match self.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return 1006,
            }
        }
    }
}

async fn server(socket: SocketSettings) -> Server {
    Server::start(TransportSettings { socket, ..toy::settings() }).await
}

async fn default_server() -> Server {
    server(SocketSettings::default()).await
}

#[tokio::test]
async fn a_socket_that_says_nothing_is_closed() {
    let server = server(SocketSettings { init_wait: Duration::from_millis(50), ..Default::default() }).await;
    assert_eq!(Client::open(&server).await.close_code().await, 4408);
}

#[tokio::test]
async fn a_shutdown_closes_every_socket_and_can_be_waited_for() {
    let server = default_server().await;
    let mut waiting = Client::open(&server).await;
    let mut busy = Client::ready(&server, 60_000).await;
    busy.subscribe("1", CHANGES).await;
    busy.hear().await;
    server.shutdown.send_replace(true);
    assert_eq!(waiting.close_code().await, 1001);
    assert_eq!(busy.close_code().await, 1001);
    let mut late = Client::open(&server).await;
    assert_eq!(late.close_code().await, 1001);
    let shutdown = server.shutdown.clone();
    drop((server, waiting, busy, late));
    timeout(TOO_LONG, shutdown.closed()).await.unwrap();
}

#[tokio::test]
async fn an_expired_token_closes_the_socket_in_the_middle_of_a_stream() {
    let server = default_server().await;
    // An expiry is in whole seconds.
    let mut client = Client::ready(&server, 1_500).await;
    let begun = Instant::now();
    client.subscribe("1", CHANGES).await;
    assert_eq!(client.close_code().await, 4403);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_renewed_token_outlives_the_first_and_the_stream_goes_on() {
    let server = default_server().await;
    let mut client = Client::ready(&server, 2_500).await;
    client.subscribe("1", CHANGES).await;
    let renewal = json!({ "authorization": format!("Bearer {}", token("alice", "acme", 60_000)) });
    client.say(&json!({ "type": "ping", "payload": renewal })).await;
    let begun = Instant::now();
    let (mut is_renewed, mut last_cursor) = (false, -1);
    while begun.elapsed() < Duration::from_millis(3_000) {
        let message = client.hear().await;
        if message["type"] == "pong" {
            is_renewed = message["payload"]["expiresAt"].is_string();
        } else {
            let cursor = message["payload"]["data"]["executionsChanged"]["cursor"].as_str().unwrap();
            let cursor: i32 = cursor.parse().unwrap();
            assert_eq!(cursor, last_cursor + 1, "the stream was interrupted");
            last_cursor = cursor;
        }
    }
    assert!(is_renewed);
}

#[tokio::test]
async fn a_renewal_for_another_user_or_tenant_is_refused() {
    for (user, tenant) in [("bob", "acme"), ("alice", "other")] {
        let server = default_server().await;
        let mut client = Client::ready(&server, 60_000).await;
        let renewal = json!({ "authorization": token(user, tenant, 60_000) });
        client.say(&json!({ "type": "ping", "payload": renewal })).await;
        assert_eq!(client.close_code().await, 4403, "{user} of {tenant}");
    }
}

#[tokio::test]
async fn without_a_token_a_socket_is_anonymous_where_that_is_allowed() {
    let server = server(SocketSettings { require_token: false, ..Default::default() }).await;
    let mut client = Client::open(&server).await;
    client.say(&json!({ "type": "connection_init" })).await;
    assert_eq!(client.hear().await, json!({ "type": "connection_ack" }));
    client.subscribe("1", "{ viewer { userId } }").await;
    let answer = client.hear().await;
    assert_eq!(answer["payload"]["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    assert_eq!(client.hear().await, json!({ "type": "complete", "id": "1" }));
}

#[tokio::test]
async fn a_peer_that_does_not_answer_pings_is_closed() {
    let settings = SocketSettings {
        ping_interval: Duration::from_millis(50),
        pong_wait: Duration::from_millis(100),
        ..Default::default()
    };
    let server = server(settings).await;
    // A client that answers lives on.
    let mut client = Client::ready(&server, 60_000).await;
    client.subscribe("1", CHANGES).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(500) {
        client.hear().await;
    }
    // One that does not read does not answer either. Its silence is what is tried out, longer than a ping and its wait.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(client.close_code().await, 1001);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_and_holds_up_nobody() {
    let server = server(SocketSettings { send_wait: Duration::from_millis(100), ..Default::default() }).await;
    let mut other = Client::ready(&server, 60_000).await;
    let receivers_without_stuck = server.shutdown.receiver_count();
    let mut stuck = Client::ready(&server, 60_000).await;
    stuck.subscribe("1", "subscription { logTail(executionId: \"1\") { nextSeq padding } }").await;
    other.subscribe("1", CHANGES).await;
    // The other socket goes on while the connection's buffers fill up, and the stuck one ends by itself.
    while server.shutdown.receiver_count() > receivers_without_stuck {
        other.hear().await;
    }
    let mut last_seq = -1;
    loop {
        match stuck.next().await {
            Some(Ok(Message::Text(text))) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                let seq = message["payload"]["data"]["logTail"]["nextSeq"].as_i64().unwrap();
                assert_eq!(seq, last_seq + 1);
                last_seq = seq;
            }
            Some(Ok(Message::Close(_))) | Some(Err(_)) | None => break,
            Some(Ok(_)) => {}
        }
    }
    other.hear().await;
}

#[tokio::test]
async fn a_panic_is_an_error_of_its_operation_and_the_socket_goes_on() {
    let server = default_server().await;
    let mut client = Client::ready(&server, 60_000).await;
    client.subscribe("q", "{ panics }").await;
    let answer = client.hear().await;
    assert_eq!(answer["payload"]["errors"][0]["extensions"]["code"], "INTERNAL");
    assert_eq!(client.hear().await, json!({ "type": "complete", "id": "q" }));

    client.subscribe("s", "subscription { panics }").await;
    assert_eq!(client.hear().await["payload"], json!({ "data": { "panics": 0 } }));
    let answer = client.hear().await;
    assert_eq!(answer["payload"]["errors"][0]["extensions"]["code"], "INTERNAL");
    assert_eq!(client.hear().await, json!({ "type": "complete", "id": "s" }));
    client.subscribe("q", "{ __typename }").await;
    assert_eq!(client.hear().await["payload"], json!({ "data": { "__typename": "Query" } }));
}

#[tokio::test]
async fn a_slow_query_does_not_hold_up_the_others_and_stops_with_its_complete() {
    let server = default_server().await;
    let mut client = Client::ready(&server, 60_000).await;
    client.subscribe("slow", "{ slow(milliseconds: 60000) }").await;
    client.subscribe("fast", "{ __typename }").await;
    assert_eq!(client.hear().await["id"], "fast");
    assert_eq!(client.hear().await, json!({ "type": "complete", "id": "fast" }));
    client.say(&json!({ "type": "complete", "id": "slow" })).await;
    client.subscribe("slow", "{ __typename }").await;
    assert_eq!(client.hear().await["id"], "slow");
}

#[tokio::test]
async fn a_message_that_is_too_big_is_1009() {
    let server = default_server().await;
    let mut client = Client::ready(&server, 60_000).await;
    let text = " ".repeat(1024 * 1024 + 1);
    let _ = client.0.send(Message::text(text)).await;
    assert_eq!(client.close_code().await, 1009);
}
