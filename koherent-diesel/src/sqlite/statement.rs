//! Running statements, and looking at their rows.

use diesel::connection::LoadConnection;
use diesel::row::{Field, Row as _};
use diesel::{Connection, QueryResult, SqliteConnection};

use super::value::Value;
use super::work::Sql;
use crate::error::Error;

/// A row of a statement's result.
pub(crate) type Row<'c, 'q> = <SqliteConnection as LoadConnection>::Row<'c, 'q>;

/// Some neighbouring columns of a row.
pub(crate) type PartialRow<'r, 'c, 'q> = diesel::row::PartialRow<'r, Row<'c, 'q>>;

/// What looks at the rows that the caller wants to see; it sees the columns that were asked for, and no others.
pub(crate) type Look<'l> = dyn FnMut(&PartialRow<'_, '_, '_>) -> Result<(), Error> + 'l;

/// Rows that the caller wants to see.
pub(super) struct Returning<'r> {
    /// The columns, where it wants to see any.
    pub(super) columns: Option<&'r Sql>,
    pub(super) look: &'r mut Look<'r>,
}

impl Returning<'_> {
    /// Writes the columns, behind others.
    pub(super) fn push(&self, sql: &mut Sql) {
        use crate::sql::Write as _;
        if let Some(columns) = self.columns {
            sql.push(", ").append(columns);
        }
    }

    /// Shows the caller the columns from `from` on.
    pub(super) fn hand_on(&mut self, row: &Row<'_, '_>, from: usize) -> Result<(), Error> {
        match self.columns {
            Some(_) => (self.look)(&PartialRow::new(row, from..row.field_count())),
            None => Ok(()),
        }
    }
}

/// Runs a statement and says how many rows it touched.
pub(super) fn execute(connection: &mut SqliteConnection, sql: &Sql) -> QueryResult<usize> {
    connection.execute_returning_count(sql)
}

/// Runs a statement and looks at each row of its result. Says how many there were.
pub(super) fn for_each_row<E: From<diesel::result::Error>>(
    connection: &mut SqliteConnection,
    sql: &Sql,
    mut look: impl FnMut(&Row<'_, '_>) -> Result<(), E>,
) -> Result<usize, E> {
    let mut count = 0;
    for row in LoadConnection::load(connection, sql)? {
        look(&row?)?;
        count += 1;
    }
    Ok(count)
}

/// The values of a row from that column on, as many as asked for.
pub(super) fn values(row: &Row<'_, '_>, from: usize, count: usize) -> Vec<Value> {
    (from..from + count)
        .map(|at| Value::read(row.get(at).as_ref().and_then(Field::value)))
        .collect()
}
