//! Running statements on a connection, and looking at their rows.

use diesel::QueryResult;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::row::{Field as _, PartialRow as Partial, Row as _};
use diesel_async::{
    AnsiTransactionManager, AsyncConnectionCore, AsyncMysqlConnection, SimpleAsyncConnection as _,
    TransactionManager,
};
use futures_util::TryStreamExt as _;

use super::value::Value;
use super::work::Sql;
use crate::error::Error;
use crate::failure::{Failure, lost};
use crate::sql::Write as _;

/// A row of a statement's result.
pub(super) type Row = <AsyncMysqlConnection as AsyncConnectionCore>::Row<'static, 'static>;

/// Some neighbouring columns of a row.
pub(super) type PartialRow<'r> = Partial<'r, Row>;

/// What looks at the rows that the caller wants to see; it sees the columns that were asked for, and no others.
pub(super) type Look<'l> = dyn FnMut(&PartialRow<'_>) -> Result<(), Error> + Send + 'l;

/// Rows that the caller wants to see.
pub(super) struct Returning<'r> {
    /// The columns, where it wants to see any.
    pub(super) columns: Option<&'r Sql>,
    pub(super) look: &'r mut Look<'r>,
}

impl Returning<'_> {
    /// Writes the columns, behind others.
    pub(super) fn push(&self, sql: &mut Sql) {
        if let Some(columns) = self.columns {
            sql.push(", ").append(columns);
        }
    }

    /// Shows the caller the columns from `from` on.
    pub(super) fn hand_on(&mut self, row: &Row, from: usize) -> Result<(), Error> {
        match self.columns {
            Some(_) => (self.look)(&row.partial_row(from..row.field_count())),
            None => Ok(()),
        }
    }
}

pub(super) fn in_transaction(connection: &mut AsyncMysqlConnection) -> QueryResult<bool> {
    let status = AnsiTransactionManager::transaction_manager_status_mut(connection);
    Ok(status.transaction_depth()?.is_some())
}

/// Runs a statement and says how many rows it touched.
pub(super) async fn execute(
    connection: &mut AsyncMysqlConnection,
    sql: &Sql,
) -> QueryResult<usize> {
    match connection.execute_returning_count(sql).await {
        Err(error) => Err(diagnosed(connection, error).await),
        count => count,
    }
}

/// Runs a statement and looks at each row of its result. Says how many there were.
pub(super) async fn for_each_row(
    connection: &mut AsyncMysqlConnection,
    sql: &Sql,
    look: &mut (dyn FnMut(&Row) -> Result<(), Error> + Send),
) -> Result<usize, Error> {
    match each_row(connection, sql, look).await {
        Err(Error::Diesel(error)) => Err(Error::Diesel(diagnosed(connection, error).await)),
        count => count,
    }
}

async fn each_row(
    connection: &mut AsyncMysqlConnection,
    sql: &Sql,
    look: &mut (dyn FnMut(&Row) -> Result<(), Error> + Send),
) -> Result<usize, Error> {
    let mut count = 0;
    let mut rows = AsyncConnectionCore::load(connection, sql).await?;
    while let Some(row) = rows.try_next().await? {
        look(&row)?;
        count += 1;
    }
    Ok(count)
}

/// The same failure; where its words do not tell what it is, told by its number, which Diesel does not show. Where the server
/// does not answer any more, the connection is lost.
pub(super) async fn diagnosed(
    connection: &mut AsyncMysqlConnection,
    error: DieselError,
) -> DieselError {
    let DieselError::DatabaseError(DatabaseErrorKind::Unknown, _) = &error else {
        return error;
    };
    if Failure::of(&error).is_some() {
        return error;
    }
    let ask = "GET DIAGNOSTICS CONDITION 1 @koherent_number = MYSQL_ERRNO";
    let number = match connection.batch_execute(ask).await {
        Ok(()) => number(connection).await,
        Err(error) => Err(Error::Diesel(error)),
    };
    match number {
        Ok(number) => numbered(error, number),
        Err(Error::Diesel(asked)) if Failure::of(&asked) == Some(Failure::Lost) => lost(error),
        Err(_) => error,
    }
}

/// The number of the last failure.
async fn number(connection: &mut AsyncMysqlConnection) -> Result<Option<u64>, Error> {
    let mut sql = Sql::new();
    sql.push("SELECT CAST(@koherent_number AS UNSIGNED)");
    let mut number = None;
    each_row(connection, &sql, &mut |row| {
        number = values(row, 0, 1)[0].number();
        Ok(())
    })
    .await?;
    Ok(number)
}

/// A failure whose number is known, in words that tell what it is
/// ([MariaDB's list](https://mariadb.com/kb/en/mariadb-error-code-reference/)).
fn numbered(error: DieselError, number: Option<u64>) -> DieselError {
    let said =
        |kind, what: &str| DieselError::DatabaseError(kind, Box::new(format!("{what}: {error}")));
    match number {
        Some(1213 | 1020) => said(DatabaseErrorKind::SerializationFailure, "Deadlock"),
        Some(1205 | 3572) => said(DatabaseErrorKind::Unknown, "Lock wait timeout exceeded"),
        Some(1317 | 1969 | 3024) => said(
            DatabaseErrorKind::Unknown,
            "Query execution was interrupted",
        ),
        Some(1053 | 1152..=1161 | 1184 | 1927) => lost(error),
        _ => error,
    }
}

/// The values of a row from that column on, as many as asked for.
pub(super) fn values(row: &Row, from: usize, count: usize) -> Vec<Value> {
    (from..from + count)
        .map(|at| {
            let field = row.get(at);
            Value::read(field.as_ref().and_then(|field| field.value()))
        })
        .collect()
}
