#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod access;
mod context;
#[cfg(feature = "axum")]
pub mod extract;
mod future;
mod policy;
mod principal;
mod provenance;
mod rejection;
mod service;

pub use access::{AccessIssuer, AccessVerifier};
pub use context::{LoginChecked, ProvenanceChecked, current};
#[cfg(feature = "axum")]
pub use extract::{Attribution, Principal, Provenance};
pub use future::ResponseFuture;
pub use policy::Presence;
pub use principal::{PrincipalLayer, PrincipalService};
pub use provenance::{DEFAULT_HEADERS, NoHeader, ProvenanceLayer, ProvenanceService};
pub use rejection::{Rejection, Responder, TokenKind};
pub use service::{Gate, ResponseBody};
