//! SQLite: one transaction per audited statement, set-based.
//!
//! | statement | what runs between `BEGIN IMMEDIATE` and `COMMIT` |
//! | --- | --- |
//! | insert | `INSERT … RETURNING`; history `INSERT … SELECT` by key |
//! | update | `SELECT` of keys and audited values; `UPDATE … RETURNING`; history by key of the rows that changed |
//! | delete | history `INSERT … SELECT` of the rows; `DELETE` of exactly those; |
//!
//! and the task's row, once per task. The write lock is held from the beginning, so dates never run backwards within
//! one row, and what was selected is what is changed.

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

use diesel::SqliteConnection;
use diesel::connection::{Connection, TransactionManager};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

pub use change::Change;
pub(crate) use check::differences;
pub(crate) use entries::load_entries;
pub(crate) use returning::Returning;
pub(crate) use sql::{PartialRow, Sql, rendered_name};

use crate::error::Error;
use crate::record::Recorder;
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
    let nested = transaction_depth(connection)?;
    let own_transaction = if nested { recorder.transaction } else { None };
    let stamp = Stamp {
        recorder,
        transaction: own_transaction.unwrap_or_else(|| recorder.new_transaction()),
    };
    let mut body = |connection: &mut SqliteConnection| {
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
        Ok::<_, Error>(touched)
    };
    let touched = if nested {
        connection.transaction(|connection| {
            take_write_lock(connection)?;
            body(connection)
        })?
    } else {
        connection.immediate_transaction(body)?
    };
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

fn transaction_depth(connection: &mut SqliteConnection) -> Result<bool, Error> {
    type Manager = <SqliteConnection as Connection>::TransactionManager;
    let status = <Manager as TransactionManager<SqliteConnection>>::transaction_manager_status_mut(
        connection,
    );
    Ok(status.transaction_depth()?.is_some())
}

/// Takes the write lock of a transaction that somebody else began, so that the time is read under it.
fn take_write_lock(connection: &mut SqliteConnection) -> Result<(), Error> {
    let mut lock = Sql::new();
    lock.push("UPDATE `koherent_task` SET `task_id` = `task_id` WHERE 0");
    sql::execute(connection, &lock)
        .map(drop)
        .map_err(Error::TaskNotWritten)
}
