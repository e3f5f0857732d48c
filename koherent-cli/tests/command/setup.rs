//! `koherent setup`: a migrations table of its own, and what a restored dump has left out.

use std::process::{Command, Stdio};

use diesel::{Connection as _, SqliteConnection};
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncMysqlConnection, AsyncPgConnection};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use koherent_diesel::MIGRATIONS;

use super::database::{Database, ENGINES, Engine};

/// What a harness of `diesel_migrations` does on a connection of the engine, as Diesel's own command does it.
macro_rules! on {
    ($database:expr, |$connection:ident| $body:expr) => {
        match $database.engine {
            Engine::Sqlite => {
                let file = $database.url.strip_prefix("sqlite://").unwrap();
                let $connection = &mut SqliteConnection::establish(file).unwrap();
                $body
            }
            Engine::Postgres => {
                let $connection =
                    &mut AsyncConnectionWrapper::<AsyncPgConnection>::establish(&$database.url)
                        .unwrap();
                $body
            }
            Engine::MariaDb => {
                let $connection =
                    &mut AsyncConnectionWrapper::<AsyncMysqlConnection>::establish(&$database.url)
                        .unwrap();
                $body
            }
        }
    };
}

/// The application's migrations: one that creates `samples`, and one that puts it under audit.
fn application(database: &Database, policy: &str) -> FileBasedMigrations {
    let folder = database.path().join("migrations");
    // Older than Koherent's own.
    let first = folder.join("2026-01-01-000000_samples");
    std::fs::create_dir_all(&first).unwrap();
    let text = database.engine.pick("TEXT", "text", "VARCHAR(40)");
    let create = format!("CREATE TABLE samples (id INT NOT NULL PRIMARY KEY, name {text});");
    std::fs::write(first.join("up.sql"), create).unwrap();
    std::fs::write(first.join("down.sql"), "DROP TABLE samples;").unwrap();
    let only = FileBasedMigrations::from_path(&folder).unwrap();
    on!(database, |connection| connection
        .run_pending_migrations(only)
        .map(|done| done.len())
        .unwrap());
    database.generate(&["samples", "--policy", policy]);
    FileBasedMigrations::from_path(folder).unwrap()
}

#[test]
fn diesel_redoes_and_reverts_the_applications_migrations_beside_those_of_setup() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let migrations = application(&database, "capture");
        {
            // `diesel migration run`, `redo`, and `revert --all`.
            on!(database, |connection| connection
                .run_pending_migrations(migrations.clone())
                .map(|done| done.len())
                .unwrap());
            database.check();
            on!(database, |connection| {
                connection
                    .revert_last_migration(migrations.clone())
                    .unwrap();
                connection.run_next_migration(migrations.clone()).unwrap();
            });
            database.check();
            on!(database, |connection| connection
                .revert_all_migrations(migrations.clone())
                .map(|done| done.len())
                .unwrap());
        }
        let theirs = database.texts("SELECT version AS t FROM __diesel_schema_migrations");
        assert_eq!(
            theirs,
            Vec::<String>::new(),
            "none of Koherent's is among them"
        );
    }
}

#[test]
fn a_database_of_an_earlier_setup_is_taken_over() {
    for engine in ENGINES {
        let database = Database::bare(engine);
        // As the earlier version did it, and as an application does that runs `MIGRATIONS` itself.
        on!(database, |connection| connection
            .run_pending_migrations(MIGRATIONS)
            .map(|done| done.len())
            .unwrap());
        let migrations = application(&database, "refuse");
        on!(database, |connection| connection
            .run_pending_migrations(migrations.clone())
            .map(|done| done.len())
            .unwrap());
        assert_eq!(
            database.koherent(&["setup"]).ok(),
            "nothing to do: Koherent's tables are there\n"
        );
        on!(database, |connection| {
            connection
                .revert_last_migration(migrations.clone())
                .unwrap();
            connection
                .revert_last_migration(migrations.clone())
                .unwrap();
            connection
                .run_pending_migrations(migrations.clone())
                .map(|done| done.len())
                .unwrap();
        });
        database.check();
        // The application's own harness goes on.
        on!(database, |connection| {
            connection
                .run_pending_migrations(MIGRATIONS.and(migrations.clone()))
                .map(|done| done.len())
                .unwrap();
            assert!(
                !connection
                    .has_pending_migration(MIGRATIONS.and(migrations.clone()))
                    .unwrap()
            );
        });
        assert_eq!(
            database.koherent(&["setup"]).ok(),
            "nothing to do: Koherent's tables are there\n"
        );
        on!(database, |connection| assert!(
            !connection.has_pending_migration(MIGRATIONS).unwrap()
        ));
        database.check();
    }
}

/// Runs a program over a database, with an input; its output.
#[track_caller]
fn run(program: &str, arguments: &[String], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{program}: {error}; it comes with the package of the server")
        });
    child.stdin.take().unwrap().write_all(input).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(
        done.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    done.stdout
}

/// The arguments by which MariaDB's programs reach a database.
fn mariadb(url: &str) -> Vec<String> {
    let (place, options) = url.split_once('?').unwrap_or((url, ""));
    let place = place.split_once("://").unwrap().1;
    let (user, rest) = place.split_once('@').unwrap_or(("root", place));
    let (host, name) = rest.split_once('/').unwrap();
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let mut arguments = vec![format!("--user={user}")];
    if !password.is_empty() {
        arguments.push(format!("--password={password}"));
    }
    match options
        .split('&')
        .find_map(|option| option.strip_prefix("socket="))
    {
        Some(socket) => arguments.push(format!("--socket={}", socket.replace("%2F", "/"))),
        None => {
            let (host, port) = host.split_once(':').unwrap_or((host, "3306"));
            arguments.extend([
                format!("--host={host}"),
                format!("--port={port}"),
                "--protocol=tcp".to_owned(),
            ]);
        }
    }
    arguments.push(name.to_owned());
    arguments
}

/// A dump by the database's own command, as it is by default.
fn dump(database: &Database) -> Vec<u8> {
    match database.engine {
        Engine::Sqlite => {
            let file = database.url.strip_prefix("sqlite://").unwrap().to_owned();
            run("sqlite3", &[file, ".dump".to_owned()], b"")
        }
        Engine::Postgres => run("pg_dump", std::slice::from_ref(&database.url), b""),
        Engine::MariaDb => run("mariadb-dump", &mariadb(&database.url), b""),
    }
}

fn restore(database: &Database, dump: &[u8]) {
    match database.engine {
        Engine::Sqlite => {
            let file = database.url.strip_prefix("sqlite://").unwrap().to_owned();
            run("sqlite3", &[file], dump);
        }
        Engine::Postgres => {
            let quiet = ["-q", "-v", "ON_ERROR_STOP=1", "-d"].map(ToOwned::to_owned);
            run(
                "psql",
                &[&quiet[..], std::slice::from_ref(&database.url)].concat(),
                dump,
            );
        }
        Engine::MariaDb => {
            run("mariadb", &mariadb(&database.url), dump);
        }
    }
}

#[test]
fn what_a_dump_leaves_out_is_named_and_repaired() {
    for engine in ENGINES {
        for policy in engine
            .pick(
                &["refuse", "capture"][..],
                &["refuse", "capture"],
                &["capture"],
            )
            .iter()
            .copied()
        {
            let database = Database::new(engine);
            let migrations = application(&database, policy);
            on!(database, |connection| connection
                .run_pending_migrations(migrations.clone())
                .map(|done| done.len())
                .unwrap());
            database.check();
            if policy == "capture" {
                database.sql("INSERT INTO samples (id, name) VALUES (1, 'liver')");
            }
            let restored = Database::bare(engine);
            restore(&restored, &dump(&database));

            let said = restored.koherent(&["check", "--format", "json"]);
            if engine == Engine::MariaDb {
                // No routines are in it by default.
                assert_eq!(said.code, 1, "{said:?}");
                for routine in ["koherent_count_paused", "koherent_stamp"] {
                    assert!(
                        said.out.contains(&format!(
                            "stands without the procedure `{routine}`: `koherent setup` creates it"
                        )),
                        "{said:?}"
                    );
                }
            } else {
                assert_eq!(said.code, 0, "{said:?}");
            }
            restored.koherent(&["setup"]).ok();
            restored.check();
            assert_eq!(
                restored.koherent(&["setup"]).ok(),
                "nothing to do: Koherent's tables are there\n"
            );
            writes_are_audited(&restored, policy);
        }
    }
}

#[track_caller]
fn writes_are_audited(database: &Database, policy: &str) {
    let write = "INSERT INTO samples (id, name) VALUES (2, 'heart')";
    if policy == "capture" {
        database.sql(write);
        database.koherent(&["reconcile"]).ok();
        let entries = database
            .koherent(&["log", "--table", "samples", "--key", "2"])
            .json();
        assert_eq!(entries.len(), 1, "{entries:?}");
    } else {
        let refused = database.try_sql(write).unwrap_err();
        assert!(refused.contains("INSERT of samples refused"), "{refused}");
    }
}

/// Each object of Koherent's own, and each part of a guard, is missed and made anew.
#[test]
fn each_part_that_is_gone_is_named_and_made_anew() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let migrations = application(&database, "capture");
        on!(database, |connection| connection
            .run_pending_migrations(migrations.clone())
            .map(|done| done.len())
            .unwrap());
        let parts: &[(&str, &str)] = engine.pick(
            &[
                ("DROP VIEW koherent_said", "koherent_said"),
                ("DROP TRIGGER koherent_task_delete", "koherent_task_delete"),
                (
                    "DROP TRIGGER koherent_guard_samples_update",
                    "koherent_guard_samples_update",
                ),
                (
                    "DROP TRIGGER koherent_append_only_samples_history_delete",
                    "koherent_append_only_samples_history_delete",
                ),
                (
                    "DROP TRIGGER koherent_session_delete; DELETE FROM koherent_session",
                    "koherent_session",
                ),
            ][..],
            &[
                ("DROP FUNCTION koherent_guard() CASCADE", "koherent_guard"),
                (
                    "DROP FUNCTION koherent_admit_said_task(json)",
                    "koherent_admit_said_task",
                ),
                (
                    "DROP TRIGGER koherent_append_only ON samples_history",
                    "koherent_append_only",
                ),
                (
                    "DROP TRIGGER koherent_guard_insert ON samples",
                    "koherent_guard_insert",
                ),
            ],
            &[
                ("DROP PROCEDURE koherent_stamp", "koherent_stamp"),
                ("DROP TRIGGER koherent_task_update", "koherent_task_update"),
                (
                    "DROP TRIGGER koherent_guard_samples_insert",
                    "koherent_guard_samples_insert",
                ),
                (
                    "DROP TABLE koherent_keeps_samples_history",
                    "koherent_keeps_samples_history",
                ),
            ],
        );
        for (drop, name) in parts {
            database.sql(drop);
            let said = database.koherent(&["check"]);
            assert!(
                said.code == 1 && said.out.contains(name) && said.out.contains("`koherent setup`"),
                "{drop}: {said:?}"
            );
            let planned = database.koherent(&["setup", "--dry-run"]).ok();
            assert!(planned.contains("would create"), "{planned}");
            let done = database.koherent(&["setup"]).ok();
            assert_eq!(done, planned.replace("would create", "created"));
            database.check();
        }
        writes_are_audited(&database, "capture");
    }
}

#[test]
fn a_definer_who_is_gone_is_named_and_replaced() {
    let database = Database::new(Engine::MariaDb);
    let migrations = application(&database, "capture");
    on!(database, |connection| connection
        .run_pending_migrations(migrations.clone())
        .map(|done| done.len())
        .unwrap());
    let text = String::from_utf8(run(
        "mariadb-dump",
        &[vec!["--routines".to_owned()], mariadb(&database.url)].concat(),
        b"",
    ))
    .unwrap();
    // Another server, another owner, who left.
    let text = text.replace("`root`@`localhost`", "`moved_away`@`elsewhere`");
    let restored = Database::bare(Engine::MariaDb);
    restore(&restored, text.as_bytes());
    let write = "INSERT INTO samples (id, name) VALUES (2, 'heart')";
    assert!(restored.try_sql(write).is_err(), "the definer is not there");
    let said = restored.koherent(&["check"]);
    assert_eq!(said.code, 1);
    for part in [
        "the trigger `koherent_guard_samples_insert` runs with the rights of `moved_away@elsewhere`",
        "the procedure `koherent_stamp` runs",
    ] {
        assert!(said.out.contains(part), "{said:?}");
    }
    restored.koherent(&["setup"]).ok();
    restored.check();
    writes_are_audited(&restored, "capture");
}

/// By hand, with the client of the database, as the first line of the file says.
#[test]
fn migrations_can_be_run_by_hand() {
    let database = Database::new(Engine::MariaDb);
    database.sql("CREATE TABLE samples (id INT NOT NULL PRIMARY KEY, name VARCHAR(40))");
    let (folder, _) = database.generate(&["samples", "--policy", "capture"]);
    for file in ["up.sql", "down.sql", "up.sql"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(
            !text.contains("\nBEGIN\n")
                || text.starts_with("-- By hand: mariadb --delimiter='//' DATABASE < "),
            "{text}"
        );
        let arguments = [vec!["--delimiter=//".to_owned()], mariadb(&database.url)].concat();
        run("mariadb", &arguments, text.as_bytes());
    }
    database.check();
    writes_are_audited(&database, "capture");
}

#[test]
fn a_failure_of_setup_has_the_hint_that_is_right() {
    for engine in ENGINES {
        let database = Database::bare(engine);
        database.sql("CREATE TABLE koherent_task (id INT)");
        let said = database.koherent(&["setup"]).failure();
        assert!(
            said.starts_with("Koherent's tables could not be created: "),
            "{said}"
        );
        assert!(!said.contains("CREATE on it"), "{said}");
    }
}
