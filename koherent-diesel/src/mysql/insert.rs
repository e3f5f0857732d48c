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
use crate::prepared::{Kind, is_kept};
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
            if one_row_each && is_kept(Kind::Insert, sql.text()) {
                sql.keep();
            }
            for_each_row(connection, &sql, &mut |row| {
                keys.push(values(row, 0, table.key.len()));
                returning.hand_on(row, table.key.len())
            })
            .await?;
        }
    } else {
        if matches!(job.change, Change::Statement { .. }) || !is_numbered(connection, table).await?
        {
            return Err(NO_KEYS);
        }
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
    // Rows with keys of their own, or with some of them: which keys they got, nobody says.
    let (columns, _) = statement.text().split_once(") VALUES").unwrap_or_default();
    if columns.contains(&format!("`{}`", table.key[0])) {
        return Err(NO_KEYS);
    }
    // It keeps what an earlier insert left, unless told otherwise.
    let mut forget = Sql::new();
    forget.push("DO LAST_INSERT_ID(0)");
    execute(connection, &forget).await?;
    let count = execute(connection, statement).await?;
    let mut ask = Sql::new();
    ask.push("SELECT LAST_INSERT_ID(), @@auto_increment_increment");
    let mut numbers = None;
    for_each_row(connection, &ask, &mut |row| {
        let row = values(row, 0, 2);
        numbers = row[0].number().zip(row[1].number());
        Ok(())
    })
    .await?;
    // The rows of one insert are numbered one after the other, whoever else inserts meanwhile.
    let Some((first, step)) = numbers.filter(|(first, _)| *first > 0) else {
        return Err(NO_KEYS);
    };
    let keys = (0..count as u64).map(|at| vec![Value::from(first + at * step)]);
    Ok(keys.collect())
}

/// Whether the server numbers the rows of a table by their key.
async fn is_numbered(
    connection: &mut AsyncMysqlConnection,
    table: &TrackedTable,
) -> Result<bool, Error> {
    let [key] = &table.key[..] else {
        return Ok(false);
    };
    let mut sql = Sql::new();
    sql.push("SELECT 1 FROM information_schema.columns WHERE table_schema = ");
    match table.name.schema {
        Some(schema) => sql.bind(schema),
        None => sql.push("DATABASE()"),
    };
    sql.push(" AND table_name = ").bind(table.name.table);
    sql.push(" AND column_name = ").bind(*key);
    sql.push(" AND extra LIKE '%auto_increment%'");
    Ok(for_each_row(connection, &sql, &mut |_| Ok(())).await? > 0)
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
