//! Inserting: the rows, then their entries by key.

use diesel::SqliteConnection;
use koherent_core::ChangeKind;

use super::run::{Entries, Touched};
use super::statement::{Returning, for_each_row, values};
use super::work::{Job, Sql};
use crate::change::Change;
use crate::error::Error;
use crate::prepared::{Kind, is_kept};
use crate::sql::Write as _;

pub(super) fn run(
    connection: &mut SqliteConnection,
    entries: &mut Entries,
    job: &Job,
    statements: impl ExactSizeIterator<Item = Sql>,
    returning: &mut Returning<'_>,
) -> Result<Touched, Error> {
    let table = job.table;
    let one_row_each = matches!(
        job.change,
        Change::Insert {
            one_row_each: true,
            ..
        }
    );
    let mut keys = Vec::with_capacity(statements.len());
    for mut sql in statements {
        sql.push(" RETURNING ")
            .identifiers("", table.key.iter().copied());
        returning.push(&mut sql);
        if one_row_each && is_kept(Kind::Insert, sql.text()) {
            sql.keep();
        }
        for_each_row(connection, &sql, |row| {
            keys.push(values(row, 0, table.key.len()));
            returning.hand_on(row, table.key.len())
        })?;
    }
    let rows = keys.len();
    let recorded = entries.record_keys(connection, ChangeKind::Create, keys)?;
    Ok(Touched { rows, recorded })
}
