#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod alike;
mod batch;
mod context;
mod count;
mod error;
mod http;
mod input;
mod limits;
mod macros;
mod question;
#[cfg(feature = "socket")]
pub mod socket;
mod types;
mod user;

#[doc(hidden)]
pub mod __private;

pub use batch::Batch;
pub use context::Provenance;
pub use error::Error;
pub use http::{answer, answer_request, refuse};
pub use input::{DateTime, HistoryOrder, OffsetPaginationInput, ProvenanceFilter, TaskFilter};
pub use koherent_juniper_macros::provenance;
pub use limits::Limits;
pub use question::Ask;
pub use types::{
    Client, FieldBlame, HistoryKind, Json, LinkEntry, LinkKind, LinkedRow, ModelChange,
    Organization, ProvenanceEntry, Task, User,
};
pub use user::{ProvenanceUser, UserId};
