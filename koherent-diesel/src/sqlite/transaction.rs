//! One transaction, or one savepoint of the open one.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use diesel::connection::{Connection, TransactionManager};
use diesel::result::Error as DieselError;
use diesel::{QueryResult, SqliteConnection};

use super::statement::{for_each_row, values};
use super::value::Value;
use super::work::Sql;
use crate::error::Error;
use crate::gate::{Gate, Turn};
use crate::remembered::Remembered;
use crate::sql::Write as _;

/// Runs the body in a transaction that holds the write lock from its begin, or in a savepoint of the open one.
///
/// Diesel's own rolls back on errors, but not on panics, and answers the rollback's error where that fails too: then the
/// first error, which says what happened, would be lost.
pub(super) fn in_one_transaction<T>(
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

/// Waits for the turn to write on this connection, unless its transaction has it.
pub(super) fn turn_of(
    connection: &mut SqliteConnection,
    remembered: &Remembered,
) -> QueryResult<Turn> {
    if depth(connection)? {
        return Ok(Turn::default());
    }
    let gate = match remembered.gate() {
        Some(gate) => gate,
        None => {
            let gate = gate_of(connection)?;
            remembered.learn_gate(gate.clone());
            gate
        }
    };
    match gate {
        Some(gate) => gate.turn_blocking(),
        None => Ok(Turn::default()),
    }
}

/// The gate of the file that a connection writes to; a database in memory has none.
fn gate_of(connection: &mut SqliteConnection) -> QueryResult<Option<Gate>> {
    let mut sql = Sql::new();
    sql.push("SELECT file FROM pragma_database_list WHERE name = 'main'");
    let mut file = None;
    let asked = for_each_row(connection, &sql, |row| {
        file = values(row, 0, 1).pop().and_then(Value::into_text);
        Ok::<_, Error>(())
    });
    match asked {
        Ok(_) => Ok(file
            .filter(|file| !file.is_empty())
            .map(|file| Gate::of(&file))),
        Err(Error::Diesel(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

enum Failure {
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

pub(super) fn in_transaction(connection: &mut SqliteConnection) -> Result<bool, Error> {
    Ok(depth(connection)?)
}

fn depth(connection: &mut SqliteConnection) -> QueryResult<bool> {
    type Manager = <SqliteConnection as Connection>::TransactionManager;
    let status = <Manager as TransactionManager<SqliteConnection>>::transaction_manager_status_mut(
        connection,
    );
    Ok(status.transaction_depth()?.is_some())
}
