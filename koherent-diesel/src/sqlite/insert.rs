//! Inserting: the rows, then their entries by key.

use diesel::SqliteConnection;
use koherent_core::ChangeKind;

use super::run::{Touched, record_keys};
use super::statement::{Returning, for_each_row, values};
use super::work::Sql;
use crate::error::Error;
use crate::sql::Write as _;
use crate::table::TrackedTable;

pub(super) fn run(
    connection: &mut SqliteConnection,
    stamp: &super::run::Stamp,
    table: &'static TrackedTable,
    statements: impl ExactSizeIterator<Item = Sql>,
    returning: &mut Returning<'_>,
) -> Result<Touched, Error> {
    let mut keys = Vec::with_capacity(statements.len());
    for mut sql in statements {
        sql.push(" RETURNING ")
            .identifiers("", table.key.iter().copied());
        returning.push(&mut sql);
        for_each_row(connection, &sql, |row| {
            keys.push(values(row, 0, table.key.len()));
            returning.hand_on(row, table.key.len())
        })?;
    }
    let rows = keys.len();
    let recorded = record_keys(connection, stamp, table, ChangeKind::Create, keys)?;
    Ok(Touched { rows, recorded })
}
