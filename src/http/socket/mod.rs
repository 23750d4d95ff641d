//! graphql-transport-ws, to the letter: queries, mutations and subscriptions on one WebSocket.
//!
//! Promises:
//! - a socket that says nothing is closed after 10 s, one whose token expires at that moment, one whose peer is gone
//!   or does not read within half a minute;
//! - what is wrong with one operation is an `error` of that operation; what is wrong with the conversation closes it
//!   with the protocol's code;
//! - after a client's `complete`, nothing more comes for that id; after ours, the id is free again;
//! - an operation never buffers: when the client reads slowly, the operation waits;
//! - frames that wait for the same peer leave in one write, and one that comes alone leaves at once.
//!
//! | code | when | client |
//! |---|---|---|
//! | 1001 | the server stops, or the peer does not answer pings | tries again |
//! | 1009 | a message over 1 MiB | gives up |
//! | 1013 | tokens cannot be verified now | tries again |
//! | 4400 | a message that is not of the protocol | gives up |
//! | 4401 | `subscribe` before `connection_ack` | gives up |
//! | 4403 | no token, a token that is not valid, or one that has expired | tries again, with a new token |
//! | 4406 | another sub-protocol, or none | gives up |
//! | 4408 | no `connection_init` in time | tries again |
//! | 4409 | an id that is in use | gives up |
//! | 4429 | a second `connection_init` | gives up |
//!
//! A token is renewed in place: a `ping` with `{"authorization": "Bearer …"}` is answered by a `pong` with
//! `{"expiresAt": …}`, and running operations keep streaming.

mod close;
mod message;
mod operations;
mod session;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts as _, Request};
use axum::response::{IntoResponse as _, Response};

use crate::domain::limits::SOCKET_MESSAGE_BYTES_MAX;

use super::Transport;
use super::listen::Place;

/// The only sub-protocol. The legacy one, `graphql-ws`, is not offered.
const PROTOCOL: &str = "graphql-transport-ws";

/// Small, as each connection has it, also while it waits: the default is 128 KiB. So much of a long message is read at a time.
const READ_BUFFER_BYTES: usize = 1024;
/// Frames that wait leave in one write until they come to so much. It is no memory that a connection has: what is sent by
/// itself leaves at once.
const WRITE_BYTES_MAX: usize = 16 * 1024;

/// How long a socket waits for what.
#[derive(Debug, Clone)]
pub struct SocketSettings {
    /// From the handshake to `connection_init`.
    pub init_wait: Duration,
    /// Between two pings of the server.
    pub ping_interval: Duration,
    /// From a ping to any sign of life.
    pub pong_wait: Duration,
    /// For the peer to take one frame.
    pub send_wait: Duration,
    /// Whether `connection_init` must bring a token. Without one, resolvers turn an anonymous caller away.
    pub require_token: bool,
}

impl Default for SocketSettings {
    fn default() -> Self {
        Self {
            init_wait: Duration::from_secs(10),
            ping_interval: Duration::from_secs(20),
            pong_wait: Duration::from_secs(10),
            send_wait: Duration::from_secs(10),
            require_token: true,
        }
    }
}

/// Answers the handshake, and serves the socket in a task of its own.
pub(super) async fn accept(transport: Transport, request: Request) -> Response {
    let (mut parts, _body) = request.into_parts();
    let place: Option<Place> = parts.extensions.remove();
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade
            .protocols([PROTOCOL])
            .max_message_size(SOCKET_MESSAGE_BYTES_MAX.to_usize())
            .max_frame_size(SOCKET_MESSAGE_BYTES_MAX.to_usize())
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BYTES_MAX)
            .on_upgrade(move |socket| session::serve(socket, transport, place)),
        Err(rejection) => rejection.into_response(),
    }
}
