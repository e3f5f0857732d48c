//! What an application says about its sockets.

use std::future::Future;

use juniper::OperationType;
use serde_json::Value;

use crate::error::Error;

/// Who may connect, and what the context of each operation is.
pub trait SocketService: Clone + Send + Sync + 'static {
    /// Somebody who has signed in.
    type Session: Send + Sync + 'static;

    /// The context of the schema.
    type Context: Send + Sync + 'static;

    /// Signs in with the payload of `connection_init`, `null` where it has none. A refusal closes the connection with 4403.
    fn sign_in(
        &self,
        payload: Value,
    ) -> impl Future<Output = Result<Self::Session, SocketRefusal>> + Send;

    /// The context of one operation: checks again that the login holds, and verifies the task token, if there is one.
    fn context(
        &self,
        session: &Self::Session,
        operation: &Operation,
    ) -> impl Future<Output = Result<Self::Context, Error>> + Send;

    /// Whether the login still holds. A subscription asks before each event, and ends where it does not.
    fn still_signed_in(
        &self,
        session: &Self::Session,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Waits until the service is about to end; never, unless the application says otherwise.
    ///
    /// Then subscriptions end, what else is under way is finished, nothing new is begun, and the connection is closed with 1001
    /// (RFC 6455 §7.4.1).
    fn ending(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// An operation that a client asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Operation {
    /// Query, mutation or subscription.
    pub kind: OperationType,
    /// The provenance token of the run of work that it is part of: `extensions.rekuestTask`, as it came.
    pub task_token: Option<String>,
}

impl Operation {
    pub(super) const fn new(kind: OperationType, task_token: Option<String>) -> Self {
        Self { kind, task_token }
    }
}

/// Why somebody is not signed in, as the client sees it: the reason of the code 4403.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
#[expect(clippy::exhaustive_structs, reason = "it is a name")]
pub struct SocketRefusal(pub &'static str);
