//! Idempotency keys: the same write, sent again, changes once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::row::Row;
use koherent_core::Attribution;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::Error;
use crate::reading::Reading;
use crate::record::Recorder;
use crate::script::Script;
use crate::sql::Write as _;

/// The table of transactions that were made under a key.
pub(crate) const TABLE: &str = "koherent_transaction";

/// The key under which a client sends a write, so that it can send it again: `Idempotency-Key`
/// ([draft-ietf-httpapi-idempotency-key-header](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/)).
///
/// ```
/// # include!("doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// use koherent_diesel::{AuditedConnection, Error, Idempotency};
/// # let mut sqlite = connection();
/// let write = |sqlite: SqliteConnection| {
///     let key = Idempotency::new("8e03978e-40d5-43dd-bc93-6894a57f9324", b"create liver");
///     let mut conn = AuditedConnection::new(sqlite, Attribution::system("import")).with_idempotency(key);
///     let done = conn.audited_insert(samples::table, samples::name.eq("liver")).execute();
///     (done, conn.into_inner())
/// };
/// let (first, sqlite) = write(sqlite);
/// let (again, mut sqlite) = write(sqlite);
/// assert_eq!(first?, 1);
/// assert!(matches!(again, Err(Error::AlreadyDone { .. })));
/// assert_eq!(samples::table.count().get_result::<i64>(&mut sqlite)?, 1);
/// # Ok(())
/// # }
/// ```
///
/// Each transaction of the connection, and each audited statement outside of one, claims its id in `koherent_transaction`, in
/// the same transaction as the change: the id is a hash of the key, of who writes (issuer, user, client and organization: somebody
/// else's key is another one), of the [`part`](Self::part), and of how many transactions were committed under it before. Whoever
/// finds the id claimed is told [`Error::AlreadyDone`], after waiting for the claim that is under way, or
/// [`Error::IdempotencyKeyReused`] where the payload is another. A transaction that fails leaves no claim. Rows of
/// `koherent_transaction` may be deleted when no client sends again what is as old.
#[derive(Debug, Clone)]
pub struct Idempotency {
    key: Arc<str>,
    payload: Arc<str>,
    part: Arc<str>,
    committed: Arc<AtomicU32>,
}

impl Idempotency {
    /// A key, and the payload of the request that came with it.
    ///
    /// ```
    /// let key = koherent_diesel::Idempotency::new("8e03978e", b"mutation { createSample }");
    /// assert_eq!(key.key(), "8e03978e");
    /// ```
    #[must_use]
    pub fn new(key: &str, payload: &[u8]) -> Self {
        Self {
            key: key.into(),
            payload: hex(&Sha256::digest(payload)).into(),
            part: "".into(),
            committed: Arc::default(),
        }
    }

    /// The same key for one of several changes of the request that fail or succeed each for itself, as the mutations of a GraphQL
    /// document do. Give each its own name, and the same name when the request comes again.
    ///
    /// ```
    /// let key = koherent_diesel::Idempotency::new("8e03978e", b"mutation { a: .. b: .. }");
    /// let (a, b) = (key.part("a"), key.part("b"));
    /// assert_eq!(a.key(), b.key());
    /// ```
    #[must_use]
    pub fn part(&self, name: &str) -> Self {
        Self {
            part: name.into(),
            committed: Arc::default(),
            ..self.clone()
        }
    }

    /// What the client sent.
    ///
    /// ```
    /// assert_eq!(koherent_diesel::Idempotency::new("k", b"").key(), "k");
    /// ```
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The id of the next transaction under the key (RFC 9562 §5.8).
    pub(crate) fn transaction(&self, attribution: &Attribution) -> Uuid {
        let context = attribution.context();
        let said = |name: &str| {
            let context = context.as_ref()?;
            Some(context.get(name)?.as_str()?.to_owned())
        };
        let parts = [
            said("issuer").or_else(|| said("system")),
            attribution.user().map(ToString::to_string),
            attribution.client().map(ToString::to_string),
            attribution.organization().map(ToString::to_string),
            Some(self.key.to_string()),
            Some(self.part.to_string()),
            Some(self.committed.load(Ordering::Relaxed).to_string()),
        ];
        // JSON keeps the parts apart.
        let digest = Sha256::digest(serde_json::json!(parts).to_string());
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(id).into_uuid()
    }

    /// A transaction is done, now or before, or nobody knows: the next has another id.
    fn advance(&self) {
        self.committed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Recorder {
    /// The statements that claim the id of a transaction, where there is a key, and what reads their answer.
    pub(crate) fn claim<DB: Engine>(&self, transaction: Uuid) -> Option<(DB::Work, Claim)> {
        let idempotency = self.idempotency.as_ref()?;
        let claim = Claim {
            transaction,
            payload: Arc::clone(&idempotency.payload),
            attempt: self.random_id().to_string(),
            found: None,
        };
        let (insert, unless_there) = DB::INSERT_UNLESS_THERE;
        let mut write = Script::new();
        write
            .push(insert)
            .push(TABLE)
            .push(" (transaction_id, payload, attempt, transaction_date) VALUES (");
        let (before, after) = DB::UUID;
        write.push(before).text(transaction.to_string()).push(after);
        write.push(", ").text(&*claim.payload).push(", ");
        write
            .text(&*claim.attempt)
            .push(", ")
            .push(DB::NOW)
            .push(")")
            .push(unless_there);
        let mut read = Script::new();
        read.push("SELECT attempt, payload FROM ")
            .push(TABLE)
            .push(" WHERE transaction_id = ");
        read.push(before).text(transaction.to_string()).push(after);
        read.push(DB::WAITING_READ);
        Some((DB::reads(vec![(write, TABLE), (read, TABLE)]), claim))
    }

    /// A transaction under the key has come to its end.
    pub(crate) fn settled<T>(&self, done: &Result<T, Error>) {
        let is_settled = match done {
            Ok(_) => true,
            Err(error) => error.transaction().is_some(),
        };
        if let Some(idempotency) = self.idempotency.as_ref().filter(|_| is_settled) {
            idempotency.advance();
        }
    }
}

/// What reads whether a claim was the first.
pub(crate) struct Claim {
    transaction: Uuid,
    payload: Arc<str>,
    attempt: String,
    found: Option<(String, String)>,
}

impl<DB: Engine> Reading<DB> for Claim {
    type Output = ();

    fn row<'a>(&mut self, row: &impl Row<'a, DB>) -> Result<(), Error> {
        let mut texts = DB::cells(row).into_iter().map(DB::text);
        self.found = texts.next().flatten().zip(texts.next().flatten());
        Ok(())
    }

    fn finish(self, _: usize) -> Result<(), Error> {
        match self.found {
            Some((attempt, _)) if attempt == self.attempt => Ok(()),
            Some((_, payload)) if *payload == *self.payload => Err(Error::AlreadyDone {
                transaction: self.transaction,
            }),
            Some(_) => Err(Error::IdempotencyKeyReused),
            None => Err(Error::HistoryNotRead {
                table: TABLE,
                source: diesel::result::Error::NotFound,
            }),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use koherent_core::Principal;

    use super::*;

    #[test]
    fn a_key_is_that_of_one_principal_and_of_one_part() {
        let of = |name: &str| Attribution::of(Principal::new("https://login.example", name, "lab"));
        let key = Idempotency::new("k", b"payload");
        let ann = key.transaction(&of("ann"));
        assert_eq!(ann, Idempotency::new("k", b"other").transaction(&of("ann")));
        assert_eq!(ann.get_version_num(), 8);
        assert_ne!(ann, key.transaction(&of("bob")));
        assert_ne!(ann, key.part("a").transaction(&of("ann")));
        assert_ne!(
            key.part("a").transaction(&of("ann")),
            key.part("b").transaction(&of("ann"))
        );
        key.advance();
        assert_ne!(ann, key.transaction(&of("ann")));
    }
}
