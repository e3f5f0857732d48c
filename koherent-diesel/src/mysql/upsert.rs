//! Upserting on MariaDB: the statement is tried and taken back, which tells the rows that it meets; then it runs.

use std::collections::HashMap;

use diesel_async::{AsyncMysqlConnection, SimpleAsyncConnection as _};
use koherent_core::ChangeKind;

use super::insert::has_returning;
use super::run::{Key, Stamp, Touched, record_keys};
use super::session::{Returning, for_each_row, values};
use super::update::{key_and_print, push_key_and_columns, select_key_and_columns};
use super::work::{Job, MAX_BINDS, Sql};
use crate::error::Error;
use crate::positional::fingerprint::Fingerprints;
use crate::positional::history::{keys_per_statement, push_filter, push_key_filter};
use crate::prepared::{Kind, is_kept};
use crate::sql::Write as _;
use crate::table::TrackedTable;

pub(super) async fn run(
    connection: &mut AsyncMysqlConnection,
    stamp: &Stamp,
    job: &Job,
    statement: &Sql,
    returning: &mut Returning<'_>,
) -> Result<Touched, Error> {
    if !has_returning(connection, job).await? {
        return Err(Error::Unsupported(
            "MySQL does not tell which rows an upsert meets: insert or update the rows, or use MariaDB",
        ));
    }
    let table = job.table;
    let mut sql = statement.clone();
    sql.push(" RETURNING ")
        .identifiers("", table.key.iter().copied());
    let mut met = Vec::new();
    // Where the trial fails, the whole transaction or savepoint around it is rolled back, and this one with it.
    connection.batch_execute("SAVEPOINT koherent_trial").await?;
    for_each_row(connection, &sql, &mut |row| {
        met.push(values(row, 0, table.key.len()));
        Ok(())
    })
    .await?;
    connection
        .batch_execute("ROLLBACK TO SAVEPOINT koherent_trial")
        .await?;

    let prints = Fingerprints::default();
    let mut before = HashMap::new();
    for keys in met.chunks(keys_per_statement(table, MAX_BINDS)) {
        let mut select = select_key_and_columns(table);
        select.push(" FROM ").table(table.name).push(" WHERE ");
        push_key_filter(&mut select, table, keys.to_vec());
        select.push(" FOR UPDATE");
        for_each_row(connection, &select, &mut |row| {
            let (key, print) = key_and_print(row, table, &prints);
            before.insert(key, print);
            Ok(())
        })
        .await?;
    }

    let mut sql = statement.clone();
    sql.push(" RETURNING ");
    push_key_and_columns(&mut sql, table);
    returning.push(&mut sql);
    if is_kept(Kind::Upsert, sql.text()) {
        sql.keep();
    }
    let (mut created, mut changed) = (Vec::new(), Vec::new());
    let rows = for_each_row(connection, &sql, &mut |row| {
        let (key, print) = key_and_print(row, table, &prints);
        match before.get(&key) {
            None => created.push(key),
            Some(was) if *was != print || job.record_unchanged => changed.push(key),
            Some(_) => {}
        }
        returning.hand_on(row, table.key.len() + table.columns.len())
    })
    .await?;
    let (created, raced) = told_apart(connection, table, created).await?;
    changed.extend(raced);
    let created = record_keys(connection, stamp, table, ChangeKind::Create, created).await?;
    let updated = record_keys(connection, stamp, table, ChangeKind::Update, changed).await?;
    Ok(Touched {
        rows,
        recorded: created + updated,
    })
}

/// Of rows that the trial did not meet, those that somebody else created between the trial and the run: their history says
/// so. What they were before is not known any more, so they count as changed.
async fn told_apart(
    connection: &mut AsyncMysqlConnection,
    table: &TrackedTable,
    created: Vec<Key>,
) -> Result<(Vec<Key>, Vec<Key>), Error> {
    let columns: Vec<_> = table.key_in_history().collect();
    let mut alive: HashMap<Key, bool> = HashMap::new();
    for keys in created.chunks(keys_per_statement(table, MAX_BINDS)) {
        let mut sql = Sql::new();
        sql.push("SELECT ")
            .identifiers("", table.key_in_history())
            .push(", `history_kind` = '-' FROM ")
            .table(table.history);
        sql.push(" WHERE ");
        push_filter(&mut sql, &columns, keys.to_vec());
        sql.push(" ORDER BY `history_id` LOCK IN SHARE MODE");
        for_each_row(connection, &sql, &mut |row| {
            let key = values(row, 0, table.key.len());
            let deleted = values(row, table.key.len(), 1)[0].number() == Some(1);
            alive.insert(key, !deleted);
            Ok(())
        })
        .await?;
    }
    Ok(created
        .into_iter()
        .partition(|key| !alive.get(key).copied().unwrap_or(false)))
}
