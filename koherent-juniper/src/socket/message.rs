//! What is said, and the codes with which a connection is closed.

use juniper::{DefaultScalarValue, InputValue};
use serde::Deserialize;
use serde_json::{Value, json};

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
        payload: Subscribe,
    },
    Complete {
        id: String,
    },
}

/// An operation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subscribe {
    pub(super) query: String,
    #[serde(default)]
    pub(super) operation_name: Option<String>,
    #[serde(default)]
    pub(super) variables: Option<InputValue<DefaultScalarValue>>,
    #[serde(default)]
    pub(super) extensions: Option<Value>,
}

impl Subscribe {
    /// The token of its task. What is there and is no text is wrong, not absent.
    pub(super) fn task_token(&self) -> Result<Option<String>, ()> {
        match self.extensions.as_ref().map(|all| &all["rekuestTask"]) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(token)) => Ok(Some(token.clone())),
            Some(_) => Err(()),
        }
    }
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

pub(super) fn complete(id: &str) -> Value {
    json!({ "id": id, "type": "complete" })
}
