//! Updating: what the rows were, what they are, and entries for those in which an audited column changed.

use std::collections::HashMap;

use diesel::SqliteConnection;
use koherent_core::ChangeKind;

use super::Touched;
use super::change::Updated;
use super::history::{Key, Stamp};
use super::returning::{Returning, hand_on};
use super::sql::{self, Sql, values};
use super::value::{Fingerprint, Fingerprints, Value};
use crate::error::Error;
use crate::table::TableInfo;

pub(super) fn run(
    connection: &mut SqliteConnection,
    stamp: &Stamp<'_>,
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
        sql.push(", ").push(returning.columns);
    }
    let mut changed: Vec<Key> = Vec::new();
    let rows = sql::for_each_row(connection, &sql, |row| {
        let (key, print) = key_and_print(row, table, &prints);
        // A key that was not there before came to be by this very update.
        let was = before.remove(&key).ok_or(Error::KeyChanged {
            table: table.name(),
        })?;
        if record_unchanged || was != print {
            changed.push(key);
        }
        hand_on(row, table.key.len() + table.columns.len(), returning)
    })?;
    let recorded = stamp.record_keys(connection, table, ChangeKind::Update, changed)?;
    Ok(Touched { rows, recorded })
}

fn rows_before(
    connection: &mut SqliteConnection,
    update: &Updated,
    prints: &Fingerprints,
) -> Result<HashMap<Key, Fingerprint>, Error> {
    let mut sql = Sql::new();
    sql.push("SELECT ");
    push_key_and_columns(&mut sql, update.table);
    sql.push(" FROM ")
        .table(update.table.name)
        .append(&update.filter);
    let mut before = HashMap::new();
    sql::for_each_row(connection, &sql, |row| {
        let (key, print) = key_and_print(row, update.table, prints);
        before.insert(key, print);
        Ok::<_, Error>(())
    })?;
    Ok(before)
}

fn push_key_and_columns(sql: &mut Sql, table: &TableInfo) {
    sql.identifiers("", table.key.iter().copied()).push(", ");
    sql.identifiers("", table.columns.iter().map(|column| column.name));
}

fn key_and_print(
    row: &sql::Row<'_, '_>,
    table: &TableInfo,
    prints: &Fingerprints,
) -> (Vec<Value>, Fingerprint) {
    let key = values(row, 0, table.key.len());
    let print = prints.of(&values(row, table.key.len(), table.columns.len()));
    (key, print)
}
