//! GraphQL over a websocket (graphql-transport-ws): the login comes in `connection_init`, and the socket only reads.
//!
//! A socket lives longer than a token: the login is checked again for every operation, which costs a hash. What changes
//! something needs a task of its own, and the headers of a socket belong to no operation; so mutations go over POST.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;
use juniper::{DefaultScalarValue, InputValue, ScalarValue, Variables};
use juniper_axum::subscriptions::serve_graphql_transport_ws;
use juniper_graphql_ws::ConnectionConfig;
use koherent_core::Attribution;

use crate::graphql::{Channel, Lab};
use crate::server::{App, MAX_BODY};

/// Upgrades to a websocket. Nobody is signed in before `connection_init`.
pub(crate) async fn upgrade(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .protocols(["graphql-transport-ws"])
        .max_message_size(MAX_BODY)
        .on_upgrade(move |socket| {
            let schema = Arc::clone(&app.schema);
            serve_graphql_transport_ws(socket, schema, |payload| sign_in(app, payload))
        })
}

/// Signs in with the `token` of the payload: `{"type": "connection_init", "payload": {"token": "…"}}`.
async fn sign_in(
    app: App,
    payload: Variables<DefaultScalarValue>,
) -> Result<ConnectionConfig<Lab, DefaultScalarValue>, koherent_core::Error> {
    let token = payload.get("token").and_then(InputValue::as_scalar);
    let token = token
        .and_then(ScalarValue::try_to_string)
        .unwrap_or_default();
    let token: Arc<str> = token.into();
    let principal = app.access.verify_with_refresh(&token).await;
    let principal = principal.inspect_err(|error| {
        tracing::warn!(reason = error.reason(), "websocket refused: {error}");
    })?;
    let context = Lab {
        pool: app.pool,
        attribution: Attribution::of(principal),
        channel: Channel::Socket {
            verifier: app.access,
            token,
        },
    };
    Ok(ConnectionConfig::new(context))
}
