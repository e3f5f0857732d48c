//! MariaDB through diesel-async, against mysql_async.

use diesel::mysql::Mysql;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{
    AsyncConnection as _, AsyncMigrationHarness, AsyncMysqlConnection, RunQueryDsl as _,
    SimpleAsyncConnection as _,
};
use diesel_migrations::MigrationHarness as _;
use koherent_diesel::{Audited as _, AuditedConnection, Guard};
use mysql_async::prelude::Queryable as _;
use tokio::sync::Mutex;

use crate::tables::*;
use crate::{compare, way};

pub async fn run() {
    let server = std::env::var("KOHERENT_TEST_MARIADB")
        .expect("KOHERENT_TEST_MARIADB is set: run `cargo xtask bench`, or name another engine");
    let mut admin = AsyncMysqlConnection::establish(&server).await.unwrap();
    let name = format!("bench_{}", std::process::id());
    admin
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let address = with_database(&server, &name);
    let connection = AsyncMysqlConnection::establish(&address).await.unwrap();
    AsyncMigrationHarness::new(connection)
        .run_pending_migrations(koherent_diesel::MIGRATIONS)
        .unwrap();
    let mut connection = AsyncMysqlConnection::establish(&address).await.unwrap();
    for table in ["samples", "guarded"] {
        connection
            .batch_execute(&format!(
                "CREATE TABLE {table} (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(200) NOT NULL, note TEXT, \
                 owner VARCHAR(200) NOT NULL, mass DOUBLE, INDEX {table}_name (name)) ENGINE = InnoDB; \
                 INSERT INTO {table} (name, owner) SELECT CONCAT('sample ', seq), 'ann' FROM seq_1_to_{ROWS}"
            ))
            .await
            .unwrap();
    }
    for ddl in [
        samples::table::history_ddl::<Mysql>(),
        guarded::table::history_ddl::<Mysql>(),
        guarded::table::guard_ddl::<Mysql>(&Guard::refuse()),
    ] {
        connection.batch_execute(&ddl).await.unwrap();
    }

    let options = mysql_async::Opts::from_url(&address).unwrap();
    let mut client = mysql_async::Conn::new(options).await.unwrap();
    let update = client
        .prep("UPDATE samples SET name = ?, mass = ? WHERE id = ?")
        .await
        .unwrap();
    let record = client.prep(by_hand("id = ?")).await.unwrap();
    let client = Mutex::new(client);
    let plain = Mutex::new(AsyncMysqlConnection::establish(&address).await.unwrap());
    let connection = AsyncMysqlConnection::establish(&address).await.unwrap();
    let audited = Mutex::new(AuditedConnection::new(connection, agent()));
    let (client, update, plain, audited) = (&client, &update, &plain, &audited);
    let record = &record;
    let changes = |round: usize| {
        (
            samples::name.eq(format!("name {round}")),
            samples::mass.eq(round as f64),
        )
    };
    let guarded_changes = |round: usize| {
        (
            guarded::name.eq(format!("name {round}")),
            guarded::mass.eq(round as f64),
        )
    };
    for (flush, shown) in [(1, "each commit on disk"), (0, "commits not flushed")] {
        let mut admin = AsyncMysqlConnection::establish(&server).await.unwrap();
        let sql = format!("SET GLOBAL innodb_flush_log_at_trx_commit = {flush}");
        admin.batch_execute(&sql).await.unwrap();
        compare(
            &format!("MariaDB, {shown}: update one row"),
            60,
            30,
            &mut [
                way("bare driver, prepared", |round| async move {
                    let name = format!("name {round}");
                    let mut client = client.lock().await;
                    client
                        .exec_drop(update, (name, round as f64, row(round)))
                        .await
                        .unwrap();
                }),
                way("plain Diesel", |round| async move {
                    diesel::update(samples::table.find(row(round)))
                        .set(changes(round))
                        .execute(&mut *plain.lock().await)
                        .await
                        .unwrap();
                }),
                way(
                    "by hand: update, then history, bare driver",
                    |round| async move {
                        let name = format!("name {round}");
                        let mut client = client.lock().await;
                        client.query_drop("BEGIN").await.unwrap();
                        client
                            .exec_drop(update, (name, round as f64 + 0.5, row(round)))
                            .await
                            .unwrap();
                        client.exec_drop(record, (row(round),)).await.unwrap();
                        client.query_drop("COMMIT").await.unwrap();
                    },
                ),
                way("audited", |round| async move {
                    let mut audited = audited.lock().await;
                    audited
                        .audited_update(samples::table.find(row(round)), changes(round + 1))
                        .execute()
                        .await
                        .unwrap();
                }),
                way("audited, guarded", |round| async move {
                    let mut audited = audited.lock().await;
                    audited
                        .audited_update(guarded::table.find(row(round)), guarded_changes(round + 1))
                        .execute()
                        .await
                        .unwrap();
                }),
            ],
        )
        .await;
    }
    compare(
        "MariaDB, commits not flushed: update 10,000 rows",
        8,
        1,
        &mut [
            way("plain Diesel", |round| async move {
                diesel::update(samples::table.filter(samples::id.le(10_000)))
                    .set(samples::mass.eq(round as f64))
                    .execute(&mut *plain.lock().await)
                    .await
                    .unwrap();
            }),
            way(
                "by hand: update, then history, bare driver",
                |round| async move {
                    let mut client = client.lock().await;
                    client.query_drop("BEGIN").await.unwrap();
                    let sql = format!("UPDATE samples SET mass = {round}.25 WHERE id <= 10000");
                    client.query_drop(sql).await.unwrap();
                    client.query_drop(by_hand("id <= 10000")).await.unwrap();
                    client.query_drop("COMMIT").await.unwrap();
                },
            ),
            way("audited", |round| async move {
                let mut audited = audited.lock().await;
                let some = samples::table.filter(samples::id.le(10_000));
                audited
                    .audited_update(some, samples::mass.eq(round as f64 + 0.5))
                    .execute()
                    .await
                    .unwrap();
            }),
            way("audited, guarded", |round| async move {
                let mut audited = audited.lock().await;
                let some = guarded::table.filter(guarded::id.le(10_000));
                audited
                    .audited_update(some, guarded::mass.eq(round as f64 + 0.5))
                    .execute()
                    .await
                    .unwrap();
            }),
        ],
    )
    .await;
}

/// The history of some rows, as one would write it without looking whether they changed.
fn by_hand(filter: &str) -> String {
    format!(
        "INSERT INTO samples_history (id, name, note, owner, mass, history_kind, history_date, history_user, history_client, \
         history_organization, history_task, history_transaction, history_reason, history_context) \
         SELECT id, name, note, owner, mass, '~', UTC_TIMESTAMP(6), 'agent-7', 'robot', 'bio', 'task-a', \
         '019a0000-0000-7000-8000-000000000000', NULL, '{{\"issuer\": \"https://login.example\"}}' FROM samples WHERE {filter}"
    )
}
