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
    TOO_LONG = 1009 "The message is too long";
    BAD_MESSAGE = 4400 "Invalid message received";
    UNAUTHORIZED = 4401 "Unauthorized";
    NO_PROTOCOL = 4406 "Subprotocol not acceptable";
    NOT_SIGNED_IN = 4408 "Connection initialisation timeout";
    SAME_ID = 4409 "Subscriber for this id already exists";
    TWICE = 4429 "Too many initialisation requests";
}

impl Closing {
    pub(super) const fn forbidden(reason: &'static str) -> Self {
        Self { code: 4403, reason }
    }
}

pub(super) fn acknowledged() -> Value {
    json!({ "type": "connection_ack" })
}

pub(super) fn pong() -> Value {
    json!({ "type": "pong" })
}

pub(super) fn next(id: &str, payload: &Value) -> Value {
    json!({ "id": id, "type": "next", "payload": payload })
}

pub(super) fn error(id: &str, error: Error) -> Value {
    json!({ "id": id, "type": "error", "payload": [error_object(error)] })
}

/// The errors with which an operation ends, as Juniper writes them.
pub(super) fn errors(id: &str, errors: &Value) -> Value {
    json!({ "id": id, "type": "error", "payload": errors })
}

pub(super) fn complete(id: &str) -> Value {
    json!({ "id": id, "type": "complete" })
}
