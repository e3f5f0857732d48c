//! Inserting: the rows, then their entries by key.

use diesel::SqliteConnection;
use koherent_core::ChangeKind;

use super::change::Inserted;
use super::history::Stamp;
use super::sql::{self, PartialRow, values};
use super::{Returning, Touched};
use crate::error::Error;

pub(super) fn run(
    connection: &mut SqliteConnection,
    stamp: &Stamp<'_>,
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
            sql.push(", ").push(returning.columns);
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

/// Shows the caller the columns it asked for: those from `from` on.
pub(super) fn hand_on(
    row: &sql::Row<'_, '_>,
    from: usize,
    returning: &mut Option<Returning<'_>>,
) -> Result<(), Error> {
    use diesel::row::Row as _;
    match returning {
        Some(returning) => {
            let columns: PartialRow<'_, '_, '_> = PartialRow::new(row, from..row.field_count());
            (returning.row)(&columns)
        }
        None => Ok(()),
    }
}
