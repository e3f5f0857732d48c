//! What is said, and the codes with which a connection is closed.

use serde::Deserialize;
use serde_json::{Value, json};

use super::schema::Asked;
use crate::error::Error;
use crate::http::error_object;

/// The name of the protocol.
pub(super) const PROTOCOL: &str = "graphql-transport-ws";

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said {
    ConnectionInit {
        #[serde(default)]
        payload: Value,
    },
    Ping {},
    Pong {},
    Subscribe {
        id: String,
        payload: Asked,
    },
    Complete {
        id: String,
    },
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

macro_rules! closings {
    ($($(#[$doc:meta])* $name:ident = $code:literal $reason:literal;)+) => {
        impl Closing {
            $($(#[$doc])* pub(super) const $name: Self = Self { code: $code, reason: $reason };)+
        }
    };
}

closings! {
    GONE = 1001 "The client says nothing any more";
    ENDING = 1001 "The service ends: connect again";
    TOO_LONG = 1009 "The message is too long";
    BAD_MESSAGE = 4400 "Invalid message received";
    UNAUTHORIZED = 4401 "Unauthorized";
    NO_PROTOCOL = 4406 "Subprotocol not acceptable: this service speaks graphql-transport-ws";
    NOT_SIGNED_IN = 4408 "Connection initialisation timeout";
    SAME_ID = 4409 "Subscriber for this id already exists";
    TWICE = 4429 "Too many initialisation requests";
}

impl Closing {
    pub(super) const fn forbidden(reason: &'static str) -> Self {
        Self { code: 4403, reason }
    }
}

/// What is said to a client.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) text: String,
    /// Whether it is the last of its operation.
    pub(super) is_last: bool,
}

impl Message {
    fn of(id: &str, kind: &str, payload: &str) -> String {
        format!(
            "{{\"id\":{},\"type\":\"{kind}\",\"payload\":{payload}}}",
            json!(id)
        )
    }

    /// An answer, as JSON: it stays as it was written, because the order of its fields is that of the question.
    pub(super) fn next(id: &str, answer: &str) -> Self {
        Self {
            text: Self::of(id, "next", answer),
            is_last: false,
        }
    }

    /// The errors with which an operation ends, as JSON.
    pub(super) fn errors(id: &str, errors: &str) -> Self {
        Self {
            text: Self::of(id, "error", errors),
            is_last: true,
        }
    }

    pub(super) fn error(id: &str, error: Error) -> Self {
        Self::errors(id, &json!([error_object(error)]).to_string())
    }

    pub(super) fn complete(id: &str) -> Self {
        Self {
            text: json!({ "id": id, "type": "complete" }).to_string(),
            is_last: true,
        }
    }

    pub(super) fn acknowledged() -> Self {
        Self {
            text: json!({ "type": "connection_ack" }).to_string(),
            is_last: false,
        }
    }

    pub(super) fn pong() -> Self {
        Self {
            text: json!({ "type": "pong" }).to_string(),
            is_last: false,
        }
    }
}
