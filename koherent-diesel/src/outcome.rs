//! Whether a transaction was committed, for whoever lost its connection meanwhile.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::row::Row;
use uuid::Uuid;

use crate::driver::Driver;
use crate::driver::sealed::Ours;
use crate::engine::Engine;
use crate::error::Error;
use crate::idempotency::TABLE;
use crate::plain::audited_tables;
use crate::reading::Reading;
use crate::script::{Bind, Script};
use crate::sql::Write as _;
use crate::table::TrackedTable;

/// Asks whether a transaction was committed: one of [`Error::OutcomeUnknown`], or of an idempotency key.
///
/// ```
/// # include!("doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let mut conn = koherent_diesel::AuditedConnection::new(connection_with_liver(), Attribution::system("import"));
/// use koherent_diesel::{Outcome, entries_of, outcome};
///
/// conn.audited_update(samples::table, samples::note.eq("seen")).execute()?;
/// let entries = entries_of(samples::table, 1).load(&mut conn)?;
/// assert_eq!(outcome(entries[0].transaction).load(&mut conn)?, Outcome::Committed);
///
/// let nobodys = "0199a1b2-0000-7000-8000-000000000000".parse().expect("a UUID");
/// assert_eq!(outcome(nobodys).load(&mut conn)?, Outcome::NotCommitted);
/// # Ok(())
/// # }
/// ```
///
/// It looks for entries of that transaction in all audited tables of the program ([`audited_tables`]), and
/// waits for a server that is still working on it: on PostgreSQL each audited statement holds an advisory lock of its
/// transaction from the moment the server reads it, for which half a second is given; on MariaDB and MySQL uncommitted entries are locked; on SQLite a commit is done when the process is gone. Where
/// the id says when it was made, as Koherent's do (RFC 9562 §5.7), only entries from the day before that on are looked at, so the clocks of the
/// application and of the database must agree to a day. A transaction that recorded nothing is not found, and changed nothing.
///
/// Ask on a connection with no transaction open: one that began before may not see what was committed since.
pub fn outcome(transaction: Uuid) -> OutcomeQuery {
    OutcomeQuery {
        transaction,
        tables: audited_tables(),
    }
}

/// What became of a transaction.
///
/// ```
/// use koherent_diesel::Outcome;
/// assert_ne!(Outcome::Committed, Outcome::NotCommitted);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was committed: the changes are there, and must not be made again.
    Committed,
    /// It was not, and will not be: the changes may be made again.
    NotCommitted,
}

/// A question for the outcome of a transaction: [`outcome`] makes one.
#[derive(Debug, Clone)]
#[must_use = "nothing is read until it is loaded"]
pub struct OutcomeQuery {
    transaction: Uuid,
    tables: Vec<&'static TrackedTable>,
}

impl OutcomeQuery {
    /// Looks into the histories of these tables alone.
    ///
    /// ```
    /// # include!("doctest_setup.rs");
    /// # fn main() -> Result<(), koherent_diesel::Error> {
    /// # let conn = &mut connection();
    /// use koherent_diesel::{Audited as _, Outcome, outcome};
    /// let nobodys = "0199a1b2-0000-7000-8000-000000000000".parse().expect("a UUID");
    /// let found = outcome(nobodys).within([samples::table::tracked()]).load(conn)?;
    /// assert_eq!(found, Outcome::NotCommitted);
    /// # Ok(())
    /// # }
    /// ```
    pub fn within(mut self, tables: impl IntoIterator<Item = &'static TrackedTable>) -> Self {
        self.tables = tables.into_iter().collect();
        self
    }

    /// Asks.
    ///
    /// # Errors
    ///
    /// Where the histories cannot be read, or the server is still working on the transaction when a time limit of its own is over: ask again.
    pub fn load<C: Driver>(self, connection: &mut C) -> C::Reply<'_, Result<Outcome, Error>> {
        let mut statements = Vec::new();
        if let Some((before, after)) = C::Backend::WAIT_FOR_TRANSACTION {
            let wait = || {
                let mut wait = Script::new();
                let key = Bind::Integer(lock_key(self.transaction));
                wait.push(before).bind(key).push(after);
                (wait, TABLE)
            };
            statements.extend([wait(), (self.pause(), TABLE), wait()]);
        }
        for table in self.places() {
            let mut look = Script::new();
            self.push_look(&mut look, table);
            look.push(C::Backend::WAITING_READ);
            statements.push((look, table.map_or(TABLE, TrackedTable::name)));
        }
        connection.run(Ok(C::Backend::reads(statements)), Found, Ours)
    }
}

impl OutcomeQuery {
    /// Where it looks: among the claims, and in each history.
    fn places(&self) -> impl Iterator<Item = Option<&'static TrackedTable>> + '_ {
        std::iter::once(None).chain(self.tables.iter().copied().map(Some))
    }

    fn push_look<DB: Engine>(&self, sql: &mut Script<DB>, table: Option<&'static TrackedTable>) {
        sql.push("SELECT 1 FROM ");
        match table {
            None => sql.push(TABLE).push(" WHERE transaction_id = "),
            Some(table) => sql
                .table(table.history)
                .push(" WHERE history_transaction = "),
        };
        push_id(sql, self.transaction);
        if let (Some(_), Some(made)) = (table, made(self.transaction)) {
            sql.push(" AND history_date >= ")
                .date(made - TimeDelta::days(1));
        }
        sql.push(" LIMIT 1");
    }

    /// Where nothing is found, gives a server time to read the statement that was sent to it last: until then it holds no lock.
    fn pause<DB: Engine>(&self) -> Script<DB> {
        let mut sql = Script::new();
        sql.push("SELECT 1 WHERE ");
        for table in self.places() {
            sql.push("NOT EXISTS (");
            self.push_look(&mut sql, table);
            sql.push(") AND ");
        }
        sql.push("pg_sleep(0.5) IS NULL");
        sql
    }
}

/// The key of the lock that audited statements of a transaction hold: the random half of its id.
pub(crate) fn lock_key(transaction: Uuid) -> i64 {
    i64::from_be_bytes(transaction.as_u64_pair().1.to_be_bytes())
}

fn push_id<DB: Engine>(sql: &mut Script<DB>, transaction: Uuid) {
    let (before, after) = DB::UUID;
    sql.push(before)
        .text(transaction.hyphenated().to_string())
        .push(after);
}

/// When an id was made, where it says so.
fn made(transaction: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, _) = transaction.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, 0)
}

struct Found;

impl<DB: Engine> Reading<DB> for Found {
    type Output = Outcome;

    fn row<'a>(&mut self, _: &impl Row<'a, DB>) -> Result<(), Error> {
        Ok(())
    }

    fn finish(self, touched: usize) -> Result<Outcome, Error> {
        Ok(match touched {
            0 => Outcome::NotCommitted,
            _ => Outcome::Committed,
        })
    }
}
