//! What resolvers share: the pool, and whose request this is.

use koherent_core::Attribution;
use koherent_diesel::{AuditedConnection, AuditedPool, PooledConnection};
use koherent_juniper::{Error, ProvenanceContext};

/// The context of one request.
#[derive(Debug)]
pub struct Lab {
    /// The connections.
    pub pool: AuditedPool,
    /// Whose request this is, and under which task.
    pub attribution: Attribution,
}

impl juniper::Context for Lab {}

impl ProvenanceContext for Lab {
    fn pool(&self) -> &AuditedPool {
        &self.pool
    }
}

/// A connection of the pool that knows whose changes it makes.
pub(super) type Connection = AuditedConnection<PooledConnection>;

impl Lab {
    /// A connection whose changes have this request's attribution.
    pub(super) async fn connection(&self) -> Result<Connection, Error> {
        Ok(self.pool.get(self.attribution.clone()).await?)
    }
}
