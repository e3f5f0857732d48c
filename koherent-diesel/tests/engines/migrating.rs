//! Services that start at once on an empty database.

use diesel::{Connection as _, SqliteConnection};
use diesel_async::{
    AsyncConnection as _, AsyncMigrationHarness, AsyncMysqlConnection, AsyncPgConnection,
    SimpleAsyncConnection as _,
};
use diesel_migrations::MigrationHarness as _;
use koherent_diesel::{MIGRATIONS, migrate, migrate_async};

use crate::effort::effort;
use crate::tables::{fresh_name, server, with_database};

fn rounds() -> usize {
    effort(3, 20)
}

const SERVICES: usize = 3;

async fn postgres() -> String {
    let (server, name) = (server("KOHERENT_TEST_POSTGRES"), fresh_name());
    let mut admin = AsyncPgConnection::establish(&server).await.unwrap();
    admin
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    with_database(&server, &name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn services_that_migrate_postgresql_at_once_wait_for_each_other() {
    for _ in 0..rounds() {
        let address = postgres().await;
        let services = (0..SERVICES).map(|_| {
            let address = address.clone();
            tokio::spawn(async move {
                let conn = AsyncPgConnection::establish(&address).await.unwrap();
                migrate_async(conn, MIGRATIONS)
                    .await
                    .map(drop)
                    .map_err(|error| error.to_string())
            })
        });
        for service in services.collect::<Vec<_>>() {
            service.await.unwrap().unwrap();
        }
    }
}

/// Diesel's own harness has no lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn negative_control_without_the_lock_services_that_migrate_at_once_fail() {
    let mut failed = 0;
    for _ in 0..10 {
        let address = postgres().await;
        let services = (0..SERVICES).map(|_| {
            let address = address.clone();
            tokio::spawn(async move {
                let conn = AsyncPgConnection::establish(&address).await.unwrap();
                AsyncMigrationHarness::new(conn)
                    .run_pending_migrations(MIGRATIONS)
                    .is_err()
            })
        });
        for service in services.collect::<Vec<_>>() {
            failed += usize::from(service.await.unwrap());
        }
        if failed > 0 {
            return;
        }
    }
    panic!("nobody met anybody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn services_that_migrate_mariadb_at_once_wait_for_each_other() {
    for _ in 0..rounds() {
        let (server, name) = (server("KOHERENT_TEST_MARIADB"), fresh_name());
        let mut admin = AsyncMysqlConnection::establish(&server).await.unwrap();
        admin
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        let address = with_database(&server, &name);
        let services = (0..SERVICES).map(|_| {
            let address = address.clone();
            tokio::spawn(async move {
                let conn = AsyncMysqlConnection::establish(&address).await.unwrap();
                migrate_async(conn, MIGRATIONS)
                    .await
                    .map(drop)
                    .map_err(|error| error.to_string())
            })
        });
        for service in services.collect::<Vec<_>>() {
            service.await.unwrap().unwrap();
        }
    }
}

#[test]
fn services_that_migrate_sqlite_at_once_wait_for_each_other() {
    for _ in 0..rounds() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new.db").display().to_string();
        let services = (0..SERVICES).map(|_| {
            let file = file.clone();
            std::thread::spawn(move || {
                // Without a `busy_timeout` of its own.
                let mut conn = SqliteConnection::establish(&file).unwrap();
                migrate(&mut conn, MIGRATIONS).map_err(|error| error.to_string())
            })
        });
        let done: Vec<_> = services
            .collect::<Vec<_>>()
            .into_iter()
            .map(|service| service.join().unwrap().unwrap())
            .collect();
        assert_eq!(
            done.iter().filter(|versions| !versions.is_empty()).count(),
            1,
            "{done:?}"
        );
    }
}
