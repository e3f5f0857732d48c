//! What triggers of the application change as part of an audited statement.
//!
//! The guards list those rows in `koherent_nested`, by their keys. When the statement is done, each gets the entry that lies between
//! its latest entry and the row as it is: so the entries of a row stand in the order in which its values came to be, and the
//! last one is the row. They are attributed to the statement, and marked as captured. Where the table of the statement has such
//! triggers, its own rows wait for that moment too.

use diesel::SqliteConnection;
use koherent_core::ChangeKind;

use super::run::{Key, MAX_BINDS, Stamp};
use super::statement::{execute, for_each_row, values};
use super::value::Value;
use super::work::Sql;
use crate::error::Error;
use crate::positional::history::{keys_per_statement, not_written, push_key_filter};
use crate::schema::ATTRIBUTION_COLUMNS;
use crate::sql::Write as _;
use crate::table::TrackedTable;

/// Rows of the statement itself, whose entries are written when its triggers are done.
#[derive(Debug, Default)]
pub(super) struct OwnRows {
    created: Vec<Key>,
    updated: Vec<Key>,
}

impl OwnRows {
    /// Adds rows that the statement created or updated.
    pub(super) fn add(&mut self, kind: ChangeKind, keys: Vec<Key>) {
        match kind {
            ChangeKind::Create => self.created.extend(keys),
            _ => self.updated.extend(keys),
        }
    }

    /// Writes an entry for each of the rows that is still there.
    pub(super) fn record(
        self,
        connection: &mut SqliteConnection,
        stamp: &Stamp,
        table: &'static TrackedTable,
    ) -> Result<usize, Error> {
        let mut recorded = 0;
        for (kind, keys) in [("'+'", self.created), ("'~'", self.updated)] {
            for keys in keys.chunks(keys_per_statement(table, MAX_BINDS)) {
                let sql = own_entries(stamp, table, kind, keys.to_vec());
                recorded +=
                    execute(connection, &sql).map_err(|source| not_written(table, source))?;
            }
        }
        Ok(recorded)
    }
}

/// `INSERT INTO history … SELECT …` of rows of the statement: a row without an entry before is of that kind.
fn own_entries(stamp: &Stamp, table: &'static TrackedTable, kind: &str, keys: Vec<Key>) -> Sql {
    let mut sql = Sql::new();
    let history_columns = table.columns.iter().map(|column| column.history_name);
    sql.push("INSERT INTO ").table(table.history).push(" (");
    sql.identifiers("", history_columns.chain(ATTRIBUTION_COLUMNS))
        .push(") SELECT ");
    sql.identifiers("x.", table.columns.iter().map(|column| column.name));
    sql.push(", CASE WHEN h.history_kind = '-' THEN '+' WHEN h.history_kind IS NULL THEN ")
        .push(kind)
        .push(" ELSE '~' END, max(");
    sql.append(&stamp.date)
        .push(", coalesce(h.history_date, '')), ");
    sql.bind_all(stamp.values.iter().cloned())
        .push(" FROM (SELECT * FROM ")
        .table(table.name)
        .push(" WHERE ");
    push_key_filter(&mut sql, table, keys);
    sql.push(") AS x LEFT JOIN ");
    sql.table(table.history)
        .push(" AS h ON h.history_id = (SELECT max(history_id) FROM ")
        .table(table.history);
    sql.push(" WHERE ");
    let pairs = table.key.iter().zip(table.key_in_history());
    for (at, (key, there)) in pairs.enumerate() {
        sql.push(if at > 0 { " AND " } else { "" })
            .identifier(there);
        sql.push(" COLLATE BINARY IS x.").identifier(key);
    }
    sql.push(")");
    sql
}

/// Writes the entries of all rows that are listed, and clears the list. Says how many entries these are.
pub(super) fn record(
    connection: &mut SqliteConnection,
    stamp: &Stamp,
    table: &'static TrackedTable,
) -> Result<usize, Error> {
    let mut recorded = 0;
    for guarded in Guarded::listed(connection)? {
        for sql in [
            guarded.present(stamp),
            guarded.gone(stamp),
            guarded.gone_without_entry(stamp),
        ] {
            recorded += execute(connection, &sql).map_err(|source| not_written(table, source))?;
        }
    }
    let mut sql = Sql::new();
    sql.push("DELETE FROM koherent_nested");
    execute(connection, &sql)?;
    Ok(recorded)
}

/// A guarded table, as it is registered.
#[derive(Debug)]
struct Guarded {
    name: String,
    history: String,
    /// The columns of the key, and their names in the history.
    key: Vec<(String, String)>,
    /// The kept columns that are there, and their names in the history.
    kept: Vec<(String, String)>,
}

impl Guarded {
    /// The tables whose rows are listed.
    fn listed(connection: &mut SqliteConnection) -> Result<Vec<Self>, Error> {
        let mut sql = Sql::new();
        sql.push(
            "SELECT tracked_table, history_table, key_columns, kept_columns, history_columns, \
             (SELECT json_group_array(name) FROM pragma_table_xinfo(tracked_table)), \
             (SELECT json_group_array(name) FROM pragma_table_xinfo(history_table)) FROM koherent_table \
             WHERE tracked_schema = '' AND tracked_table IN (SELECT tracked_table FROM koherent_nested WHERE event <> 'BEFORE')",
        );
        let mut found = Vec::new();
        for_each_row(connection, &sql, |row| {
            let texts = values(row, 0, 7).into_iter().map(|value| value.into_text());
            let texts: Vec<_> = texts.map(Option::unwrap_or_default).collect();
            found.push(Self::read(&texts));
            Ok::<_, Error>(())
        })?;
        Ok(found)
    }

    fn read(texts: &[String]) -> Self {
        let names = |at: usize| -> Vec<String> {
            serde_json::from_str(texts.get(at).map_or("", String::as_str)).unwrap_or_default()
        };
        let (here, there) = (names(5), names(6));
        let kept: Vec<(String, String)> = names(3)
            .into_iter()
            .zip(names(4))
            .filter(|(name, history_name)| here.contains(name) && there.contains(history_name))
            .collect();
        let in_history = |key: String| {
            let column = kept.iter().find(|(name, _)| *name == key);
            let history_name = column.map_or_else(|| key.clone(), |(_, there)| there.clone());
            (key, history_name)
        };
        Self {
            name: texts[0].clone(),
            history: texts[1].clone(),
            key: names(2).into_iter().map(in_history).collect(),
            kept: kept.clone(),
        }
    }

    /// Rows that are there, and are not what their latest entry says.
    fn present(&self, stamp: &Stamp) -> Sql {
        let mut sql = self.insert();
        let kept = self.kept.iter().map(|(name, _)| name.as_str());
        sql.push("SELECT ").identifiers("x.", kept).push(", ");
        sql.push(
            "CASE WHEN h.history_kind = '-' OR h.history_kind IS NULL AND n.is_new THEN '+' ELSE '~' END, ",
        );
        let statement = "CASE WHEN h.history_kind = '-' OR h.history_kind IS NULL AND n.is_new THEN 'INSERT' ELSE 'UPDATE' END";
        push_stamp(&mut sql, stamp, statement);
        self.push_listed(&mut sql);
        sql.push(" JOIN ").identifier(&self.name).push(" AS x ON ");
        self.push_row(&mut sql);
        self.push_latest(&mut sql, " LEFT JOIN ");
        sql.push(" WHERE h.history_kind IS NULL OR h.history_kind = '-'");
        for (name, there) in &self.kept {
            sql.push(" OR h.").identifier(there).push(" IS NOT x.");
            sql.identifier(name)
                .push(" COLLATE BINARY OR typeof(h.")
                .identifier(there);
            sql.push(") <> typeof(x.").identifier(name).push(")");
        }
        sql
    }

    /// Rows that are gone, with the values of their latest entry.
    fn gone(&self, stamp: &Stamp) -> Sql {
        let mut sql = self.insert();
        let kept = self.kept.iter().map(|(_, there)| there.as_str());
        sql.push("SELECT ").identifiers("h.", kept).push(", '-', ");
        push_stamp(&mut sql, stamp, "'DELETE'");
        self.push_listed(&mut sql);
        self.push_latest(&mut sql, " JOIN ");
        sql.push(" WHERE h.history_kind <> '-' AND NOT ");
        self.push_is_there(&mut sql);
        sql
    }

    /// Rows that are gone and were there before their history began: their key is all that is known.
    fn gone_without_entry(&self, stamp: &Stamp) -> Sql {
        let mut sql = Sql::new();
        sql.push("INSERT INTO ")
            .identifier(&self.history)
            .push(" (");
        let key = self.key.iter().map(|(_, there)| there.as_str());
        sql.identifiers("", key.chain(ATTRIBUTION_COLUMNS))
            .push(") SELECT ");
        for at in 0..self.key.len() {
            sql.push(&format!("n.key_{at}, "));
        }
        sql.push("'-', ");
        push_stamp(&mut sql, stamp, "'DELETE'");
        self.push_listed(&mut sql);
        self.push_latest(&mut sql, " LEFT JOIN ");
        sql.push(" WHERE h.history_kind IS NULL AND NOT n.is_new AND NOT ");
        self.push_is_there(&mut sql);
        sql
    }

    fn insert(&self) -> Sql {
        let mut sql = Sql::new();
        sql.push("INSERT INTO ")
            .identifier(&self.history)
            .push(" (");
        let kept = self.kept.iter().map(|(_, there)| there.as_str());
        sql.identifiers("", kept.chain(ATTRIBUTION_COLUMNS))
            .push(") ");
        sql
    }

    /// ` FROM` the keys that are listed, each once, `AS n`.
    fn push_listed(&self, sql: &mut Sql) {
        let keys: Vec<_> = (0..self.key.len()).map(|at| format!("key_{at}")).collect();
        let keys = keys.join(", ");
        sql.push(" FROM (SELECT ")
            .push(&keys)
            .push(", max(event = 'INSERT') AS is_new FROM koherent_nested WHERE event <> 'BEFORE' AND tracked_table = ")
            .bind(self.name.as_str());
        sql.push(" GROUP BY ").push(&keys).push(") AS n");
    }

    /// The latest entry of the key, `AS h`.
    fn push_latest(&self, sql: &mut Sql, join: &str) {
        sql.push(join)
            .identifier(&self.history)
            .push(" AS h ON h.history_id = (SELECT max(history_id) FROM ")
            .identifier(&self.history)
            .push(" WHERE ");
        for (at, (_, there)) in self.key.iter().enumerate() {
            sql.push(if at > 0 { " AND " } else { "" })
                .identifier(there);
            sql.push(&format!(" COLLATE BINARY IS n.key_{at}"));
        }
        sql.push(")");
    }

    /// The row of the key.
    fn push_row(&self, sql: &mut Sql) {
        for (at, (name, _)) in self.key.iter().enumerate() {
            sql.push(if at > 0 { " AND x." } else { "x." })
                .identifier(name);
            sql.push(&format!(" COLLATE BINARY IS n.key_{at}"));
        }
    }

    fn push_is_there(&self, sql: &mut Sql) {
        sql.push("EXISTS (SELECT 1 FROM ")
            .identifier(&self.name)
            .push(" AS x WHERE ");
        self.push_row(sql);
        sql.push(")");
    }
}

/// `date, user, …`, marked as captured. The date is not before that of the latest entry.
fn push_stamp(sql: &mut Sql, stamp: &Stamp, statement: &str) {
    sql.push("max(")
        .append(&stamp.date)
        .push(", coalesce(h.history_date, '')), ");
    let (context, others) = stamp
        .values
        .split_last()
        .expect("an attribution has a context, or a null in its place");
    sql.bind_all(others.iter().cloned())
        .push(", json_set(coalesce(");
    sql.bind(Value::clone(context))
        .push(", '{}'), '$.captured', ")
        .push(statement)
        .push(")");
}
