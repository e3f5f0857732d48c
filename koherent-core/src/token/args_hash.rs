//! The hash by which a token binds the arguments of its task.

use sha2::{Digest, Sha256};

use super::canonical::canonical_json;
use super::verify::VerifiedToken;
use crate::error::Error;
use crate::json::JsonError;

/// The one way of hashing arguments that is known: SHA-256 over [`canonical_json`].
pub const ARGS_HASH_ALGORITHM: &str = "sha256-canonical-v1";

/// The hash of a task's arguments, given as JSON text: 64 lower-case hex digits.
///
/// # Errors
///
/// The text has no canonical form; see [`canonical_json`].
///
/// ```
/// use koherent_core::token::args_hash;
/// assert_eq!(args_hash(b"{}")?, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
/// # Ok::<(), koherent_core::token::JsonError>(())
/// ```
pub fn args_hash(json_text: &[u8]) -> Result<String, JsonError> {
    let digest = Sha256::digest(canonical_json(json_text)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Checks that these are the arguments the task was given.
///
/// # Errors
///
/// [`Error::ArgsMismatch`] where the hash differs, or where the text has no canonical form.
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
    match args_hash(json_text) {
        Ok(hash) if hash == token.task().args_hash => Ok(()),
        _ => Err(Error::ArgsMismatch),
    }
}
