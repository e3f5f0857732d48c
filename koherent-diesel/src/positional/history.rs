//! Writing entries: `INSERT … SELECT` from the live rows, with the attribution as constants.

use koherent_core::ChangeKind;

use super::sql::{Positional, Sql};
use crate::error::Error;
use crate::schema::{ATTRIBUTION_COLUMNS, TASK_COLUMNS};
use crate::sql::Write as _;
use crate::table::TrackedTable;

/// What is stamped on every entry of one change.
pub(crate) struct Stamp<DB: Positional> {
    /// The date, then [`stamped`](crate::stamp::stamped): `?` and a value, or an expression of the engine's.
    pub(crate) date: Sql<DB>,
    pub(crate) values: Vec<DB::Value>,
}

/// The values of the key columns of one row.
pub(crate) type Key<DB> = Vec<<DB as Positional>::Value>;

impl<DB: Positional> Stamp<DB> {
    /// `INSERT INTO history (…)`.
    fn insert_into(table: &TrackedTable) -> Sql<DB> {
        let mut sql = Sql::new();
        let names = table.columns.iter().map(|column| column.history_name);
        sql.push("INSERT INTO ").table(table.history).push(" (");
        sql.identifiers("", names.chain(ATTRIBUTION_COLUMNS))
            .push(") ");
        sql
    }

    /// `kind, date, user, …`.
    fn push_stamp(&self, sql: &mut Sql<DB>, kind: ChangeKind) {
        // One of three characters of ours: as text, so that each kind has a plan of its own.
        sql.push("'").push(kind.code()).push("', ");
        sql.append(&self.date).push(", ");
        sql.bind_all(self.values.iter().cloned());
    }

    /// `INSERT INTO history (…) SELECT …, ?, … FROM table`, to be followed by a filter.
    pub(crate) fn insert_select(&self, table: &TrackedTable, kind: ChangeKind) -> Sql<DB> {
        let mut sql = Self::insert_into(table);
        sql.push("SELECT ")
            .identifiers("", table.columns.iter().map(|column| column.name))
            .push(", ");
        self.push_stamp(&mut sql, kind);
        sql.push(" FROM ").table(table.name);
        sql
    }

    /// The same, for the rows with these keys; in as many statements as their values need.
    pub(crate) fn for_keys(
        &self,
        table: &'static TrackedTable,
        kind: ChangeKind,
        keys: Vec<Key<DB>>,
        max_binds: usize,
    ) -> impl Iterator<Item = Sql<DB>> {
        let per_chunk = (max_binds - ATTRIBUTION_COLUMNS.len()) / table.key.len();
        let mut keys = keys.into_iter().peekable();
        std::iter::from_fn(move || {
            keys.peek()?;
            let mut sql = self.insert_select(table, kind);
            sql.push(" WHERE ");
            push_key_filter(&mut sql, table, keys.by_ref().take(per_chunk).collect());
            Some(sql)
        })
    }

    /// `INSERT INTO history (…) VALUES (…), …`, for rows that are gone.
    #[cfg(feature = "sqlite")]
    pub(crate) fn for_values(
        &self,
        table: &'static TrackedTable,
        kind: ChangeKind,
        rows: Vec<Vec<DB::Value>>,
        max_binds: usize,
    ) -> impl Iterator<Item = Sql<DB>> {
        let per_chunk = max_binds / (table.columns.len() + ATTRIBUTION_COLUMNS.len());
        let mut rows = rows.into_iter().peekable();
        std::iter::from_fn(move || {
            rows.peek()?;
            let mut sql = Self::insert_into(table);
            sql.push("VALUES ");
            sql.do_not_cache();
            for (at, row) in rows.by_ref().take(per_chunk).enumerate() {
                sql.push(if at > 0 { ", (" } else { "(" });
                sql.bind_all(row).push(", ");
                self.push_stamp(&mut sql, kind);
                sql.push(")");
            }
            Some(sql)
        })
    }
}

/// `INSERT INTO table …`.
pub(crate) fn insert_into<DB: Positional>(table: &TrackedTable, rows: &Sql<DB>) -> Sql<DB> {
    let mut sql = Sql::new();
    sql.push("INSERT INTO ").table(table.name).push(" ");
    sql.append(rows);
    sql
}

/// How many keys one statement can name, beside some values of its own.
pub(crate) fn keys_per_statement(table: &TrackedTable, max_binds: usize) -> usize {
    (max_binds - ATTRIBUTION_COLUMNS.len()) / table.key.len()
}

/// Fails unless each changed row has its entry.
pub(crate) const fn complete(
    table: &'static TrackedTable,
    changed: usize,
    recorded: usize,
) -> Result<usize, Error> {
    if changed == recorded {
        Ok(recorded)
    } else {
        Err(Error::HistoryIncomplete {
            table: table.name(),
            changed,
            recorded,
        })
    }
}

pub(crate) const fn not_written(
    table: &'static TrackedTable,
    source: diesel::result::Error,
) -> Error {
    Error::HistoryNotWritten {
        table: table.name(),
        source,
    }
}

/// `id = ?`, `id IN (?, …)` or `(a, b) IN (VALUES (?, ?), …)`.
pub(crate) fn push_key_filter<DB: Positional>(
    sql: &mut Sql<DB>,
    table: &TrackedTable,
    keys: Vec<Key<DB>>,
) {
    push_filter(sql, &table.key, keys);
}

/// The same, of columns that hold the key elsewhere.
pub(crate) fn push_filter<DB: Positional>(
    sql: &mut Sql<DB>,
    columns: &[&'static str],
    keys: Vec<Key<DB>>,
) {
    match (columns, keys.len()) {
        (key, 1) => {
            for (at, (column, value)) in key.iter().zip(keys.into_iter().flatten()).enumerate() {
                if at > 0 {
                    sql.push(" AND ");
                }
                sql.identifier(column).push(" = ").bind(value);
            }
        }
        ([column], _) => {
            sql.do_not_cache();
            sql.identifier(column).push(" IN (");
            sql.bind_all(keys.into_iter().flatten()).push(")");
        }
        (columns, _) => {
            sql.do_not_cache();
            sql.push("(")
                .identifiers("", columns.iter().copied())
                .push(") IN (")
                .push(DB::ROWS);
            for (at, key) in keys.into_iter().enumerate() {
                sql.push(if at > 0 { ", (" } else { "(" })
                    .bind_all(key)
                    .push(")");
            }
            sql.push(")");
        }
    }
}

/// Compares a task's stored row with the one that an attribution means. A task may come with a new token, so the token's
/// id may differ; but no token may serve two tasks.
pub(crate) fn compare_task(
    stored: &[Option<String>],
    meant: &[Option<String>; TASK_COLUMNS.len() - 1],
    hands_over: bool,
) -> Result<(), Error> {
    if stored.first() != meant.first() {
        return Err(Error::TokenReused);
    }
    for (at, field) in TASK_COLUMNS[..meant.len()].iter().enumerate() {
        let may_differ = match *field {
            "token_id" => true,
            "agent_sub" | "agent_client_id" => hands_over,
            _ => false,
        };
        if !may_differ && stored.get(at) != Some(&meant[at]) {
            return Err(Error::TaskMismatch { field });
        }
    }
    Ok(())
}
