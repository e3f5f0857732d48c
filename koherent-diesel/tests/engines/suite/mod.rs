//! What holds on every engine.

use diesel_async::RunQueryDsl as _;
use koherent_core::HistoryEntry;
use koherent_diesel::{AuditedConnection, entries_of};

use super::engine;
use super::engine::Conn;
use crate::tables::*;

mod changes;
mod guard;
mod keys;
mod links;
mod outcomes;
mod pools;
mod reading;
mod rollback;
mod sequences;
mod shapes;
mod tasks;
mod transactions;
pub mod triggers;

async fn history_of(conn: &mut AuditedConnection<Conn>, id: i64) -> Vec<HistoryEntry> {
    entries_of(samples::table, id).load(conn).await.unwrap()
}

#[derive(diesel::QueryableByName)]
struct Counted {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    n: i64,
}

async fn count(conn: &mut AuditedConnection<Conn>, table: &str) -> i64 {
    let sql = format!("SELECT count(*) AS n FROM {table}");
    let counted: Counted = diesel::sql_query(sql).get_result(conn).await.unwrap();
    counted.n
}
