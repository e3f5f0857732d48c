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
use crate::table::TableInfo;

/// The most values that one statement may bind (`SQLITE_MAX_VARIABLE_NUMBER` by default).
const MAX_BINDS: usize = 32_766;

/// What is stamped on every entry of one change.
pub(super) struct Stamp<'r> {
    pub(super) recorder: &'r Recorder,
    pub(super) transaction: Uuid,
}

/// The values of the key columns of one row.
pub(super) type Key = Vec<Value>;

impl Stamp<'_> {
    /// The values of [`ATTRIBUTION_COLUMNS`]. The time is read here: the caller holds the write lock.
    fn values(&self, kind: ChangeKind) -> [Value; ATTRIBUTION_COLUMNS.len()] {
        let attribution = &self.recorder.attribution;
        [
            kind.code().into(),
            date_text(self.recorder.now()).into(),
            attribution.user().map(|user| user.as_str()).into(),
            attribution.client().map(|client| client.as_str()).into(),
            attribution
                .organization()
                .map(|organization| organization.as_str())
                .into(),
            attribution.task().map(|task| task.task_id.as_str()).into(),
            self.transaction.hyphenated().to_string().into(),
            attribution.reason().into(),
            attribution
                .context()
                .map(|context| context.to_string())
                .into(),
        ]
    }

    /// `INSERT INTO history (…) SELECT …, ?, … FROM table`, to be followed by a filter.
    fn insert_select(&self, table: &TableInfo, kind: ChangeKind) -> Sql {
        let mut sql = Sql::new();
        let names = table.columns.iter().map(|column| column.history_name);
        sql.push("INSERT INTO ").table(table.history).push(" (");
        sql.identifiers("", names.chain(ATTRIBUTION_COLUMNS))
            .push(") SELECT ");
        sql.identifiers("", table.columns.iter().map(|column| column.name))
            .push(", ");
        sql.bind_all(self.values(kind))
            .push(" FROM ")
            .table(table.name);
        sql
    }

    /// Writes one entry for each of the rows with these keys.
    pub(super) fn record_keys(
        &self,
        connection: &mut SqliteConnection,
        table: &'static TableInfo,
        kind: ChangeKind,
        keys: Vec<Key>,
    ) -> Result<usize, Error> {
        let changed = keys.len();
        let per_chunk = (MAX_BINDS - ATTRIBUTION_COLUMNS.len()) / table.key.len();
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

    /// Writes one entry for each row that the filter finds, and returns the first and the last id of them.
    pub(super) fn record_filtered(
        &self,
        connection: &mut SqliteConnection,
        table: &'static TableInfo,
        kind: ChangeKind,
        filter: &Sql,
    ) -> Result<Option<(i64, i64)>, Error> {
        let mut sql = self.insert_select(table, kind);
        sql.append(filter).push(" RETURNING `history_id`");
        let mut ids: Option<(i64, i64)> = None;
        sql::for_each_row(connection, &sql, |row| {
            if let [Value::Integer(id)] = values(row, 0, 1)[..] {
                ids = Some(ids.map_or((id, id), |(first, last)| (first.min(id), last.max(id))));
            }
            Ok(())
        })
        .map_err(|source| not_written(table, source))?;
        Ok(ids)
    }
}

/// Fails unless each changed row has its entry.
pub(super) fn complete(
    table: &'static TableInfo,
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

const fn not_written(table: &'static TableInfo, source: diesel::result::Error) -> Error {
    Error::HistoryNotWritten {
        table: table.name(),
        source,
    }
}

/// `id = ?`, `id IN (?, …)` or `(a, b) IN (VALUES (?, ?), …)`.
fn push_key_filter(sql: &mut Sql, table: &TableInfo, keys: Vec<Key>) {
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
