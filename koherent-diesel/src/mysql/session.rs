//! Running statements on a connection, and looking at their rows.

use diesel::QueryResult;
use diesel::row::{Field as _, PartialRow as Partial, Row as _};
use diesel_async::{
    AnsiTransactionManager, AsyncConnectionCore, AsyncMysqlConnection, TransactionManager,
};
use futures_util::TryStreamExt as _;

use super::value::Value;
use super::work::Sql;
use crate::error::Error;
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
    connection.execute_returning_count(sql).await
}

/// Runs a statement and looks at each row of its result. Says how many there were.
pub(super) async fn for_each_row(
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

/// The values of a row from that column on, as many as asked for.
pub(super) fn values(row: &Row, from: usize, count: usize) -> Vec<Value> {
    (from..from + count)
        .map(|at| {
            let field = row.get(at);
            Value::read(field.as_ref().and_then(|field| field.value()))
        })
        .collect()
}
