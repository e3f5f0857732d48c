//! One transaction, or one savepoint of the open one.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use diesel::SqliteConnection;
use diesel::connection::{Connection, TransactionManager};
use diesel::result::Error as DieselError;

use crate::error::Error;

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

enum Failure {
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

pub(super) fn in_transaction(connection: &mut SqliteConnection) -> Result<bool, Error> {
    type Manager = <SqliteConnection as Connection>::TransactionManager;
    let status = <Manager as TransactionManager<SqliteConnection>>::transaction_manager_status_mut(
        connection,
    );
    Ok(status.transaction_depth()?.is_some())
}
