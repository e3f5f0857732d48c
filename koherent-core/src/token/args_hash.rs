//! The hash by which a token binds the arguments of its task.

use sha2::{Digest, Sha256};

use super::canonical::canonical_json;
use crate::json::JsonError;

/// The one way of hashing arguments that is known: SHA-256 over [`canonical_json`].
pub const ARGS_HASH_ALGORITHM: &str = "sha256-canonical-v1";

/// What to do with a token whose arguments were hashed in a way that is not known (`aha`).
///
/// ```
/// use koherent_core::token::UnknownArgsHash;
/// assert_eq!(UnknownArgsHash::default(), UnknownArgsHash::Refuse);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnknownArgsHash {
    /// Such a token is refused: `INVALID_CLAIM`.
    #[default]
    Refuse,
    /// The task is believed, and its hash is kept unchecked: an issuer that changes its hash stops no service that does not
    /// compare arguments. [`verify_args`](crate::verify_args) still refuses it.
    Keep,
}

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
