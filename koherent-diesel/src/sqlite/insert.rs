//! Inserting: the rows, then their entries by key.

use diesel::SqliteConnection;
use koherent_core::ChangeKind;

use super::Touched;
use super::change::Inserted;
use super::history::Stamp;
use super::returning::{Returning, hand_on};
use super::sql::{self, values};
use crate::error::Error;

pub(super) fn run(
    connection: &mut SqliteConnection,
    stamp: &Stamp,
    insert: &Inserted,
    returning: &mut Option<Returning<'_>>,
) -> Result<Touched, Error> {
    let table = insert.table;
    let mut keys = Vec::with_capacity(insert.statements.len());
    for statement in &insert.statements {
        let mut sql = statement.clone();
        sql.push(" RETURNING ")
            .identifiers("", table.key.iter().copied());
        if let Some(returning) = returning {
            sql.push(", ").append(returning.columns);
        }
        sql::for_each_row(connection, &sql, |row| {
            keys.push(values(row, 0, table.key.len()));
            hand_on(row, table.key.len(), returning)
        })?;
    }
    let rows = keys.len();
    let recorded = stamp.record_keys(connection, table, ChangeKind::Create, keys)?;
    Ok(Touched { rows, recorded })
}
