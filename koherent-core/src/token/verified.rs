//! A token that passed every check.

use std::fmt;
use std::sync::Arc;

use super::claims::Claims;
use crate::task::Task;

/// A token that passed every check of a [`Verifier`](crate::Verifier). Only a verifier makes one; cloning it is cheap.
///
/// ```
/// use koherent_core::{KeySource, TrustedIssuer, Verifier};
/// # use koherent_core::testing::test_issuer;
/// # let issuer = test_issuer("rekuest");
/// # let (jwks, text) = (issuer.jwks(), issuer.task("task-a").mint());
///
/// let keys = KeySource::inline(jwks);
/// let verifier = Verifier::new("lab", [TrustedIssuer::new("rekuest", keys)?])?;
/// let token = verifier.verify(&text)?;
/// assert_eq!(token.task().task_id, "task-a");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It cannot be made by hand:
///
/// ```compile_fail
/// # fn forge(claims: std::sync::Arc<koherent_core::token::Claims>) {
/// let token = koherent_core::VerifiedToken { claims };
/// # }
/// ```
#[derive(Clone, PartialEq)]
pub struct VerifiedToken {
    pub(super) claims: Arc<Claims>,
}

impl VerifiedToken {
    /// The claims, checked and typed.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The task the token attests.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.claims.task
    }

    /// The task, to be kept without a copy.
    #[must_use]
    pub fn shared_task(&self) -> &Arc<Task> {
        &self.claims.task
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("issuer", &self.task().issuer)
            .field("task_id", &self.task().task_id)
            .finish_non_exhaustive()
    }
}
