#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod access;
mod check;
#[cfg(feature = "config")]
pub mod config;
mod context;
mod drain;
#[cfg(feature = "axum")]
pub mod extract;
#[cfg(feature = "__fetch")]
mod fetch;
mod future;
mod operation;
mod policy;
mod principal;
mod provenance;
mod refresh;
mod rejection;
#[cfg(feature = "serve")]
pub mod serve;
mod service;

pub use access::{AccessIssuer, AccessVerifier};
pub use context::{LoginChecked, ProvenanceChecked, current};
pub use drain::{DrainFuture, DrainLayer, DrainService, DrainedBody};
#[cfg(feature = "axum")]
pub use extract::{Attribution, Principal, Provenance};
#[cfg(feature = "__fetch")]
pub use fetch::HttpFetcher;
pub use future::{ResponseBody, ResponseFuture};
pub use operation::attribution_of_operation;
pub use policy::Presence;
pub use principal::{PrincipalLayer, PrincipalService};
pub use provenance::{DEFAULT_HEADERS, NoHeader, ProvenanceLayer, ProvenanceService};
pub use rejection::{Rejection, Responder, TokenKind};
pub use service::Gate;
