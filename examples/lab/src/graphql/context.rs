//! What resolvers share: the pool, and whose request this is.

use std::sync::Arc;

use koherent_core::{Attribution, ErrorCode};
use koherent_diesel::{AuditedConnection, AuditedPool, ConnectionPool};
use koherent_juniper::{Error, ProvenanceContext};
use koherent_tower::AccessVerifier;

use crate::database::{LabPool, Pool};

/// The context of one request, or of one websocket.
#[derive(Debug, Clone)]
pub struct Lab {
    /// The connections.
    pub pool: LabPool,
    /// Whose request this is, and under which task.
    pub attribution: Attribution,
    /// How it came.
    pub channel: Channel,
}

/// How operations come.
#[derive(Debug, Clone)]
pub enum Channel {
    /// One by one, each verified by the layers.
    Request,
    /// Over a socket that signed in when it was opened.
    Socket {
        /// Checks the login again.
        verifier: AccessVerifier,
        /// The login.
        token: Arc<str>,
    },
}

impl juniper::Context for Lab {}

impl ProvenanceContext for Lab {
    type Pool = Pool;

    fn pool(&self) -> &AuditedPool<Pool> {
        &self.pool
    }
}

/// A connection of the pool that knows whose changes it makes.
pub(super) type Connection = AuditedConnection<<Pool as ConnectionPool>::Connection>;

impl Lab {
    /// A connection to read with.
    pub(super) async fn connection(&self) -> Result<Connection, Error> {
        if let Channel::Socket { verifier, token } = &self.channel {
            verifier.verify_with_refresh(token).await.map_err(|error| {
                tracing::warn!(reason = error.reason(), "the login of a websocket: {error}");
                match error.code() {
                    ErrorCode::Unavailable => LOGIN_UNCHECKED,
                    _ => SIGNED_OUT,
                }
            })?;
        }
        Ok(self.pool.get(self.attribution.clone()).await?)
    }

    /// A connection whose changes have this request's attribution.
    pub(super) async fn connection_for_change(&self) -> Result<Connection, Error> {
        match self.channel {
            Channel::Request => self.connection().await,
            Channel::Socket { .. } => Err(READ_ONLY),
        }
    }
}

const SIGNED_OUT: Error = Error::refused(
    ErrorCode::Unauthenticated,
    "SIGNED_OUT",
    "The login of this connection does not hold any more: connect again with a new access token.",
);

const LOGIN_UNCHECKED: Error = Error::refused(
    ErrorCode::Unavailable,
    "LOGIN_UNCHECKED",
    "The login of this connection cannot be checked at the moment: try again in a few seconds.",
);

const READ_ONLY: Error = Error::refused(
    ErrorCode::PermissionDenied,
    "MUTATION_OVER_SOCKET",
    "A websocket carries no task: send mutations to POST /graphql.",
);
