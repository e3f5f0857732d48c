#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod context;
mod error;
mod loader;
mod types;

pub use context::ProvenanceContext;
pub use error::Error;
pub use loader::{ProvenanceResult, provenance};
pub use types::{Client, HistoryKind, ModelChange, Organization, ProvenanceEntry, Task, User};
