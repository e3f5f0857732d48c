//! The GraphQL types, by the names of the original koherent, one file each.
//!
//! They are plain data under the context `()`, so they fit into any schema, whatever its context and scalar are.

mod change;
mod entry;
mod principal;
mod task;

pub use change::ModelChange;
pub use entry::{HistoryKind, ProvenanceEntry};
pub use principal::{Client, Organization, User};
pub use task::Task;
