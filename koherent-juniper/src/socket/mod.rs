//! GraphQL over a websocket, by the protocol graphql-transport-ws
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>).
//!
//! Headers belong to a connection, not to an operation, and a connection lives longer than a token. So a client signs in with
//! `connection_init`; each operation is judged anew, and brings the token of its task along, in `extensions.rekuestTask`.
//!
//! | file | idea |
//! | --- | --- |
//! | `message.rs` | what is said, and the codes with which a connection is closed |
//! | `service.rs` | what an application says: who signs in, and what the context of an operation is |
//! | `settings.rs` | origins, times, how many operations |
//! | `schema.rs` | the schema, whatever its types and its scalar |
//! | `operation.rs` | one operation, from its message to its answers |
//! | `connection.rs` | the connection: everything that can happen, in one loop |

mod connection;
mod message;
mod operation;
mod schema;
mod service;
mod settings;

pub use schema::SocketSchema;
pub use service::{Operation, SocketRefusal, SocketService};
pub use settings::{Mutations, Origins, SocketSettings};

use std::sync::Arc;

use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

use crate::limits::Limits;

/// The headers in which the token of a task stands, where it stands in headers.
const TASK_HEADERS: [&str; 4] = [
    "rekuest-task",
    "x-rekuest-task",
    "provenance-token",
    "x-provenance-token",
];

/// Upgrades a request to a websocket that speaks graphql-transport-ws, and serves it.
///
/// Browsers name the page that a connection comes from in `Origin`; one that is not allowed is answered 403. They send cookies
/// along with it, but nothing in the headers signs anybody in here. A task's token in the headers is answered 400: it is the
/// token of an operation, and must not count for nothing.
///
/// ```no_run
/// # use juniper::{EmptyMutation, EmptySubscription, RootNode};
/// # struct Query;
/// # #[juniper::graphql_object]
/// # impl Query { fn hello() -> &'static str { "hello" } }
/// use std::sync::Arc;
/// use axum::extract::ws::WebSocketUpgrade;
/// use axum::http::HeaderMap;
/// use koherent_juniper::socket::{Operation, SocketRefusal, SocketService, SocketSettings, upgrade};
/// use koherent_juniper::{Error, Limits};
///
/// #[derive(Clone)]
/// struct Service;
///
/// impl SocketService for Service {
///     type Session = String;
///     type Context = ();
///
///     async fn sign_in(&self, payload: serde_json::Value) -> Result<String, SocketRefusal> {
///         payload["token"].as_str().map(Into::into).ok_or(SocketRefusal("TOKEN_MISSING"))
///     }
///
///     async fn context(&self, _: &String, _: &Operation) -> Result<(), Error> {
///         Ok(())
///     }
///
///     async fn still_signed_in(&self, _: &String) -> Result<(), Error> {
///         Ok(())
///     }
/// }
///
/// # type Schema = RootNode<Query, EmptyMutation<()>, EmptySubscription<()>>;
/// async fn handler(headers: HeaderMap, request: WebSocketUpgrade, schema: Arc<Schema>) -> axum::response::Response {
///     upgrade(&headers, request, schema, Service, SocketSettings::default(), Limits::default())
/// }
/// ```
pub fn upgrade<T, V>(
    headers: &HeaderMap,
    request: WebSocketUpgrade,
    schema: Arc<T>,
    service: V,
    settings: SocketSettings,
    limits: Limits,
) -> Response
where
    T: SocketSchema,
    V: SocketService<Context = T::Context>,
{
    if TASK_HEADERS.iter().any(|name| headers.contains_key(*name)) {
        tracing::warn!("a websocket with the token of a task in its headers was refused");
        let text = "A connection belongs to no task: send the token in extensions.rekuestTask of each operation.\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    if !settings.origins.allow(headers) {
        tracing::warn!("a websocket from a page of another origin was refused");
        let text = "This page may not connect here: its origin is not allowed.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    request
        .protocols([message::PROTOCOL])
        .max_message_size(limits.body)
        .max_frame_size(limits.body)
        .on_upgrade(move |socket: WebSocket| {
            connection::serve(socket, schema, service, settings, limits)
        })
}
