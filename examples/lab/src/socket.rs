//! GraphQL over a websocket: the login comes in `connection_init`, and the token of a task with each operation.
//!
//! A socket lives longer than a token: the login is checked again for every operation and every event, which costs a hash.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::http::HeaderMap;
use axum::response::Response;
use koherent_core::{ErrorCode, Principal};
use koherent_juniper::Error;
use koherent_juniper::socket::{
    self, Operation, Origins, SocketRefusal, SocketService, SocketSettings,
};
use koherent_tower::attribution_of_operation;
use serde_json::Value;

use crate::graphql::Lab;
use crate::server::App;

/// Upgrades to a websocket. Nobody is signed in before `connection_init`, whatever the headers say.
pub(crate) fn upgrade(app: App, headers: &HeaderMap, request: WebSocketUpgrade) -> Response {
    let (schema, limits) = (Arc::clone(&app.schema), app.limits);
    let listed = app.settings.origins.iter();
    let listed = listed.filter_map(|origin| origin.to_str().ok().map(ToOwned::to_owned));
    let settings = SocketSettings {
        origins: Origins::Listed(listed.collect()),
        ..SocketSettings::default()
    };
    socket::upgrade(headers, request, schema, app, settings, limits)
}

/// Somebody who has signed in: `{"type": "connection_init", "payload": {"token": "…"}}`.
#[derive(Debug)]
pub(crate) struct Login(String);

impl SocketService for App {
    type Session = Login;
    type Context = Lab;

    async fn sign_in(&self, payload: Value) -> Result<Login, SocketRefusal> {
        let token = payload["token"].as_str().unwrap_or_default();
        let principal = self.access.verify_with_refresh(token).await;
        principal.map_err(|error| {
            tracing::warn!(reason = error.reason(), "websocket refused: {error}");
            SocketRefusal(error.reason())
        })?;
        Ok(Login(token.to_owned()))
    }

    async fn context(&self, login: &Login, operation: &Operation) -> Result<Lab, Error> {
        let principal = self.principal(login).await?;
        let token = operation.task_token.as_deref();
        let attribution = attribution_of_operation(&self.tasks, principal, token).await;
        let attribution = attribution.map_err(|error| {
            const TEXT: &str = "The task token of the operation was refused.";
            // Which token is to be renewed: not the login.
            Error::refused(error.code().of_task(), error.reason(), TEXT)
        })?;
        Ok(Lab::new(&self.database, attribution))
    }

    async fn still_signed_in(&self, login: &Login) -> Result<(), Error> {
        self.principal(login).await.map(drop)
    }

    async fn ending(&self) {
        self.settings.shutdown.begun().await;
    }
}

impl App {
    /// Who signed in, if the login still holds.
    async fn principal(&self, Login(token): &Login) -> Result<Principal, Error> {
        let principal = self.access.verify_with_refresh(token).await;
        principal.map_err(|error| {
            tracing::warn!(reason = error.reason(), "the login of a websocket: {error}");
            match error.code() {
                ErrorCode::Unavailable => LOGIN_UNCHECKED,
                _ => SIGNED_OUT,
            }
        })
    }
}

const SIGNED_OUT: Error = Error::fixed(
    ErrorCode::Unauthenticated,
    "SIGNED_OUT",
    "The login of this connection does not hold any more: connect again with a new access token.",
);

const LOGIN_UNCHECKED: Error = Error::fixed(
    ErrorCode::Unavailable,
    "LOGIN_UNCHECKED",
    "The login of this connection cannot be checked at the moment: try again in a few seconds.",
);
