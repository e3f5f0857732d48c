//! Inserting: the rows, then their entries by key.

use diesel_async::AsyncMysqlConnection;
use koherent_core::ChangeKind;

use super::run::{Key, Stamp, Touched, record_keys};
use super::session::{Returning, execute, for_each_row, values};
use super::value::Value;
use super::work::{Job, MAX_BINDS, Sql};
use crate::change::Change;
use crate::error::Error;
use crate::positional::history::{keys_per_statement, push_key_filter};
use crate::sql::Write as _;
use crate::table::TrackedTable;

pub(super) async fn run(
    connection: &mut AsyncMysqlConnection,
    stamp: &Stamp,
    job: &Job,
    statements: Vec<Sql>,
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
    let mut keys = Vec::new();
    if has_returning(connection, job).await? {
        for mut sql in statements {
            sql.push(" RETURNING ")
                .identifiers("", table.key.iter().copied());
            returning.push(&mut sql);
            if one_row_each && job.recorder.remembered.keeps_insert(sql.text()) {
                sql.keep();
            }
            for_each_row(connection, &sql, &mut |row| {
                keys.push(values(row, 0, table.key.len()));
                returning.hand_on(row, table.key.len())
            })
            .await?;
        }
    } else {
        for statement in statements {
            keys.extend(numbered(connection, table, &statement).await?);
        }
        if returning.columns.is_some() {
            show(connection, table, &keys, returning).await?;
        }
    }
    let rows = keys.len();
    let recorded = record_keys(connection, stamp, table, ChangeKind::Create, keys).await?;
    Ok(Touched { rows, recorded })
}

/// Whether the server has `INSERT … RETURNING`: MariaDB has, MySQL has not.
pub(super) async fn has_returning(
    connection: &mut AsyncMysqlConnection,
    job: &Job,
) -> Result<bool, Error> {
    if let Some(known) = job.recorder.remembered.has_returning() {
        return Ok(known);
    }
    let mut sql = Sql::new();
    sql.push("SELECT VERSION() LIKE '%MariaDB%'");
    let mut is_mariadb = false;
    for_each_row(connection, &sql, &mut |row| {
        is_mariadb = values(row, 0, 1)[0].number() == Some(1);
        Ok(())
    })
    .await?;
    job.recorder.remembered.learn_returning(is_mariadb);
    Ok(is_mariadb)
}

/// Runs an insert whose keys the server makes, and says which these are: one after the other.
async fn numbered(
    connection: &mut AsyncMysqlConnection,
    table: &TrackedTable,
    statement: &Sql,
) -> Result<Vec<Key>, Error> {
    // It keeps what an earlier insert left, unless told otherwise.
    let mut forget = Sql::new();
    forget.push("DO LAST_INSERT_ID(0)");
    execute(connection, &forget).await?;
    let count = execute(connection, statement).await?;
    let mut ask = Sql::new();
    ask.push("SELECT LAST_INSERT_ID()");
    let mut first = None;
    for_each_row(connection, &ask, &mut |row| {
        first = values(row, 0, 1)[0].number();
        Ok(())
    })
    .await?;
    let made = first.filter(|first| *first > 0 && table.key.len() == 1);
    let Some(first) = made else {
        return Err(NO_KEYS);
    };
    let keys: Vec<Key> = (0..count as u64)
        .map(|at| vec![Value::from(first + at)])
        .collect();
    Ok(keys)
}

const NO_KEYS: Error = Error::Unsupported(
    "MySQL does not tell the keys of rows that it did not number itself: give the table one AUTO_INCREMENT key and leave \
     it out of the rows, or use MariaDB",
);

/// Shows the caller rows by their keys.
async fn show(
    connection: &mut AsyncMysqlConnection,
    table: &TrackedTable,
    keys: &[Key],
    returning: &mut Returning<'_>,
) -> Result<(), Error> {
    for keys in keys.chunks(keys_per_statement(table, MAX_BINDS)) {
        let mut sql = Sql::new();
        sql.push("SELECT ")
            .identifiers("", table.key.iter().copied());
        returning.push(&mut sql);
        sql.push(" FROM ").table(table.name).push(" WHERE ");
        push_key_filter(&mut sql, table, keys.to_vec());
        sql.push(" ORDER BY ")
            .identifiers("", table.key.iter().copied());
        let from = table.key.len();
        for_each_row(connection, &sql, &mut |row| returning.hand_on(row, from)).await?;
    }
    Ok(())
}
