//! The GraphQL types, by the names of the original koherent.

mod change;
mod kind;
mod principal;
mod provenance;

pub use change::ModelChange;
pub use kind::HistoryKind;
pub use principal::{Client, Organization, User};
pub use provenance::{FieldBlame, ProvenanceEntry, Task};
