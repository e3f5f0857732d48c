//! The hash by which a token binds the arguments of its task.

use sha2::{Digest, Sha256};

use super::canonical::canonical_json;
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
