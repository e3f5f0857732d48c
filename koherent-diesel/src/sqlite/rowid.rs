//! `last_insert_rowid()`: that of the application's row, whatever else is written with it.

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection as _;

use super::statement::{execute, for_each_row, values};
use super::work::Sql;
use crate::error::Error;
use crate::sql::Write as _;

/// Does something after which `last_insert_rowid()` is what it was before.
///
/// SQL can only set it by an insert: a table of the connection's own, which no other sees and no file holds, has the row for a
/// moment.
pub(super) fn keeping_rowid<T>(
    connection: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut ask = Sql::new();
    ask.push("SELECT last_insert_rowid()");
    let mut rowid = None;
    for_each_row(connection, &ask, |row| {
        rowid = values(row, 0, 1).pop();
        Ok::<_, Error>(())
    })?;
    let done = work(connection)?;
    if let Some(rowid) = rowid {
        connection.batch_execute(SCRATCH)?;
        let mut set = Sql::new();
        set.push("INSERT INTO temp.koherent_rowid VALUES (")
            .bind(rowid)
            .push(")");
        execute(connection, &set)?;
        let mut clear = Sql::new();
        clear.push("DELETE FROM temp.koherent_rowid");
        execute(connection, &clear)?;
    }
    Ok(done)
}

const SCRATCH: &str = "CREATE TEMP TABLE IF NOT EXISTS koherent_rowid (id INTEGER PRIMARY KEY)";
