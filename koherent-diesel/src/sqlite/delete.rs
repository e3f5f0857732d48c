//! Deleting: entries with the last values first, then exactly the rows that have one.

use diesel::SqliteConnection;
use koherent_core::ChangeKind;

use super::Touched;
use super::change::Deleted;
use super::history::{Stamp, complete};
use super::returning::{Returning, hand_on};
use super::sql::{self, Sql};
use crate::error::Error;
use crate::table::TrackedTable;

pub(super) fn run(
    connection: &mut SqliteConnection,
    stamp: &Stamp,
    delete: &Deleted,
    returning: &mut Option<Returning<'_>>,
) -> Result<Touched, Error> {
    let table = delete.table;
    let written = stamp.record_filtered(connection, table, ChangeKind::Delete, &delete.filter)?;
    if written.count == 0 {
        return Ok(Touched {
            rows: 0,
            recorded: 0,
        });
    }

    // By the entries just written, not by the filter again: it may look at history, or at chance.
    let mut sql = Sql::new();
    sql.push("DELETE FROM ").table(table.name).push(" WHERE (");
    sql.identifiers("", table.key.iter().copied())
        .push(") IN (SELECT ");
    sql.identifiers("", key_in_history(table))
        .push(" FROM ")
        .table(table.history);
    sql.push(" WHERE `history_id` BETWEEN ")
        .bind(written.first)
        .push(" AND ")
        .bind(written.last)
        .push(")");
    let rows = match returning {
        Some(wanted) => {
            sql.push(" RETURNING ").append(wanted.columns);
            sql::for_each_row(connection, &sql, |row| hand_on(row, 0, returning))?
        }
        None => sql::execute(connection, &sql)?,
    };
    let recorded = complete(table, rows, written.count)?;
    Ok(Touched { rows, recorded })
}

/// The names that the key columns have in the history table.
fn key_in_history(table: &TrackedTable) -> impl Iterator<Item = &'static str> {
    table.key.iter().map(|key| {
        let column = table.columns.iter().find(|column| column.name == *key);
        column.map_or(*key, |column| column.history_name)
    })
}
