//! GraphQL over a websocket (graphql-transport-ws): the login comes in `connection_init`, and the socket only reads.
//!
//! A socket lives longer than a token: the login is checked again for every operation, which costs a hash. What changes
//! something needs a task of its own, and the headers of a socket belong to no operation; so mutations go over POST.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::Response;
use juniper::{DefaultScalarValue, InputValue, ScalarValue, Variables};
use juniper_axum::subscriptions::serve_graphql_transport_ws;
use juniper_graphql_ws::ConnectionConfig;
use koherent_core::Attribution;

use crate::graphql::{Channel, Lab};
use crate::server::{App, MAX_BODY};

/// How long a socket may stay open without a login.
const SIGN_IN_WITHIN: Duration = Duration::from_secs(10);

/// How many operations a socket may have under way.
const OPERATIONS: usize = 16;

/// Upgrades to a websocket. Nobody is signed in before `connection_init`.
pub(crate) async fn upgrade(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .protocols(["graphql-transport-ws"])
        .max_message_size(MAX_BODY)
        .max_frame_size(MAX_BODY)
        .on_upgrade(move |socket| serve(app, socket))
}

/// Serves the socket to its end, or closes it when nobody signs in.
async fn serve(app: App, socket: WebSocket) {
    let schema = Arc::clone(&app.schema);
    let signed_in = Arc::new(AtomicBool::new(false));
    let signing_in = Arc::clone(&signed_in);
    let init = |payload| async move {
        let connection = sign_in(app, payload).await?;
        signing_in.store(true, Ordering::Release);
        Ok::<_, Refused>(connection)
    };
    let mut serving = pin!(serve_graphql_transport_ws(socket, schema, init));
    tokio::select! {
        () = &mut serving => return,
        () = tokio::time::sleep(SIGN_IN_WITHIN) => {}
    }
    if signed_in.load(Ordering::Acquire) {
        serving.await;
    }
}

/// Why a socket is closed, as its client sees it: the reason, and nothing else.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str);

/// Signs in with the `token` of the payload: `{"type": "connection_init", "payload": {"token": "…"}}`.
async fn sign_in(
    app: App,
    payload: Variables<DefaultScalarValue>,
) -> Result<ConnectionConfig<Lab, DefaultScalarValue>, Refused> {
    let token = payload.get("token").and_then(InputValue::as_scalar);
    let token = token.and_then(ScalarValue::try_to_string);
    let token: Arc<str> = token.unwrap_or_default().into();
    let principal = app.access.verify_with_refresh(&token).await;
    let principal = principal.map_err(|error| {
        tracing::warn!(reason = error.reason(), "websocket refused: {error}");
        Refused(error.reason())
    })?;
    let context = Lab {
        pool: app.pool,
        attribution: Attribution::of(principal),
        channel: Channel::Socket {
            verifier: app.access,
            token,
        },
    };
    // Clients do not ping by themselves; one that is quiet is not gone.
    Ok(ConnectionConfig::new(context)
        .with_max_in_flight_operations(OPERATIONS)
        .with_keep_alive_timeout(Duration::ZERO))
}
