//! Operations that come without headers of their own: over a websocket, or in a queue.

use koherent_core::source::Need;
use koherent_core::{Attribution, Error, Principal, VerifiedToken, Verifier};

use crate::provenance::bind;
use crate::refresh;

/// Who is calling and under which task, where the task's token comes with an operation and not in a header.
///
/// It is verified as [`ProvenanceLayer`](crate::ProvenanceLayer) verifies the header: keys are loaded where that may change the
/// answer, and the token's actor must be the principal.
///
/// ```
/// use koherent_core::{Attribution, Error, Principal, Verifier};
/// use koherent_tower::attribution_of_operation;
///
/// async fn on_operation(
///     verifier: &Verifier, principal: Principal, extensions: &serde_json::Value,
/// ) -> Result<Attribution, Error> {
///     attribution_of_operation(verifier, principal, extensions["rekuestTask"].as_str()).await
/// }
/// ```
///
/// # Errors
///
/// The first check that fails names the [`Error`].
pub async fn attribution_of_operation(
    verifier: &Verifier,
    principal: Principal,
    task_token: Option<&str>,
) -> Result<Attribution, Error> {
    let Some(token) = task_token else {
        return Ok(Attribution::of(principal));
    };
    let token = verify(verifier, token).await.inspect_err(|error| {
        tracing::warn!(
            reason = error.reason(),
            "the task token of an operation was refused: {error}"
        );
    })?;
    bind(&token, &principal)?;
    Ok(Attribution::of(principal).with_unbound_task(&token))
}

async fn verify(verifier: &Verifier, token: &str) -> Result<VerifiedToken, Error> {
    // Keys and revocations may both have to be loaded.
    for _ in 0..2 {
        match verifier.verdict(token) {
            (_, Need::First(load)) => refresh::drive(load).await,
            (verdict, need) => {
                if let Need::Beside(load) = need {
                    refresh::begin(load);
                }
                return verdict;
            }
        }
    }
    verifier.last_verdict(token).0
}
