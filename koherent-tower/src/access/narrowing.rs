//! Claims that narrow a token: whoever does not understand them must not take the token for a wide one.
//!
//! A JSON Web Token may hold claims that a service does not know, and it is to ignore them (RFC 7519 §4). That is right for those
//! that say more of the principal, and wrong for those that give the bearer less than all: a guest's token for one shared sample
//! would open everything.

use std::collections::BTreeSet;
use std::sync::Arc;

use koherent_core::Error;
use serde_json::{Map, Value};

use super::claims::Claims;

/// The claims that narrow a token, by default. `scope` is none of them: every principal has its
/// [`scopes`](koherent_core::Principal::scopes).
///
/// | claim | what it narrows |
/// | --- | --- |
/// | `collabs` | a guest's token to what was shared with the guest (the original's scoped tokens) |
/// | `authorization_details` | to the listed actions and things (RFC 9396 §9.1) |
/// | `azd` | to the context of one transaction (OAuth transaction tokens) |
/// | `cnf` | to whoever holds a key: DPoP (RFC 9449 §6) and mutual TLS (RFC 8705 §3); a bearer of it may have stolen it (RFC 7800 §3) |
/// | `at_use_nbr` | to a number of uses (ETSI GS NFV-SEC 022) |
/// | `cdniip`, `cdniuc`, `cdnicrit` | to a client's address, to URIs, to those who understand further claims (RFC 9246 §2.1) |
///
/// ```
/// assert!(koherent_tower::access::NARROWING_CLAIMS.contains(&"collabs"));
/// ```
pub const NARROWING_CLAIMS: [&str; 8] = [
    "collabs",
    "authorization_details",
    "azd",
    "cnf",
    "at_use_nbr",
    "cdniip",
    "cdniuc",
    "cdnicrit",
];

/// The claims that narrow a token, and those of them that the application understands.
#[derive(Debug, Clone)]
pub(super) struct Narrowing {
    known: BTreeSet<Arc<str>>,
    understood: BTreeSet<Arc<str>>,
}

impl Default for Narrowing {
    fn default() -> Self {
        Self {
            known: NARROWING_CLAIMS.into_iter().map(Arc::from).collect(),
            understood: BTreeSet::new(),
        }
    }
}

impl Narrowing {
    pub(super) fn add(&mut self, claims: impl Iterator<Item = Arc<str>>) {
        self.known.extend(claims);
    }

    /// What the application understands narrows as well, also where nobody has said so.
    pub(super) fn understand(&mut self, claims: impl Iterator<Item = Arc<str>>) {
        for claim in claims {
            self.known.insert(Arc::clone(&claim));
            self.understood.insert(claim);
        }
    }

    /// The claims to which the application must hold, or a refusal.
    pub(super) fn of(&self, claims: &Claims<'_>) -> Result<Map<String, Value>, Error> {
        let mut narrowed_by = Map::new();
        for claim in &self.known {
            let Some(value) = claims.get(claim) else {
                continue;
            };
            if !self.understood.contains(claim) {
                let claim = Arc::clone(claim);
                return Err(Error::ScopedTokenUnsupported { claim });
            }
            narrowed_by.insert(claim.to_string(), value.clone());
        }
        Ok(narrowed_by)
    }
}
