//! Upserting: the statement is tried and taken back, which tells the rows that it meets; then it runs.

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection as _;
use koherent_core::ChangeKind;

use super::run::{Entries, Key, MAX_BINDS, Touched};
use super::statement::{Returning, for_each_row, values};
use super::update::{
    After, changed_by_triggers, push_key_and_columns, rows_before, select_key_and_columns,
};
use super::work::{Job, Sql};
use crate::error::Error;
use crate::positional::fingerprint::Fingerprints;
use crate::positional::history::{keys_per_statement, push_key_filter};
use crate::prepared::{Kind, is_kept};
use crate::sql::Write as _;
use crate::table::TrackedTable;

pub(super) fn run(
    connection: &mut SqliteConnection,
    entries: &mut Entries,
    job: &Job,
    statement: &Sql,
    returning: &mut Returning<'_>,
) -> Result<Touched, Error> {
    let table = job.table;
    let met = tried(connection, table, statement)?;
    let prints = Fingerprints::default();
    let mut before = std::collections::HashMap::new();
    for keys in met.chunks(keys_per_statement(table, MAX_BINDS)) {
        let mut select = select_key_and_columns(table);
        select.push(" WHERE ");
        push_key_filter(&mut select, table, keys.to_vec());
        before.extend(rows_before(connection, table, &select, false, &prints)?);
    }

    let mut sql = statement.clone();
    sql.push(" RETURNING ");
    push_key_and_columns(&mut sql, table);
    returning.push(&mut sql);
    if is_kept(Kind::Upsert, sql.text()) {
        sql.keep();
    }
    let mut after = After::default();
    let rows = for_each_row(connection, &sql, |row| {
        after.sort(row, table, &prints, &mut before, job.record_unchanged);
        returning.hand_on(row, table.key.len() + table.columns.len())
    })?;
    let mut changed = after.changed;
    changed.extend(changed_by_triggers(
        connection,
        table,
        after.unchanged,
        &prints,
    )?);
    let created = entries.record_keys(connection, ChangeKind::Create, after.unknown)?;
    let updated = entries.record_keys(connection, ChangeKind::Update, changed)?;
    Ok(Touched {
        rows,
        recorded: created + updated,
    })
}

/// The keys of the rows that the statement touches, found by running it and taking it back.
fn tried(
    connection: &mut SqliteConnection,
    table: &TrackedTable,
    statement: &Sql,
) -> Result<Vec<Key>, Error> {
    let mut sql = statement.clone();
    sql.push(" RETURNING ")
        .identifiers("", table.key.iter().copied());
    let mut keys = Vec::new();
    connection.batch_execute("SAVEPOINT koherent_trial")?;
    // Where it fails, the whole transaction or savepoint around it is rolled back, and this one with it.
    for_each_row(connection, &sql, |row| {
        keys.push(values(row, 0, table.key.len()));
        Ok::<_, Error>(())
    })?;
    connection
        .batch_execute("ROLLBACK TO SAVEPOINT koherent_trial; RELEASE SAVEPOINT koherent_trial")?;
    Ok(keys)
}
