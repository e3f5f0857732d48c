//! SQLite: one transaction per audited statement, set-based.
//!
//! | statement | what runs between `BEGIN IMMEDIATE` and `COMMIT` |
//! | --- | --- |
//! | insert | `INSERT … RETURNING`; history `INSERT … SELECT` by key |
//! | update | `SELECT` of keys and audited values; `UPDATE … RETURNING`; history by key of the rows that changed |
//! | delete | history `INSERT … SELECT` of the rows; `DELETE` of exactly those; |
//!
//! and the task's row, once per task. The write lock is held before the time is read, so dates do not run backwards
//! within one row as long as the system's clock does not, and what was selected is what is changed.

mod change;
mod check;
mod delete;
mod entries;
mod history;
mod insert;
mod returning;
mod sql;
mod task;
mod types;
mod update;
mod value;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use diesel::SqliteConnection;
use diesel::connection::{Connection, TransactionManager};
use diesel::result::Error as DieselError;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

pub use change::Change;
pub(crate) use check::differences;
pub(crate) use entries::load_entries;
pub(crate) use returning::Returning;
pub(crate) use sql::{PartialRow, Sql, rendered_name};

use crate::error::Error;
use crate::record::Recorder;
use crate::table::TrackedTable;
use history::Stamp;

/// The migrations that create `koherent_task`.
///
/// ```
/// use diesel::{Connection, SqliteConnection};
/// use diesel_migrations::MigrationHarness;
///
/// let mut connection = SqliteConnection::establish(":memory:")?;
/// connection.run_pending_migrations(koherent_diesel::sqlite::MIGRATIONS).expect("an empty database");
/// # Ok::<(), diesel::ConnectionError>(())
/// ```
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Makes a change and records it, in one transaction or in one savepoint of the open one. Says how many rows it touched.
pub(crate) fn record(
    connection: &mut SqliteConnection,
    recorder: &Recorder,
    change: &Change,
    record_unchanged: bool,
    mut returning: Option<Returning<'_>>,
) -> Result<usize, Error> {
    if change.is_empty() {
        return Ok(0);
    }
    let nested = in_transaction(connection)?;
    let shared = if nested { recorder.transaction } else { None };
    let transaction = shared.unwrap_or_else(|| recorder.new_transaction());
    let touched = in_one_transaction(connection, nested, |connection| {
        if nested {
            take_write_lock(connection, change.table())?;
        }
        let stamp = Stamp::new(recorder, transaction);
        let touched = match change {
            Change::Insert(insert) => insert::run(connection, &stamp, insert, &mut returning)?,
            Change::Update(update) => {
                update::run(connection, &stamp, update, record_unchanged, &mut returning)?
            }
            Change::Delete(delete) => delete::run(connection, &stamp, delete, &mut returning)?,
        };
        if touched.recorded > 0 {
            task::ensure(connection, recorder)?;
        }
        Ok(touched)
    })?;
    // Only now is the task's row committed; in an open transaction nobody knows yet whether it will be.
    if touched.recorded > 0 && !nested {
        task::learn(recorder);
    }
    Ok(touched.rows)
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Rows that the statement touched.
    rows: usize,
    /// Entries written.
    recorded: usize,
}

/// Runs the body in a transaction that holds the write lock from its begin, or in a savepoint of the open one.
///
/// Diesel's own rolls back on errors, but not on panics, and answers the rollback's error where that fails too: then the
/// first error, which says what happened, would be lost.
fn in_one_transaction<T>(
    connection: &mut SqliteConnection,
    nested: bool,
    body: impl FnOnce(&mut SqliteConnection) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut failed = None;
    let guarded = |connection: &mut SqliteConnection| {
        let result = catch_unwind(AssertUnwindSafe(|| body(connection)));
        result
            .map_err(Failure::Panic)
            .and_then(|result| result.map_err(Failure::Error))
            .map_err(|failure| {
                failed = Some(failure);
                DieselError::RollbackTransaction
            })
    };
    let result = if nested {
        connection.transaction(guarded)
    } else {
        connection.immediate_transaction(guarded)
    };
    match failed {
        Some(Failure::Panic(panic)) => resume_unwind(panic),
        Some(Failure::Error(error)) => Err(error),
        None => result.map_err(Error::Diesel),
    }
}

enum Failure {
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

fn in_transaction(connection: &mut SqliteConnection) -> Result<bool, Error> {
    type Manager = <SqliteConnection as Connection>::TransactionManager;
    let status = <Manager as TransactionManager<SqliteConnection>>::transaction_manager_status_mut(
        connection,
    );
    Ok(status.transaction_depth()?.is_some())
}

/// Takes the write lock of a transaction that somebody else began, so that the time is read under it.
fn take_write_lock(connection: &mut SqliteConnection, table: &TrackedTable) -> Result<(), Error> {
    let mut lock = Sql::new();
    let key = table.key.first().copied().unwrap_or("rowid");
    lock.push("UPDATE ")
        .table(table.name)
        .push(" SET ")
        .identifier(key)
        .push(" = ");
    lock.identifier(key).push(" WHERE 0");
    sql::execute(connection, &lock)?;
    Ok(())
}
