//! Updating: what the rows were, what they are, and entries for those in which an audited column changed.

use std::collections::HashMap;

use diesel_async::AsyncMysqlConnection;
use koherent_core::ChangeKind;

use super::run::{Key, Stamp, Touched, record_keys};
use super::session::{Returning, Row, execute, for_each_row, values};
use super::work::{Job, MAX_BINDS, Sql};
use crate::error::Error;
use crate::positional::fingerprint::{Fingerprint, Fingerprints};
use crate::positional::history::{keys_per_statement, push_key_filter};
use crate::prepared::{Kind, is_kept};
use crate::sql::Write as _;
use crate::table::TrackedTable;

pub(super) async fn run(
    connection: &mut AsyncMysqlConnection,
    stamp: &Stamp,
    job: &Job,
    changes: &Sql,
    filter: &Sql,
    returning: &mut Returning<'_>,
) -> Result<Touched, Error> {
    let table = job.table;
    let prints = Fingerprints::default();
    let mut select = select_key_and_columns(table);
    select.push(" FROM ").table(table.name);
    select.append(filter).push(" FOR UPDATE");
    let mut keys = Vec::new();
    let mut before = HashMap::new();
    for_each_row(connection, &select, &mut |row| {
        let (key, print) = key_and_print(row, table, &prints);
        keys.push(key.clone());
        before.insert(key, print);
        Ok(())
    })
    .await?;

    for keys in keys.chunks(keys_per_statement(table, MAX_BINDS / 2)) {
        // By the keys of the rows that are locked, not by the filter again: it may look at the time, or at chance.
        let mut sql = Sql::new();
        sql.push("UPDATE ").table(table.name).push(" SET ");
        sql.append(changes).push(" WHERE ");
        push_key_filter(&mut sql, table, keys.to_vec());
        if !is_kept(Kind::Update, sql.text()) {
            sql.do_not_cache();
        }
        execute(connection, &sql).await?;
    }

    let mut changed = Vec::new();
    let mut left = before.len();
    for keys in keys.chunks(keys_per_statement(table, MAX_BINDS)) {
        let mut sql = select_key_and_columns(table);
        returning.push(&mut sql);
        sql.push(" FROM ").table(table.name).push(" WHERE ");
        push_key_filter(&mut sql, table, keys.to_vec());
        // As it is now: rows that the update left as they were would otherwise be shown as they were at the begin.
        sql.push(" FOR UPDATE");
        for_each_row(connection, &sql, &mut |row| {
            let (key, print) = key_and_print(row, table, &prints);
            left = left.saturating_sub(1);
            if before.get(&key) != Some(&print) || job.record_unchanged {
                changed.push(key);
            }
            returning.hand_on(row, table.key.len() + table.columns.len())
        })
        .await?;
    }
    if left > 0 {
        // Some keys are gone. Where the rows went, the server does not say.
        return Err(Error::KeyChanged {
            table: table.name(),
        });
    }
    let recorded = record_keys(connection, stamp, table, ChangeKind::Update, changed).await?;
    Ok(Touched {
        rows: keys.len(),
        recorded,
    })
}

/// `SELECT key, audited columns`.
pub(super) fn select_key_and_columns(table: &TrackedTable) -> Sql {
    let mut sql = Sql::new();
    sql.push("SELECT ");
    push_key_and_columns(&mut sql, table);
    sql
}

pub(super) fn push_key_and_columns(sql: &mut Sql, table: &TrackedTable) {
    sql.identifiers("", table.key.iter().copied()).push(", ");
    sql.identifiers("", table.columns.iter().map(|column| column.name));
}

pub(super) fn key_and_print(
    row: &Row,
    table: &TrackedTable,
    prints: &Fingerprints,
) -> (Key, Fingerprint) {
    let key = values(row, 0, table.key.len());
    let print = prints.of(&values(row, table.key.len(), table.columns.len()));
    (key, print)
}
