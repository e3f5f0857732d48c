//! Writing entries: `INSERT … SELECT` from the live rows, with the attribution as constants.

use diesel::SqliteConnection;
use koherent_core::ChangeKind;
use uuid::Uuid;

use super::sql::{self, Sql, values};
use super::types::date_text;
use super::value::Value;
use crate::error::Error;
use crate::record::Recorder;
use crate::schema::ATTRIBUTION_COLUMNS;
use crate::table::TrackedTable;

/// The most values that one statement may bind (`SQLITE_MAX_VARIABLE_NUMBER` by default).
const MAX_BINDS: usize = 32_766;

/// What is stamped on every entry of one change.
pub(super) struct Stamp {
    /// The values of [`ATTRIBUTION_COLUMNS`] behind the kind.
    values: [Value; ATTRIBUTION_COLUMNS.len() - 1],
}

/// The values of the key columns of one row.
pub(super) type Key = Vec<Value>;

impl Stamp {
    /// Reads the time: the caller holds the write lock.
    pub(super) fn new(recorder: &Recorder, transaction: Uuid) -> Self {
        let attribution = &recorder.attribution;
        let values = [
            date_text(recorder.now()).into(),
            attribution.user().map(|user| user.as_str()).into(),
            attribution.client().map(|client| client.as_str()).into(),
            attribution
                .organization()
                .map(|organization| organization.as_str())
                .into(),
            attribution.task().map(|task| task.task_id.as_str()).into(),
            transaction.hyphenated().to_string().into(),
            attribution.reason().into(),
            attribution
                .context()
                .map(|context| context.to_string())
                .into(),
        ];
        Self { values }
    }

    /// `INSERT INTO history (…) SELECT …, ?, … FROM table`, to be followed by a filter.
    fn insert_select(&self, table: &TrackedTable, kind: ChangeKind) -> Sql {
        let mut sql = Sql::new();
        let names = table.columns.iter().map(|column| column.history_name);
        sql.push("INSERT INTO ").table(table.history).push(" (");
        sql.identifiers("", names.chain(ATTRIBUTION_COLUMNS))
            .push(") SELECT ");
        sql.identifiers("", table.columns.iter().map(|column| column.name))
            .push(", ");
        sql.bind(kind.code())
            .push(", ")
            .bind_all(self.values.iter().cloned());
        sql.push(" FROM ").table(table.name);
        sql
    }

    /// Writes one entry for each of the rows with these keys.
    pub(super) fn record_keys(
        &self,
        connection: &mut SqliteConnection,
        table: &'static TrackedTable,
        kind: ChangeKind,
        keys: Vec<Key>,
    ) -> Result<usize, Error> {
        let changed = keys.len();
        let per_chunk = keys_per_statement(table);
        let mut keys = keys.into_iter().peekable();
        let mut recorded = 0;
        while keys.peek().is_some() {
            let mut sql = self.insert_select(table, kind);
            sql.push(" WHERE ");
            push_key_filter(&mut sql, table, keys.by_ref().take(per_chunk).collect());
            recorded +=
                sql::execute(connection, &sql).map_err(|source| not_written(table, source))?;
        }
        complete(table, changed, recorded)
    }

    /// Writes one entry for each row that the filter finds, and says which ids they have.
    pub(super) fn record_filtered(
        &self,
        connection: &mut SqliteConnection,
        table: &'static TrackedTable,
        kind: ChangeKind,
        filter: &Sql,
    ) -> Result<Written, Error> {
        let mut sql = self.insert_select(table, kind);
        sql.append(filter).push(" RETURNING `history_id`");
        let mut written = Written {
            count: 0,
            first: i64::MAX,
            last: i64::MIN,
        };
        let mut numbered = true;
        sql::for_each_row(connection, &sql, |row| {
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
}

/// Entries that were just written by one statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    /// How many.
    pub(super) count: usize,
    /// The least `history_id` of them.
    pub(super) first: i64,
    /// The greatest.
    pub(super) last: i64,
}

impl Written {
    fn add(&mut self, id: i64) {
        self.count += 1;
        self.first = self.first.min(id);
        self.last = self.last.max(id);
    }
}

/// How many keys one statement can name, beside the values of an attribution.
pub(super) fn keys_per_statement(table: &TrackedTable) -> usize {
    (MAX_BINDS - ATTRIBUTION_COLUMNS.len()) / table.key.len()
}

/// Fails unless each changed row has its entry.
pub(super) fn complete(
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

const fn not_written(table: &'static TrackedTable, source: diesel::result::Error) -> Error {
    Error::HistoryNotWritten {
        table: table.name(),
        source,
    }
}

/// `id = ?`, `id IN (?, …)` or `(a, b) IN (VALUES (?, ?), …)`.
pub(super) fn push_key_filter(sql: &mut Sql, table: &TrackedTable, keys: Vec<Key>) {
    match (&table.key[..], keys.len()) {
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
                .push(") IN (VALUES ");
            for (at, key) in keys.into_iter().enumerate() {
                sql.push(if at > 0 { ", (" } else { "(" })
                    .bind_all(key)
                    .push(")");
            }
            sql.push(")");
        }
    }
}
