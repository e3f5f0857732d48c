//! Updating: what the rows were, what they are, and entries for those in which an audited column changed.

use std::collections::HashMap;

use diesel::SqliteConnection;
use koherent_core::ChangeKind;

use super::run::{Entries, Key, MAX_BINDS, Touched, record_values};
use super::statement::{Returning, Row, for_each_row, values};
use super::value::Value;
use super::work::{Job, Sql};
use crate::change::may_change_key;
use crate::error::Error;
use crate::positional::fingerprint::{Fingerprint, Fingerprints};
use crate::positional::history::{keys_per_statement, push_key_filter};
use crate::prepared::{Kind, is_kept};
use crate::sql::Write as _;
use crate::table::TrackedTable;

/// What a row was.
pub(super) struct Was {
    print: Fingerprint,
    /// The values themselves, where the row may vanish from its key.
    values: Option<Vec<Value>>,
}

pub(super) fn run(
    connection: &mut SqliteConnection,
    entries: &mut Entries,
    job: &Job,
    changes: &Sql,
    filter: &Sql,
    returning: &mut Returning<'_>,
) -> Result<Touched, Error> {
    let table = job.table;
    let prints = Fingerprints::default();
    let moves = may_change_key(changes.text(), table);
    let mut select = select_key_and_columns(table);
    select.append(filter);
    let mut before = rows_before(connection, table, &select, moves, &prints)?;

    let mut sql = Sql::new();
    sql.push("UPDATE ")
        .table(table.name)
        .push(" SET ")
        .append(changes);
    sql.append(filter).push(" RETURNING ");
    push_key_and_columns(&mut sql, table);
    returning.push(&mut sql);
    if !is_kept(Kind::Update, sql.text()) {
        sql.do_not_cache();
    }
    let mut after = After::default();
    let rows = for_each_row(connection, &sql, |row| {
        after.sort(row, table, &prints, &mut before, job.record_unchanged);
        returning.hand_on(row, table.key.len() + table.columns.len())
    })?;

    let mut recorded = 0;
    let mut unknown = std::mem::take(&mut after.unknown);
    if moves {
        let gone = vanished(connection, table, before)?;
        recorded += record_values(connection, &entries.stamp, table, gone)?;
        recorded += entries.record_keys(connection, ChangeKind::Create, unknown)?;
        unknown = Vec::new();
    } else if !unknown.is_empty() && !before.is_empty() {
        // Some keys went and others came, though the update does not name them: a trigger does that.
        return Err(Error::KeyChanged {
            table: table.name(),
        });
    }
    // No key went: the filter looks at the time or at chance, and finds more than it did a moment ago.
    let mut changed = after.changed;
    changed.extend(unknown);
    changed.extend(changed_by_triggers(
        connection,
        table,
        after.unchanged,
        &prints,
    )?);
    recorded += entries.record_keys(connection, ChangeKind::Update, changed)?;
    Ok(Touched { rows, recorded })
}

/// The rows of `RETURNING`, by what they were.
#[derive(Default)]
pub(super) struct After {
    pub(super) changed: Vec<Key>,
    pub(super) unchanged: Vec<(Key, Fingerprint)>,
    /// There was no row of that key.
    pub(super) unknown: Vec<Key>,
}

impl After {
    /// Looks at a row of key and audited columns.
    pub(super) fn sort(
        &mut self,
        row: &Row<'_, '_>,
        table: &TrackedTable,
        prints: &Fingerprints,
        before: &mut HashMap<Key, Was>,
        record_unchanged: bool,
    ) {
        let (key, print) = key_and_print(row, table, prints);
        match before.remove(&key) {
            None => self.unknown.push(key),
            Some(was) if was.print != print || record_unchanged => self.changed.push(key),
            Some(was) => self.unchanged.push((key, was.print)),
        }
    }
}

/// The last values of rows that are not there any more: an update that changes keys moved them away.
fn vanished(
    connection: &mut SqliteConnection,
    table: &TrackedTable,
    mut before: HashMap<Key, Was>,
) -> Result<Vec<Vec<Value>>, Error> {
    let keys: Vec<Key> = before.keys().cloned().collect();
    for keys in keys.chunks(keys_per_statement(table, MAX_BINDS)) {
        let mut sql = Sql::new();
        sql.push("SELECT ")
            .identifiers("", table.key.iter().copied())
            .push(" FROM ");
        sql.table(table.name).push(" WHERE ");
        push_key_filter(&mut sql, table, keys.to_vec());
        for_each_row(connection, &sql, |row| {
            // Still there: a trigger kept it from being updated.
            before.remove(&values(row, 0, table.key.len()));
            Ok::<_, Error>(())
        })?;
    }
    Ok(before.into_values().filter_map(|was| was.values).collect())
}

/// Of rows that look unchanged, those that are not: `RETURNING` tells what rows are before triggers run.
pub(super) fn changed_by_triggers(
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
    for keys in keys.chunks(keys_per_statement(table, MAX_BINDS)) {
        let mut sql = select_key_and_columns(table);
        sql.push(" WHERE ");
        push_key_filter(&mut sql, table, keys.to_vec());
        for_each_row(connection, &sql, |row| {
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
    Ok(for_each_row(connection, &sql, |_| Ok::<_, Error>(()))? > 0)
}

/// What the rows of a [`select_key_and_columns`] are.
pub(super) fn rows_before(
    connection: &mut SqliteConnection,
    table: &TrackedTable,
    select: &Sql,
    keep_values: bool,
    prints: &Fingerprints,
) -> Result<HashMap<Key, Was>, Error> {
    let mut before = HashMap::new();
    for_each_row(connection, select, |row| {
        let (key, print) = key_and_print(row, table, prints);
        let values = keep_values.then(|| values(row, table.key.len(), table.columns.len()));
        before.insert(key, Was { print, values });
        Ok::<_, Error>(())
    })?;
    Ok(before)
}

/// `SELECT key, audited columns FROM table`.
pub(super) fn select_key_and_columns(table: &TrackedTable) -> Sql {
    let mut sql = Sql::new();
    sql.push("SELECT ");
    push_key_and_columns(&mut sql, table);
    sql.push(" FROM ").table(table.name);
    sql
}

pub(super) fn push_key_and_columns(sql: &mut Sql, table: &TrackedTable) {
    sql.identifiers("", table.key.iter().copied()).push(", ");
    sql.identifiers("", table.columns.iter().map(|column| column.name));
}

fn key_and_print(
    row: &Row<'_, '_>,
    table: &TrackedTable,
    prints: &Fingerprints,
) -> (Key, Fingerprint) {
    let key = values(row, 0, table.key.len());
    let print = prints.of(&values(row, table.key.len(), table.columns.len()));
    (key, print)
}
