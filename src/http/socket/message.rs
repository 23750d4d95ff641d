//! The messages of graphql-transport-ws: what a client may send, strictly, and what the server sends.

use std::borrow::Cow;

use axum::extract::ws::Message;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::auth::bearer;
use crate::clock::Timestamp;
use crate::graphql::Outcome;
use crate::graphql::guard::Params;
use crate::http::params;

/// What a client says.
pub(super) enum ClientMessage {
    ConnectionInit(Payload),
    Ping(Payload),
    Pong,
    Subscribe { id: String, params: Box<Params> },
    Complete { id: String },
}

/// The free-form payload of `connection_init`, `ping` and `pong`.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Payload(pub(super) Option<Map<String, Value>>);

/// What a payload says about who is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credentials<'a> {
    Absent,
    Token(&'a str),
    Unusable,
}

impl Payload {
    pub(super) fn credentials(&self) -> Credentials<'_> {
        let value = self
            .0
            .as_ref()
            .and_then(|fields| fields.get("authorization").or_else(|| fields.get("Authorization")));
        match value {
            None | Some(Value::Null) => Credentials::Absent,
            Some(value) => match value.as_str().and_then(bearer_or_bare) {
                Some(token) => Credentials::Token(token),
                None => Credentials::Unusable,
            },
        }
    }
}

impl ClientMessage {
    /// Reads a message, or says in a few words why it is none.
    pub(super) fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(rename = "type", borrow)]
            kind: Cow<'a, str>,
            id: Option<String>,
            #[serde(borrow)]
            payload: Option<&'a RawValue>,
        }
        // serde would also read a struct from a list of its values.
        if !text.trim_start().starts_with('{') {
            return Err("not a JSON object".into());
        }
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_error| "not of the protocol")?;
        let payload = || payload(envelope.payload);
        let id = envelope.id.filter(|id| !id.is_empty());
        match &*envelope.kind {
            "connection_init" => Ok(Self::ConnectionInit(payload()?)),
            "ping" => Ok(Self::Ping(payload()?)),
            "pong" => payload().map(|_| Self::Pong),
            "subscribe" => {
                let payload = envelope.payload.ok_or("subscribe without a payload")?;
                let params = params::from_json(payload.get().as_bytes()).map_err(|malformed| {
                    Cow::Owned(format!("payload, {}: {}", malformed.field, malformed.message))
                })?;
                let id = id.ok_or("subscribe without an id")?;
                Ok(Self::Subscribe { id, params: Box::new(params) })
            }
            "complete" => Ok(Self::Complete { id: id.ok_or("complete without an id")? }),
            _ => Err("unknown type".into()),
        }
    }
}

/// The token of `Bearer <token>`, or of a bare token, as clients put it into `connectionParams`.
fn bearer_or_bare(authorization: &str) -> Option<&str> {
    let text = authorization.trim();
    if text.contains(' ') { bearer(text) } else { (!text.is_empty()).then_some(text) }
}

fn payload(payload: Option<&RawValue>) -> Result<Payload, Cow<'static, str>> {
    let Some(payload) = payload else { return Ok(Payload(None)) };
    let fields = serde_json::from_str(payload.get()).map_err(|_error| "the payload is not an object")?;
    Ok(Payload(fields))
}

/// What the server says.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage<'a> {
    ConnectionAck {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<TokenState>,
    },
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<PongPayload>,
    },
    Next {
        id: &'a str,
        payload: &'a Outcome,
    },
    Error {
        id: &'a str,
        payload: &'a [async_graphql::ServerError],
    },
    Complete {
        id: &'a str,
    },
}

/// When the token of a session ends.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenState {
    expires_at: String,
}

impl TokenState {
    pub(super) fn new(expires_at: Timestamp) -> Self {
        Self { expires_at: expires_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true) }
    }
}

/// A `pong` answers with what the `ping` brought, or with the state of the renewed token.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum PongPayload {
    Echo(Map<String, Value>),
    Renewed(TokenState),
}

/// What every `next` of one operation begins with.
pub(super) fn next_head(id: &str) -> Box<str> {
    format!(r#"{{"type":"next","id":{},"payload":"#, Value::from(id)).into()
}

/// A `next` whose payload is JSON text already.
pub(super) fn next_frame(head: &str, payload: &str) -> Message {
    Message::Text([head, payload, "}"].concat().into())
}

impl ServerMessage<'_> {
    /// As a text frame.
    pub(super) fn to_frame(&self) -> Result<Message, serde_json::Error> {
        serde_json::to_string(self).map(|text| Message::Text(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_the_protocol_is_refused() {
        for text in [
            "",
            "null",
            "[]",
            r#"["ping"]"#,
            "{",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"start","id":"1","payload":{"query":"{a}"}}"#,
            r#"{"type":"stop","id":"1"}"#,
            r#"{"type":"connection_terminate"}"#,
            r#"{"type":"connection_init","payload":"x"}"#,
            r#"{"type":"connection_init","payload":[]}"#,
            r#"{"type":"ping","payload":1}"#,
            r#"{"type":"pong","payload":"x"}"#,
            r#"{"type":"complete"}"#,
            r#"{"type":"complete","id":""}"#,
            r#"{"type":"complete","id":1}"#,
            r#"{"type":"subscribe","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","id":"1","payload":null}"#,
            r#"{"type":"subscribe","id":"1","payload":{}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":1}}"#,
            r#"{"type":"subscribe","id":"1","payload":["{a}"]}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":"x"}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","operationName":1}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","extensions":[]}}"#,
        ] {
            assert!(ClientMessage::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_frame_that_is_put_together_is_the_message() {
        for id in ["1", "a\"b\\c\n\u{1}é\u{2028}"] {
            let Message::Text(text) = next_frame(&next_head(id), r#"{"data":{"a":"\"}"}}"#) else {
                panic!("not a text")
            };
            let message: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                message,
                serde_json::json!({ "type": "next", "id": id, "payload": { "data": { "a": "\"}" } } })
            );
        }
    }

    #[test]
    fn a_payload_may_be_absent_or_null_and_keys_may_stand_in_any_order() {
        for text in [
            r#"{"type":"connection_init"}"#,
            r#"{"type":"connection_init","payload":null}"#,
            r#"{"payload":{"a":1},"type":"connection_init"}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"pong","payload":{}}"#,
            r#"{"type":"complete","id":"1"}"#,
            r#"{"payload":{"query":"{a}","variables":null},"id":"1","type":"subscribe"}"#,
        ] {
            assert!(ClientMessage::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_token_stands_under_either_spelling() {
        let read = |json: &str| Payload(serde_json::from_str(json).unwrap());
        assert_eq!(read("null").credentials(), Credentials::Absent);
        assert_eq!(read("{}").credentials(), Credentials::Absent);
        assert_eq!(read(r#"{"authorization":"Bearer t"}"#).credentials(), Credentials::Token("t"));
        assert_eq!(read(r#"{"Authorization":"t"}"#).credentials(), Credentials::Token("t"));
        assert_eq!(read(r#"{"authorization":"Basic t"}"#).credentials(), Credentials::Unusable);
        assert_eq!(read(r#"{"authorization":1}"#).credentials(), Credentials::Unusable);
        assert_eq!(read(r#"{"authorization":""}"#).credentials(), Credentials::Unusable);
    }
}
