//! The GraphQL types, by the names of the original koherent.

mod change;
mod json;
mod kind;
mod link;
mod principal;
mod provenance;

pub use change::ModelChange;
pub use json::Json;
pub use kind::HistoryKind;
pub use link::{LinkKind, LinkedRow};
pub use principal::{Client, Organization, User};
pub use provenance::{FieldBlame, LinkEntry, ProvenanceEntry, Task};
