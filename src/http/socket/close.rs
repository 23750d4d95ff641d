//! Why a socket is closed: a code of the protocol, and a reason that fits a close frame.

use std::borrow::Cow;

use axum::extract::ws::{CloseFrame, Message};

use crate::domain::limits::SOCKET_CLOSE_REASON_BYTES_MAX;

/// Code and reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) code: u16,
    pub(super) reason: Cow<'static, str>,
}

impl Close {
    pub(super) const SHUTTING_DOWN: Self = Self::new(1001, "Going away: the server is shutting down");
    pub(super) const NO_PONG: Self = Self::new(1001, "Going away: no answer to a ping");
    pub(super) const TOO_BIG: Self = Self::new(1009, "Message too big");
    pub(super) const TRY_LATER: Self = Self::new(1013, "Try again later: the token could not be verified");
    pub(super) const NOT_TEXT: Self = Self::new(4400, "Invalid message: only text is understood");
    pub(super) const UNAUTHORIZED: Self = Self::new(4401, "Unauthorized");
    pub(super) const TOKEN_REQUIRED: Self = Self::new(4403, "Forbidden: a token is required");
    pub(super) const TOKEN_EXPIRED: Self = Self::new(4403, "Forbidden: the token has expired");
    pub(super) const OTHER_IDENTITY: Self = Self::new(4403, "Forbidden: the new token is for someone else");
    pub(super) const PROTOCOL: Self = Self::new(4406, "Subprotocol not acceptable");
    pub(super) const INIT_TIMEOUT: Self = Self::new(4408, "Connection initialisation timeout");
    pub(super) const SECOND_INIT: Self = Self::new(4429, "Too many initialisation requests");

    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason) }
    }

    pub(super) fn invalid_message(what: &str) -> Self {
        Self { code: 4400, reason: format!("Invalid message: {what}").into() }
    }

    pub(super) fn forbidden(why: &str) -> Self {
        Self { code: 4403, reason: format!("Forbidden: {why}").into() }
    }

    pub(super) fn id_in_use(id: &str) -> Self {
        Self { code: 4409, reason: format!("Subscriber for {id} already exists").into() }
    }

    /// The frame; a reason that is too long would make the peer see 1006 instead of the code.
    pub(super) fn into_frame(self) -> Message {
        let max = self.reason.floor_char_boundary(SOCKET_CLOSE_REASON_BYTES_MAX.to_usize());
        Message::Close(Some(CloseFrame { code: self.code, reason: self.reason[..max].into() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_to_what_a_close_frame_holds_at_a_character() {
        let Message::Close(Some(frame)) = Close::id_in_use(&"é".repeat(200)).into_frame() else {
            panic!("not a close frame");
        };
        assert_eq!(frame.code, 4409);
        assert!((122..=123).contains(&frame.reason.len()), "{}", frame.reason.len());
    }
}
