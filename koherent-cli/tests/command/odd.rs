//! Odd names, keys, types and values; schemas that change in odd ways.

use super::database::{Database, ENGINES, Engine};

/// Captures changes of a table, changes it, and expects a clean bill at each step.
fn follow(database: &Database, change: &str, arguments: &[&str]) {
    database.sql(change);
    let (folder, _) = database.generate(arguments);
    database.up(&folder);
    database.check();
    database.koherent(&["reconcile"]).ok();
}

#[test]
fn columns_that_come_and_go_and_change_their_names() {
    for engine in ENGINES {
        let database = Database::with_samples(engine);
        database.sql("INSERT INTO samples (id, name, note) VALUES (1, 'liver', 'old')");
        let unguard = |sql: &str| {
            match engine {
            // A guard that captures names the columns that go.
            Engine::Sqlite => format!(
                "DROP TRIGGER koherent_guard_samples_insert; DROP TRIGGER koherent_guard_samples_update; DROP TRIGGER koherent_guard_samples_delete;
                 DROP TRIGGER koherent_remember_samples_insert; DROP TRIGGER koherent_remember_samples_update; {sql}"
            ),
            Engine::Postgres | Engine::MariaDb => sql.to_owned(),
        }
        };
        // A new column with a default: entries from before know nothing of it.
        follow(
            &database,
            "ALTER TABLE samples ADD COLUMN count INT NOT NULL DEFAULT 7",
            &["samples"],
        );
        database.sql("UPDATE samples SET count = 8");
        let entries = database.koherent(&["log"]).json();
        assert_eq!(
            entries[0]["changes"],
            serde_json::json!([]),
            "what it was, no entry says"
        );
        database.sql("UPDATE samples SET count = 9");
        let entries = database.koherent(&["log"]).json();
        assert_eq!(
            entries[0]["changes"],
            serde_json::json!([{"field": "count", "old": "8", "new": "9"}])
        );

        // A column goes, and comes back as another.
        follow(
            &database,
            &unguard("ALTER TABLE samples DROP COLUMN note"),
            &["samples"],
        );
        let shown = database
            .koherent(&["show", "samples/1", "--format", "table"])
            .ok();
        assert!(
            shown.contains("note (not kept any more)") && shown.contains("old"),
            "{shown}"
        );
        follow(
            &database,
            "ALTER TABLE samples ADD COLUMN note VARCHAR(20) DEFAULT 'new'",
            &["samples"],
        );
        database.sql("UPDATE samples SET note = 'newer'");
        database.koherent(&["reconcile"]).ok();

        // Two columns take each other's names; then one takes a name that was free, and another its own.
        let swap = "ALTER TABLE samples RENAME COLUMN name TO spare; ALTER TABLE samples RENAME COLUMN note TO name; ALTER TABLE samples RENAME COLUMN spare TO note";
        follow(
            &database,
            swap,
            &["samples", "--rename", "name=note", "--rename", "note=name"],
        );
        // The column came later than the entry before, and keeps that under its new name.
        let row = database.koherent(&["log", "-n", "1"]).json();
        assert_eq!(row[0]["changes"], serde_json::json!([]));
        database.sql("UPDATE samples SET name = 'newest'");
        let row = database.koherent(&["log", "-n", "1"]).json();
        assert_eq!(
            row[0]["changes"],
            serde_json::json!([{"field": "name", "old": "newer", "new": "newest"}])
        );
        follow(
            &database,
            "ALTER TABLE samples RENAME COLUMN note TO title; ALTER TABLE samples ADD COLUMN note VARCHAR(9)",
            &["samples", "--rename", "note=title"],
        );
        database.sql("UPDATE samples SET note = 'n', title = 'liver two'");
        let row = database.koherent(&["log", "-n", "1"]).json();
        let fields: Vec<_> = row[0]["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| change["field"].as_str().unwrap())
            .collect();
        assert_eq!(fields, ["title"], "{row:?}");

        // Out of the history, and in again.
        follow(&database, "SELECT 1", &["samples", "--exclude", "count"]);
        database.sql("UPDATE samples SET count = 10");
        follow(&database, "SELECT 1", &["samples", "--include", "count"]);
        database.sql("UPDATE samples SET count = 11");
        database.koherent(&["reconcile"]).ok();
    }
}

#[test]
fn options_that_mean_no_table_are_refused() {
    let database = Database::new(Engine::Sqlite);
    database.sql("CREATE TABLE samples (id INTEGER PRIMARY KEY, code TEXT)");
    for (option, value) in [
        ("--exclude", "sample.code"),
        ("--include", "nothing.code"),
        ("--cast", "x.id"),
        ("--rename", "x.id=code"),
    ] {
        let said = database
            .koherent(&["migration", "generate", "samples", option, value])
            .failure();
        let value = value.split('=').next().unwrap();
        assert_eq!(
            said,
            format!("{option} {value}: none of the tables is meant, they are samples")
        );
    }
    assert!(!database.path().join("migrations").exists());
    let (folder, _) = database.generate(&["samples", "--name", "../../evil"]);
    assert!(
        folder.ends_with(folder.file_name().unwrap())
            && folder.parent().unwrap().ends_with("migrations")
    );
}

/// Keys of each type: first entries for all, in batches of two, and nothing to complain about.
#[test]
fn keys_of_all_types_get_their_first_entries() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let keys = engine.pick(
            vec![
                ("TEXT", "('x''41'''), ('a'), (''), ('ü''\"'), ('1'), ('b,c')"),
                ("BLOB", "(x'00'), (x'ff'), ('text'), (1), (1.5)"),
                ("REAL", "(0.1), (1e300), (-0.5), (3)"),
                ("TEXT COLLATE NOCASE", "('Ann'), ('bob'), ('x''41''')"),
            ],
            vec![
                ("text", "('x''41'''), ('a'), (''), ('ü''\"\\'), ('b,c')"),
                ("bytea", "('\\x00'), ('\\xff'), ('')"),
                ("double precision", "(0.1), ('NaN'), ('Infinity'), (1e300)"),
                ("uuid", "('0199a1b2-0000-7000-8000-000000000000'), ('0199a1b2-0000-7000-8000-000000000001')"),
                ("timestamptz", "('2026-11-21 10:00:00.123456+02'), ('infinity'), ('0044-03-15 BC')"),
                ("numeric", "(1.10), (12345678901234567890.5), (-3)"),
                ("char(4)", "('a'), ('abcd')"),
            ],
            vec![
                ("VARCHAR(50)", "('x''41'''), ('a'), (''), ('ü''\"'), ('b,c')"),
                ("VARBINARY(20)", "(X'00'), (X'FF'), ('text')"),
                ("FLOAT", "(0.1), (0.3), (1.5), (-2)"),
                ("DOUBLE", "(0.1), (1e300), (-0.5)"),
                ("BIT(5)", "(b'1'), (b'101'), (b'0')"),
                ("DECIMAL(30,10)", "(1.1), (12345678901234567890.5)"),
                ("DATETIME(6)", "('2026-11-21 10:00:00.123456'), ('2026-11-21')"),
                ("ENUM('b','a')", "('a'), ('b')"),
                ("UUID", "('0199a1b2-0000-7000-8000-000000000000')"),
                ("VARCHAR(20) CHARACTER SET latin1", "('Grün'), ('rot')"),
                ("BIGINT UNSIGNED", "(18446744073709551615), (0)"),
            ],
        );
        for (at, (declared, values)) in keys.into_iter().enumerate() {
            let table = format!("t{at}");
            database.sql(&format!("CREATE TABLE {table} (k {declared} NOT NULL PRIMARY KEY); INSERT INTO {table} (k) VALUES {values}"));
            database.audit(&[&table, "--policy", "capture"]);
            let rows = values.matches("), (").count() + 1;
            let said = database
                .koherent(&["baseline", &table, "--batch", "2"])
                .ok();
            assert_eq!(
                said,
                format!(
                    "wrote the first entries of {rows} row{} of {table}\n",
                    if rows == 1 { "" } else { "s" }
                ),
                "{declared}"
            );
            let said = database.koherent(&["baseline", &table]).ok();
            assert!(said.starts_with("nothing to do"), "{declared}: {said}");
            database.koherent(&["reconcile", &table]).ok();
            database.sql(&format!("DELETE FROM {table}"));
            database.koherent(&["reconcile", &table]).ok();
            let deleted = database.koherent(&["log", "--table", &table]).json();
            assert_eq!(
                deleted
                    .iter()
                    .filter(|entry| entry["kind"] == "delete")
                    .count(),
                rows,
                "{declared}"
            );
        }
        // A key that is typed.
        assert_eq!(
            database
                .koherent(&["log", "--table", "t0", "--key", "x'41'"])
                .json()
                .len(),
            2
        );
        assert_eq!(
            database
                .koherent(&["log", "--table", "t0", "--key", "b,c"])
                .json()
                .len(),
            2
        );
    }
}

#[test]
fn keys_with_commas_are_asked_for_as_json() {
    let database = Database::new(Engine::Postgres);
    database.sql("CREATE TABLE pairs (a text, b text, PRIMARY KEY (a, b))");
    database.audit(&["pairs", "--policy", "capture"]);
    database.sql("INSERT INTO pairs VALUES ('x,y', 'z'), ('x', 'y,z')");
    let found = database
        .koherent(&["log", "--table", "pairs", "--key", r#"["x,y", "z"]"#])
        .json();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["key"], serde_json::json!(["x,y", "z"]));
}

#[test]
fn tables_are_known_by_whatever_name() {
    for engine in ENGINES {
        let database = Database::with_samples(engine);
        let schema = match engine {
            Engine::Sqlite => "main".to_owned(),
            Engine::Postgres => "public".to_owned(),
            Engine::MariaDb => database.texts("SELECT DATABASE() AS t")[0].clone(),
        };
        let name = format!("{schema}.samples");
        assert!(
            database
                .koherent(&["check", &name, "--format", "table"])
                .ok()
                .starts_with("no differences: samples,")
        );
        let said = database
            .koherent(&["migration", "generate", &name, "--dry-run"])
            .ok();
        assert!(
            said.contains("note: the history of samples fits it"),
            "{said}"
        );
        let quote = engine.pick("`", "\"", "`");
        database.sql(&format!("CREATE TABLE {quote}Od.d name{quote} (id INT NOT NULL PRIMARY KEY, {quote}Some \\ Thing's{quote} INT)"));
        database.audit(&["Od.d name", "--policy", "capture"]);
        database.sql(&format!(
            "INSERT INTO {quote}Od.d name{quote} VALUES (1, 2)"
        ));
        database.check();
        assert_eq!(
            database
                .koherent(&["log", "--table", "Od.d name"])
                .json()
                .len(),
            1
        );
        database.koherent(&["reconcile", "Od.d name"]).ok();
    }
    let database = Database::new(Engine::Postgres);
    database.sql("CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t (id int PRIMARY KEY, v int); CREATE TABLE b.t (id int PRIMARY KEY, v int)");
    database.audit(&["a.t", "b.t", "--policy", "capture"]);
    database.check();
    database.sql("INSERT INTO a.t VALUES (1, 1); UPDATE a.t SET v = 2; INSERT INTO b.t VALUES (1, 1); UPDATE b.t SET v = 2");
    assert_eq!(
        database
            .koherent(&["prune", "a.t", "--before", "2100-01-01"])
            .ok(),
        "deleted 1 entries of a.t\n"
    );
    database.koherent(&["reconcile"]).ok();
    let refused = database.try_sql("BEGIN; SELECT set_config('koherent.operation', (SELECT operation_transaction::text FROM koherent_operation), true); DELETE FROM b.t_history");
    assert!(refused.unwrap_err().contains("DELETE of t_history refused"));
}

#[test]
fn tables_that_cannot_be_guarded_are_refused() {
    let database = Database::new(Engine::Sqlite);
    database
        .sql("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE ON\n CONFLICT   REPLACE)");
    assert_eq!(
        database.koherent(&["migration", "generate", "t"]).failure(),
        "the table `t` declares a constraint ON CONFLICT REPLACE, which deletes rows that leave no history: take that away first"
    );
    database.sql("CREATE TABLE u (id INTEGER PRIMARY KEY, name TEXT); CREATE UNIQUE INDEX lowered ON u (lower(name))");
    assert_eq!(
        database
            .koherent(&["migration", "generate", "u", "--policy", "capture"])
            .failure(),
        "`u` has the unique index `lowered` over an expression, so what REPLACE deletes could not be captured: use --policy refuse"
    );
    let database = Database::new(Engine::MariaDb);
    database.sql("CREATE TABLE t (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2");
    assert_eq!(
        database.koherent(&["migration", "generate", "t"]).failure(),
        "the table `t` is partitioned: no other table can refer to it then, so TRUNCATE could not be refused, and partitions go \
         without a trigger"
    );
}

/// Two tables whose names are like those of triggers have each their own.
#[test]
fn triggers_of_tables_do_not_clash() {
    let database = Database::new(Engine::Sqlite);
    database.sql("CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE t_before (id INTEGER PRIMARY KEY); CREATE TABLE guard_t (id INTEGER PRIMARY KEY)");
    let (folder, _) = database.generate(&["t", "--policy", "capture"]);
    database.up(&folder);
    database.audit(&["t_before", "guard_t", "--policy", "refuse"]);
    database.check();
    database.down(&folder);
    database.check();
    assert!(
        database
            .try_sql("INSERT INTO t_before VALUES (1)")
            .unwrap_err()
            .contains("INSERT of t_before refused")
    );
}

#[test]
fn keys_that_differ_in_capitals_have_histories_of_their_own() {
    let database = Database::new(Engine::Sqlite);
    database.sql("CREATE TABLE people (name TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, note TEXT)");
    database.audit(&["people", "--policy", "capture"]);
    database.sql("INSERT INTO people VALUES ('ann', 'x')");
    database.sql("UPDATE people SET name = 'ANN'");
    database.sql("INSERT OR REPLACE INTO people VALUES ('Ann', 'y')");
    database.koherent(&["reconcile"]).ok();
    let entries = database.koherent(&["log"]).json();
    let said: Vec<_> = entries
        .iter()
        .rev()
        .map(|entry| {
            format!(
                "{} {}",
                entry["kind"].as_str().unwrap(),
                entry["key"][0].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            "create ann",
            "delete ann",
            "create ANN",
            "delete ANN",
            "create Ann"
        ]
    );
}

/// With `recursive_triggers` SQLite runs delete triggers for rows that are replaced; they are told of once all the same.
#[test]
fn replaced_rows_are_told_of_once() {
    for pragma in ["ON", "OFF"] {
        let database = Database::with_samples(Engine::Sqlite);
        // The guard knows of the unique names.
        database.sql(&format!(
            "PRAGMA recursive_triggers = {pragma}; INSERT INTO samples (id, name) VALUES (1, 'a'), (2, 'b'); INSERT OR REPLACE INTO samples (id, name) VALUES (9, 'a')"
        ));
        database.koherent(&["reconcile"]).ok();
        assert_eq!(database.koherent(&["log"]).json().len(), 4, "{pragma}");
    }
}

#[test]
fn values_do_not_move_the_cursor() {
    let database = Database::with_samples(Engine::Postgres);
    database
        .sql("INSERT INTO samples (id, name, note) VALUES (1, E'\\x1b[31mred\\nline', E'\\x07')");
    for arguments in [
        &["log", "--format", "table"][..],
        &["show", "samples/1", "--format", "table"],
    ] {
        let said = database.koherent(arguments).ok();
        assert!(
            !said.contains('\u{1b}') && !said.contains('\u{7}'),
            "{said}"
        );
        assert!(said.contains("\\u{1b}[31mred"), "{said}");
    }
    // Text that is none.
    let database = Database::with_samples(Engine::Sqlite);
    database.sql("INSERT INTO samples (id, name) VALUES (1, CAST(x'ff41' AS TEXT))");
    assert_eq!(database.koherent(&["log"]).json().len(), 1);
}

#[test]
fn deep_trees_of_tasks_are_drawn() {
    let database = Database::with_samples(Engine::Sqlite);
    database.sql(
        "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
         INSERT INTO koherent_task SELECT 't' || n, CASE n WHEN 0 THEN NULL ELSE 't' || (n - 1) END, 't0', 'a', 'a', 'a', 'c', 'i', 'j' || n, 'h', 's', NULL,
             '2026-11-21 10:00:00.000000+00:00' FROM n",
    );
    let tree = database.koherent(&["task", "t7"]).ok();
    assert_eq!(
        tree.lines()
            .filter(|line| line.contains("no entries"))
            .count(),
        20_001
    );
    assert!(tree.len() < 5_000_000, "{}", tree.len());
}

#[test]
fn guards_that_are_not_registered_are_named() {
    for engine in ENGINES {
        let database = Database::with_samples(engine);
        database.sql("DELETE FROM koherent_table");
        let check = database.koherent(&["check", "--format", "json"]);
        assert_eq!(check.code, 1, "{check:?}");
        let said = check.json();
        assert!(
            said[0]["difference"].as_str().unwrap().starts_with(
                "the table `samples` has a guard, but `koherent_table` does not say so"
            ),
            "{said:?}"
        );
    }
}

/// Several at once: each row gets one first entry, and old entries are deleted once.
#[test]
fn several_at_once_do_each_thing_once() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let text = engine.pick("TEXT", "text", "VARCHAR(40)");
        database.sql(&format!(
            "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, name {text})"
        ));
        let rows: Vec<_> = (0..2000).map(|id| format!("({id}, 'n{id}')")).collect();
        database.sql(&format!(
            "INSERT INTO t (id, name) VALUES {}",
            rows.join(", ")
        ));
        database.audit(&["t", "--policy", "capture"]);
        let at_once = |arguments: &[&str]| {
            let said: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..3)
                    .map(|_| scope.spawn(|| database.koherent(arguments).ok()))
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            said
        };
        at_once(&["baseline", "t", "--batch", "100"]);
        assert_eq!(database.koherent(&["log"]).json().len(), 2000);
        for round in 0..3 {
            database.sql(&format!("UPDATE t SET name = 'round {round}'"));
        }
        at_once(&[
            "prune",
            "--before",
            "2100-01-01",
            "--keep-last",
            "2",
            "--batch",
            "300",
        ]);
        assert_eq!(database.koherent(&["log"]).json().len(), 4000);
        database.koherent(&["reconcile"]).ok();
    }
}
