//! Values are shown alike whatever the settings of the database are, and what differs in form alone is no change.

use super::database::{Database, ENGINES, Engine};

#[test]
fn settings_of_the_database_change_nothing_of_what_is_shown() {
    let database = Database::new(Engine::Postgres);
    database.sql(
        "CREATE TABLE t (id int PRIMARY KEY, f double precision, r real, d date, s timestamptz, b bytea, i interval)",
    );
    database.audit(&["t", "--policy", "capture"]);
    database.sql(
        "INSERT INTO t VALUES (1, 0.1, 0.1, '2026-11-30', '2026-11-30 12:00:00.5+02', '\\x00ff', '1 day 2 hours');
         UPDATE t SET f = 0.10000000000000002, r = 0.10000001",
    );
    let before = database.koherent(&["log"]).ok();
    let shown = database.koherent(&["show", "t/2"]).ok();
    assert!(
        before.contains("0.10000000000000002") && before.contains("2026-11-30 10:00:00.5+00"),
        "{before}"
    );
    let name = database.url.split('/').next_back().unwrap();
    let name = name.split('?').next().unwrap();
    for setting in [
        "extra_float_digits = -15",
        "DateStyle = 'SQL, DMY'",
        "bytea_output = 'escape'",
        "IntervalStyle = 'iso_8601'",
        "TimeZone = 'Asia/Tokyo'",
        "quote_all_identifiers = on",
        "standard_conforming_strings = off",
    ] {
        database.sql(&format!("ALTER DATABASE {name} SET {setting}"));
    }
    assert_eq!(database.koherent(&["log"]).ok(), before);
    assert_eq!(database.koherent(&["show", "t/2"]).ok(), shown);
    database.koherent(&["reconcile"]).ok();
    database.check();
}

#[test]
fn a_change_in_the_last_digit_is_a_change() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let (float, double) = (
            engine.pick("REAL", "real", "FLOAT"),
            engine.pick("DOUBLE", "double precision", "DOUBLE"),
        );
        database.sql(&format!(
            "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, f {float}, d {double})"
        ));
        database.audit(&["t", "--policy", "capture"]);
        database.sql("INSERT INTO t VALUES (1, 0.5, 0.1); UPDATE t SET f = 0.1234567, d = 0.30000000000000004; UPDATE t SET f = 0.1234568, d = 0.3");
        let entries = database.koherent(&["log"]).json();
        let changes = entries[0]["changes"].as_array().unwrap();
        assert_eq!(changes.len(), 2, "{engine:?} {entries:?}");
        for change in changes {
            assert_ne!(change["old"], change["new"]);
        }
    }
}

#[test]
fn what_differs_in_form_alone_is_no_change() {
    // MariaDB's JSON is a text, and its DECIMAL has one form.
    let database = Database::new(Engine::Postgres);
    database.sql("CREATE TABLE t (id int PRIMARY KEY, n numeric, j json)");
    database.audit(&["t", "--policy", "capture"]);
    database.sql(
        "INSERT INTO t VALUES (1, 1.0, '{\"a\":1}'); UPDATE t SET n = 1.00, j = '{\"a\": 1}'; UPDATE t SET n = 1.5",
    );
    let entries = database.koherent(&["log"]).json();
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[0]["changes"][0]["field"], "n");
    assert_eq!(entries[1]["changes"], serde_json::json!([]), "{entries:?}");
}

#[test]
fn a_key_that_is_null_is_named() {
    let database = Database::new(Engine::Sqlite);
    database.sql("CREATE TABLE x (id TEXT PRIMARY KEY, name TEXT); CREATE TABLE y (id TEXT PRIMARY KEY) WITHOUT ROWID");
    let (folder, said) = database.generate(&["x"]);
    assert!(
        said.contains("note: SQLite lets `x.id` be NULL, although it is the key"),
        "{said}"
    );
    let said = database
        .koherent(&["migration", "generate", "y", "--dry-run"])
        .ok();
    assert!(!said.contains("note:"), "{said}");
    database.sql("INSERT INTO x (name) VALUES ('one'), ('two')");
    let said = database.koherent(&["migration", "generate", "x"]).failure();
    let named = "the table `x` has 2 rows whose key (id) is NULL, which SQLite allows";
    assert!(said.contains(named), "{said}");
    database.up(&folder);
    let said = database.koherent(&["check"]);
    assert!(said.code == 1 && said.out.contains(named), "{said:?}");
}

#[test]
fn a_column_that_came_later_is_not_said_to_differ() {
    for engine in ENGINES {
        let database = Database::with_samples(engine);
        database.sql("INSERT INTO samples (id, name) VALUES (1, 'liver')");
        database.sql("ALTER TABLE samples ADD COLUMN count INT NOT NULL DEFAULT 7");
        database.audit(&["samples"]);
        changed_around(&database, "UPDATE samples SET name = 'heart'");
        let said = database.koherent(&["reconcile"]);
        assert_eq!(said.code, 1);
        let fields = said.json()[0]["fields"].clone();
        assert_eq!(
            fields,
            serde_json::json!([{"field": "name", "history": "liver", "row": "heart"}])
        );
    }
}

/// Changes rows in a recorded pause.
fn changed_around(database: &Database, sql: &str) {
    database.sql(&database.engine.pick(
        format!("BEGIN IMMEDIATE; INSERT INTO koherent_pause (operation_reason) VALUES ('backfill'); {sql}; DELETE FROM koherent_pause; COMMIT"),
        format!("BEGIN; SELECT koherent_pause('backfill'); {sql}; COMMIT"),
        format!("CALL koherent_begin_pause('backfill'); {sql}; CALL koherent_end_pause()"),
    ));
}

#[test]
fn what_a_pause_has_changed_is_named_and_settled() {
    for engine in ENGINES {
        let database = Database::with_samples(engine);
        database.sql("INSERT INTO samples (id, name) VALUES (1, 'liver'), (2, 'heart')");
        changed_around(
            &database,
            "UPDATE samples SET name = 'hepar' WHERE id = 1; DELETE FROM samples WHERE id = 2; INSERT INTO samples (id, name) VALUES (3, 'lung')",
        );
        let said = database.koherent(&["reconcile"]);
        assert_eq!(said.code, 1);
        let findings = said.json();
        assert_eq!(findings.len(), 3);
        for finding in findings {
            let what = finding["what"].as_str().unwrap();
            assert!(
                what.contains("perhaps in the pause of ")
                    && what.contains("backfill")
                    && what.contains("`koherent reconcile --settle`"),
                "{what}"
            );
        }
        // The advice is followed.
        let settled = database.koherent(&[
            "reconcile",
            "--settle",
            "--user",
            "ann",
            "--reason",
            "backfill",
        ]);
        assert!(
            settled.code == 1 && settled.out.contains("settled"),
            "{settled:?}"
        );
        database.koherent(&["reconcile"]).ok();
        let entries = database.koherent(&["log"]).json();
        let written: Vec<_> = entries
            .iter()
            .filter(|entry| entry["user"] == "ann")
            .collect();
        let mut kinds: Vec<_> = written
            .iter()
            .map(|entry| entry["kind"].as_str().unwrap())
            .collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["create", "delete", "update"], "{entries:?}");
        // What is deleted and deleted again, or created, is told from then on as ever.
        database.sql("DELETE FROM samples");
        database.koherent(&["reconcile"]).ok();
    }
}

#[test]
fn entries_of_deleted_rows_can_be_pruned_to_the_last() {
    for engine in ENGINES {
        let database = Database::with_samples(engine);
        database.sql("INSERT INTO samples (id, name) VALUES (1, 'liver'), (2, 'heart')");
        database.sql("UPDATE samples SET note = 'old'");
        database.sql("DELETE FROM samples WHERE id = 1");
        let prune = |more: &[&str]| {
            database
                .koherent(&[&["prune", "samples", "--before", "0m"], more].concat())
                .ok()
        };
        assert_eq!(prune(&[]), "deleted 3 entries of samples\n");
        assert_eq!(
            database.koherent(&["log"]).json().len(),
            2,
            "the last of each is kept"
        );
        assert_eq!(
            prune(&["--forget-deleted", "--dry-run"]),
            "would delete 1 entries of samples\n"
        );
        assert_eq!(
            prune(&["--forget-deleted"]),
            "deleted 1 entries of samples\n"
        );
        let left = database.koherent(&["log"]).json();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0]["key"], serde_json::json!(["2"]));
        database.koherent(&["reconcile"]).ok();
    }
}

#[test]
fn a_terminal_of_no_width_is_one_whose_width_is_not_known() {
    let database = Database::with_samples(Engine::Sqlite);
    database.sql(
        "INSERT INTO samples (id, name) VALUES (1, 'a name of some length, which is not broken')",
    );
    let said = database
        .koherent_with(&["log", "--format", "table"], &[("COLUMNS", "0")])
        .ok();
    assert!(said.contains("a name of some length"), "{said}");
    // A terminal of its own, which says 0.
    let command = format!(
        "stty cols 0 rows 0; {} log --format table",
        env!("CARGO_BIN_EXE_koherent")
    );
    let done = std::process::Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("DATABASE_URL", &database.url)
        .env_remove("COLUMNS")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("script is of util-linux");
    let shown = String::from_utf8_lossy(&done.stdout);
    assert!(shown.contains("a name of some length"), "{shown}");
}
