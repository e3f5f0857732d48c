//! A verified token says for whom and for what it was issued: these checks hold it to that.

use super::args_hash::{ARGS_HASH_ALGORITHM, args_hash};
use super::verified::VerifiedToken;
use crate::error::Error;
use crate::principal::Principal;

/// Checks that the task was given to the principal that calls: `act.sub`, `act.cid` and, where the token names it,
/// `act.iss` against subject, client and issuer, byte for byte. Two empty values are no match.
///
/// # Errors
///
/// [`Error::ActorMismatch`].
///
/// ```
/// use koherent_core::{Error, Principal, verify_actor};
/// # use koherent_core::testing::test_issuer;
/// # let issuer = test_issuer("rekuest");
/// # let token = issuer.verifier("lab").verify(&issuer.task("task-a").actor("agent-7", "robot").mint())?;
/// verify_actor(&token, &Principal::new("https://login.example", "agent-7", "robot"))?;
/// let other = Principal::new("https://login.example", "agent-7", "another-app");
/// assert_eq!(verify_actor(&token, &other), Err(Error::ActorMismatch));
/// # Ok::<(), Error>(())
/// ```
pub fn verify_actor(token: &VerifiedToken, principal: &Principal) -> Result<(), Error> {
    fn same(attested: &str, actual: &str) -> bool {
        !attested.is_empty() && attested == actual
    }
    let task = token.task();
    let issuer = token.claims().actor_issuer.as_ref();
    let client = principal
        .client
        .as_ref()
        .map_or("", |client| client.as_str());
    let bound = same(task.agent.as_str(), principal.subject.as_str())
        && same(task.agent_client_id.as_str(), client)
        && issuer.is_none_or(|issuer| same(issuer.as_str(), principal.issuer.as_str()));
    if bound {
        Ok(())
    } else {
        Err(Error::ActorMismatch)
    }
}

/// Checks that these are the arguments the task was given.
///
/// # Errors
///
/// [`Error::ArgsMismatch`] where the hash differs or was made in a way that is not known, or where the text has no canonical form.
///
/// ```
/// use koherent_core::{Error, verify_args};
/// # use koherent_core::testing::test_issuer;
/// # let issuer = test_issuer("rekuest");
/// # let token = issuer.task("task-a").try_args(r#"{"image":"12"}"#).unwrap().mint();
/// let token = issuer.verifier("lab").verify(&token)?;
/// verify_args(&token, br#"{ "image": "12" }"#)?;
/// assert_eq!(verify_args(&token, br#"{"image": "13"}"#), Err(Error::ArgsMismatch));
/// # Ok::<(), Error>(())
/// ```
pub fn verify_args(token: &VerifiedToken, json_text: &[u8]) -> Result<(), Error> {
    let task = token.task();
    let is_known = task.args_hash_algorithm == ARGS_HASH_ALGORITHM;
    match args_hash(json_text) {
        Ok(hash) if is_known && hash == task.args_hash => Ok(()),
        _ => Err(Error::ArgsMismatch),
    }
}
