//! Deleting: entries with the last values first, then exactly the rows that have one.

use diesel::SqliteConnection;
use koherent_core::ChangeKind;

use super::run::{Stamp, Touched};
use super::statement::{Returning, execute, for_each_row, values};
use super::value::Value;
use super::work::Sql;
use crate::error::Error;
use crate::positional::history::{complete, not_written};
use crate::sql::Write as _;
use crate::table::TrackedTable;

pub(super) fn run(
    connection: &mut SqliteConnection,
    stamp: &Stamp,
    table: &'static TrackedTable,
    filter: &Sql,
    returning: &mut Returning<'_>,
) -> Result<Touched, Error> {
    let written = record_filtered(connection, stamp, table, filter)?;
    if written.count == 0 {
        return Ok(Touched {
            rows: 0,
            recorded: 0,
        });
    }

    let mut sql = Sql::new();
    sql.push("DELETE FROM ").table(table.name);
    push_written(&mut sql, table, written);
    let rows = match returning.columns {
        Some(columns) => {
            sql.push(" RETURNING ").append(columns);
            for_each_row(connection, &sql, |row| returning.hand_on(row, 0))?
        }
        None => execute(connection, &sql)?,
    };
    if rows < written.count && !any_left(connection, table, written)? {
        // The others went with these: a foreign key of the table to itself deletes them.
        return Ok(Touched {
            rows: written.count,
            recorded: written.count,
        });
    }
    let recorded = complete(table, rows, written.count)?;
    Ok(Touched { rows, recorded })
}

/// ` WHERE` the row has one of the entries just written: not the filter again, which may look at history, or at chance.
fn push_written(sql: &mut Sql, table: &'static TrackedTable, written: Written) {
    sql.push(" WHERE (")
        .identifiers("", table.key.iter().copied())
        .push(") IN (SELECT ");
    sql.identifiers("", table.key_in_history())
        .push(" FROM ")
        .table(table.history);
    sql.push(" WHERE `history_id` BETWEEN ").bind(written.first);
    sql.push(" AND ").bind(written.last).push(")");
}

fn any_left(
    connection: &mut SqliteConnection,
    table: &'static TrackedTable,
    written: Written,
) -> Result<bool, Error> {
    let mut sql = Sql::new();
    sql.push("SELECT 1 FROM ").table(table.name);
    push_written(&mut sql, table, written);
    sql.push(" LIMIT 1");
    Ok(for_each_row(connection, &sql, |_| Ok::<_, Error>(()))? > 0)
}

/// Writes one entry for each row that the filter finds, and says which ids they have.
fn record_filtered(
    connection: &mut SqliteConnection,
    stamp: &Stamp,
    table: &'static TrackedTable,
    filter: &Sql,
) -> Result<Written, Error> {
    let mut sql = stamp.insert_select(table, ChangeKind::Delete);
    sql.append(filter).push(" RETURNING `history_id`");
    let mut written = Written {
        count: 0,
        first: i64::MAX,
        last: i64::MIN,
    };
    let mut numbered = true;
    for_each_row(connection, &sql, |row| {
        match values(row, 0, 1)[..] {
            [Value::Integer(id)] => written.add(id),
            _ => numbered = false,
        }
        Ok(())
    })
    .map_err(|source| not_written(table, source))?;
    if numbered {
        Ok(written)
    } else {
        Err(Error::HistoryNotNumbered {
            table: table.name(),
        })
    }
}

/// Entries that were just written by one statement.
#[derive(Debug, Clone, Copy)]
struct Written {
    /// How many.
    count: usize,
    /// The least `history_id` of them.
    first: i64,
    /// The greatest.
    last: i64,
}

impl Written {
    fn add(&mut self, id: i64) {
        self.count += 1;
        self.first = self.first.min(id);
        self.last = self.last.max(id);
    }
}
