//! Deleting: the rows are locked, their last values recorded, and exactly these rows deleted.

use diesel_async::AsyncMysqlConnection;
use koherent_core::ChangeKind;

use super::guard;
use super::run::{Stamp, Touched, record_keys};
use super::session::{Returning, execute, for_each_row, values};
use super::work::{MAX_BINDS, Sql};
use crate::error::Error;
use crate::positional::history::{complete, keys_per_statement, push_key_filter};
use crate::sql::Write as _;
use crate::table::TrackedTable;

pub(super) async fn run(
    connection: &mut AsyncMysqlConnection,
    stamp: &Stamp,
    table: &'static TrackedTable,
    filter: &Sql,
    returning: &mut Returning<'_>,
) -> Result<Touched, Error> {
    let mut select = Sql::new();
    select
        .push("SELECT ")
        .identifiers("", table.key.iter().copied());
    returning.push(&mut select);
    select.push(" FROM ").table(table.name);
    select.append(filter).push(" FOR UPDATE");
    let mut keys = Vec::new();
    for_each_row(connection, &select, &mut |row| {
        keys.push(values(row, 0, table.key.len()));
        returning.hand_on(row, table.key.len())
    })
    .await?;

    let written = keys.clone();
    let stamp = Stamp {
        date: guard::date(Some(keys.len())),
        values: stamp.values.clone(),
    };
    let recorded = record_keys(connection, &stamp, table, ChangeKind::Delete, written).await?;
    let mut rows = 0;
    for keys in keys.chunks(keys_per_statement(table, MAX_BINDS)) {
        let mut sql = Sql::new();
        sql.push("DELETE FROM ").table(table.name).push(" WHERE ");
        push_key_filter(&mut sql, table, keys.to_vec());
        rows += execute(connection, &sql).await?;
    }
    complete(table, rows, recorded)?;
    Ok(Touched { rows, recorded })
}
