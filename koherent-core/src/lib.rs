#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod activity;
mod attribution;
mod change;
mod clock;
mod entry;
mod error;
mod id;
mod json;
mod key;
pub mod metrics;
#[cfg(feature = "mint")]
pub mod mint;
mod principal;
mod revocation;
pub mod source;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;

pub use activity::Activity;
pub use attribution::{Attribution, TaskOrigin};
pub use change::{ChangeKind, FieldChange, FieldValue, delta};
pub use clock::{Clock, SystemClock};
pub use entry::HistoryEntry;
pub use error::{Error, ErrorCode, Malformed, SetupError};
pub use id::{ClientId, Issuer, Organization, Subject, TaskId, TokenId};
pub use key::RowKey;
pub use principal::Principal;
pub use revocation::RevocationList;
pub use source::KeySource;
pub use task::{Task, TaskRecord};
pub use token::{
    Algorithm, KeySet, TrustedIssuer, UnverifiedToken, VerifiedToken, Verifier, verify_actor,
    verify_args,
};
