#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod context;
mod error;
mod http;
mod input;
mod limits;
mod macros;
#[cfg(feature = "socket")]
pub mod socket;
mod types;

#[doc(hidden)]
pub mod __private;

pub use batch::Batch;
pub use context::{Ask, Provenance, ProvenanceUser, UserId};
pub use error::Error;
pub use http::answer;
pub use input::{HistoryOrder, OffsetPaginationInput, ProvenanceFilter, TaskFilter};
pub use koherent_juniper_macros::provenance;
pub use limits::Limits;
pub use types::{
    Client, FieldBlame, HistoryKind, LinkEntry, LinkKind, LinkedRow, ModelChange, Organization,
    ProvenanceEntry, Task, User,
};
