//! What the loaders need from a schema's context.

use koherent_diesel::AuditedPool;

/// A Juniper context whose schema shows provenance. It says where history is.
///
/// ```
/// use koherent_diesel::AuditedPool;
/// use koherent_juniper::ProvenanceContext;
///
/// struct Lab { pool: AuditedPool }
///
/// impl juniper::Context for Lab {}
///
/// impl ProvenanceContext for Lab {
///     fn pool(&self) -> &AuditedPool {
///         &self.pool
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the context `{Self}` does not say where history is",
    note = "implement `koherent_juniper::ProvenanceContext` for it"
)]
pub trait ProvenanceContext: Sync {
    /// The pool of the database that holds the history tables.
    fn pool(&self) -> &AuditedPool;
}
