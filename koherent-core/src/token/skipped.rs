//! The log of keys that cannot be used: each one, and no more than anybody reads.

/// How many keys of one document are logged one by one.
const LOGGED: usize = 20;

/// How many characters of a key's id are logged.
const ID_CHARS: usize = 100;

/// Counts the keys of a document that are skipped, and logs the first of them one by one.
///
/// ```
/// let mut skipped = koherent_core::token::Skipped::default();
/// skipped.log(0, Some("2019-a"), "it is no Ed25519 key");
/// skipped.log_rest();
/// ```
#[derive(Debug, Default)]
pub struct Skipped(usize);

impl Skipped {
    /// The key at that place of the document is skipped, and why.
    pub fn log(&mut self, position: usize, key_id: Option<&str>, why: &str) {
        self.0 += 1;
        if self.0 <= LOGGED {
            let key_id = key_id.map(|id| id.chars().take(ID_CHARS).collect::<String>());
            tracing::warn!(position, ?key_id, "key skipped: {why}");
        }
    }

    /// Says how many more there were.
    pub fn log_rest(self) {
        if let Some(more @ 1..) = self.0.checked_sub(LOGGED) {
            tracing::warn!(more, "more keys skipped");
        }
    }
}
