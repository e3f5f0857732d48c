//! Updating: what the rows were, what they are, and entries for those in which an audited column changed.

use std::collections::HashMap;

use diesel::SqliteConnection;
use koherent_core::ChangeKind;

use super::Touched;
use super::change::Updated;
use super::history::{Key, Stamp, keys_per_statement, push_key_filter};
use super::returning::{Returning, hand_on};
use super::sql::{self, Sql, values};
use super::value::{Fingerprint, Fingerprints, Value};
use crate::error::Error;
use crate::table::TrackedTable;

pub(super) fn run(
    connection: &mut SqliteConnection,
    stamp: &Stamp,
    update: &Updated,
    record_unchanged: bool,
    returning: &mut Option<Returning<'_>>,
) -> Result<Touched, Error> {
    let table = update.table;
    let prints = Fingerprints::default();
    let mut before = rows_before(connection, update, &prints)?;

    let mut sql = Sql::new();
    sql.push("UPDATE ")
        .table(table.name)
        .push(" SET ")
        .append(&update.changes);
    sql.append(&update.filter).push(" RETURNING ");
    push_key_and_columns(&mut sql, table);
    if let Some(returning) = returning {
        sql.push(", ").append(returning.columns);
    }
    let (mut changed, mut unchanged, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    let rows = sql::for_each_row(connection, &sql, |row| {
        let (key, print) = key_and_print(row, table, &prints);
        match before.remove(&key) {
            None => unknown.push(key),
            Some(was) if was != print || record_unchanged => changed.push(key),
            Some(was) => unchanged.push((key, was)),
        }
        hand_on(row, table.key.len() + table.columns.len(), returning)
    })?;
    if !unknown.is_empty() && !before.is_empty() {
        // Some keys went and others came: this very update changed them.
        return Err(Error::KeyChanged {
            table: table.name(),
        });
    }
    // No key went: the filter looks at the time or at chance, and finds more than it did a moment ago.
    changed.extend(unknown);
    changed.extend(changed_by_triggers(connection, table, unchanged, &prints)?);
    let recorded = stamp.record_keys(connection, table, ChangeKind::Update, changed)?;
    Ok(Touched { rows, recorded })
}

/// Of rows that look unchanged, those that are not: `RETURNING` tells what rows are before triggers run.
fn changed_by_triggers(
    connection: &mut SqliteConnection,
    table: &TrackedTable,
    unchanged: Vec<(Key, Fingerprint)>,
    prints: &Fingerprints,
) -> Result<Vec<Key>, Error> {
    if unchanged.is_empty() || !has_triggers(connection, table)? {
        return Ok(Vec::new());
    }
    let mut was: HashMap<Key, Fingerprint> = unchanged.into_iter().collect();
    let keys: Vec<Key> = was.keys().cloned().collect();
    let mut changed = Vec::new();
    for keys in keys.chunks(keys_per_statement(table)) {
        let mut sql = select_key_and_columns(table);
        sql.push(" WHERE ");
        push_key_filter(&mut sql, table, keys.to_vec());
        sql::for_each_row(connection, &sql, |row| {
            let (key, print) = key_and_print(row, table, prints);
            if was.remove(&key).is_some_and(|was| was != print) {
                changed.push(key);
            }
            Ok::<_, Error>(())
        })?;
    }
    Ok(changed)
}

fn has_triggers(connection: &mut SqliteConnection, table: &TrackedTable) -> Result<bool, Error> {
    let mut sql = Sql::new();
    sql.push("SELECT 1 FROM ");
    if let Some(schema) = table.name.schema {
        sql.identifier(schema).push(".");
    }
    sql.push("sqlite_schema WHERE type = 'trigger' AND tbl_name = ")
        .bind(table.name.table);
    sql.push(" COLLATE NOCASE LIMIT 1");
    Ok(sql::for_each_row(connection, &sql, |_| Ok::<_, Error>(()))? > 0)
}

fn rows_before(
    connection: &mut SqliteConnection,
    update: &Updated,
    prints: &Fingerprints,
) -> Result<HashMap<Key, Fingerprint>, Error> {
    let mut sql = select_key_and_columns(update.table);
    sql.append(&update.filter);
    let mut before = HashMap::new();
    sql::for_each_row(connection, &sql, |row| {
        let (key, print) = key_and_print(row, update.table, prints);
        before.insert(key, print);
        Ok::<_, Error>(())
    })?;
    Ok(before)
}

/// `SELECT key, audited columns FROM table`.
fn select_key_and_columns(table: &TrackedTable) -> Sql {
    let mut sql = Sql::new();
    sql.push("SELECT ");
    push_key_and_columns(&mut sql, table);
    sql.push(" FROM ").table(table.name);
    sql
}

fn push_key_and_columns(sql: &mut Sql, table: &TrackedTable) {
    sql.identifiers("", table.key.iter().copied()).push(", ");
    sql.identifiers("", table.columns.iter().map(|column| column.name));
}

fn key_and_print(
    row: &sql::Row<'_, '_>,
    table: &TrackedTable,
    prints: &Fingerprints,
) -> (Vec<Value>, Fingerprint) {
    let key = values(row, 0, table.key.len());
    let print = prints.of(&values(row, table.key.len(), table.columns.len()));
    (key, print)
}
