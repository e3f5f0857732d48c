//! Long names, wide keys, wide tables: a migration that cannot be applied is never written.

use super::database::{Database, ENGINES, Engine};

/// Whether this is the long run.
fn is_full() -> bool {
    std::env::var("KOHERENT_EFFORT").as_deref() == Ok("full")
}

#[test]
fn long_names_are_shortened() {
    for engine in ENGINES {
        let lengths = match is_full() {
            true => engine.pick(40..=100, 48..=63, 40..=64).collect(),
            false => engine.pick(vec![100], vec![54, 55, 63], vec![44, 64]),
        };
        let database = Database::new(engine);
        for length in lengths {
            for last in ["a", "b"] {
                // They differ in the last letter alone.
                let table = format!("{}{last}", "t".repeat(length - 1));
                let text = engine.pick("TEXT", "text", "VARCHAR(40)");
                database.sql(&format!(
                    "CREATE TABLE {table} (id INT NOT NULL PRIMARY KEY, name {text})"
                ));
                let (folder, _) = database.generate(&[&table, "--policy", "capture"]);
                database.up(&folder);
                database.check();
                database.sql(&format!("INSERT INTO {table} (id, name) VALUES (1, 'one')"));
                assert_eq!(
                    database.koherent(&["log", "--table", &table]).json().len(),
                    1,
                    "{length}"
                );
                if is_full() {
                    database.down(&folder);
                    database.up(&folder);
                    database.check();
                }
            }
        }
        // A column whose old values are set aside under a longer name.
        let column = "c".repeat(engine.pick(90, 63, 64));
        let text = engine.pick("TEXT", "text", "VARCHAR(40)");
        database.sql(&format!(
            "CREATE TABLE wide (id INT NOT NULL PRIMARY KEY, {column} INT)"
        ));
        database.audit(&["wide"]);
        database.sql(&engine.pick(
            format!(
                "ALTER TABLE wide DROP COLUMN {column}; ALTER TABLE wide ADD COLUMN {column} {text}"
            ),
            format!("ALTER TABLE wide ALTER COLUMN {column} TYPE date USING NULL"),
            format!("ALTER TABLE wide MODIFY COLUMN {column} DATE"),
        ));
        let (folder, said) = database.generate(&[]);
        assert!(said.contains("are set aside"), "{said}");
        database.up(&folder);
        database.check();
    }
}

#[test]
fn multibyte_names_are_shortened_by_the_limits_of_the_engine() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let table = "ü".repeat(engine.pick(60, 31, 60));
        let quoted = engine.pick(
            format!("`{table}`"),
            format!("\"{table}\""),
            format!("`{table}`"),
        );
        database.sql(&format!(
            "CREATE TABLE {quoted} (id INT NOT NULL PRIMARY KEY)"
        ));
        let (folder, _) = database.generate(&[&table]);
        database.up(&folder);
        database.check();
    }
}

#[test]
fn wide_keys_fit_into_the_indexes_of_their_history() {
    let database = Database::new(Engine::MariaDb);
    for (at, key) in [
        "k VARCHAR(768) CHARACTER SET utf8mb4 NOT NULL PRIMARY KEY",
        "k VARCHAR(767) CHARACTER SET utf8mb4 NOT NULL PRIMARY KEY",
        "k VARBINARY(3072) NOT NULL PRIMARY KEY",
        "k VARCHAR(384) CHARACTER SET utf8mb4 NOT NULL, l VARCHAR(384) CHARACTER SET utf8mb4 NOT NULL, PRIMARY KEY (k, l)",
        "k VARCHAR(760) CHARACTER SET utf8mb4 NOT NULL, l BIGINT NOT NULL, PRIMARY KEY (k, l)",
        "k VARCHAR(768) CHARACTER SET latin1 NOT NULL PRIMARY KEY",
    ]
    .into_iter()
    .enumerate()
    {
        let table = format!("t{at}");
        database.sql(&format!("CREATE TABLE {table} (name VARCHAR(20), {key})"));
        let (folder, _) = database.generate(&[&table, "--policy", "capture"]);
        database.up(&folder);
        database.check();
        let columns = if key.contains("l ") && key.contains("(k, l)") { ("k, l", "'a', '1'") } else { ("k", "'a'") };
        database.sql(&format!("INSERT INTO {table} ({}) VALUES ({})", columns.0, columns.1));
        database.sql(&format!("UPDATE {table} SET name = 'one' WHERE k = 'a'"));
        database.koherent(&["reconcile"]).ok();
    }
    // A key of as many columns as an index has.
    for (engine, columns) in [(Engine::MariaDb, 16), (Engine::Postgres, 32)] {
        let database = Database::new(engine);
        let names: Vec<_> = (0..columns).map(|at| format!("c{at}")).collect();
        let declared: Vec<_> = names
            .iter()
            .map(|name| format!("{name} INT NOT NULL"))
            .collect();
        database.sql(&format!(
            "CREATE TABLE t ({}, PRIMARY KEY ({}))",
            declared.join(", "),
            names.join(", ")
        ));
        database.audit(&["t"]);
        database.check();
    }
}

#[test]
fn a_migration_that_cannot_be_applied_is_never_written() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let columns = engine.pick(1_995, 1_595, 1_010);
        let declared: Vec<_> = (1..columns).map(|at| format!("c{at} INT")).collect();
        database.sql(&format!(
            "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, {})",
            declared.join(", ")
        ));
        let said = database.koherent(&["migration", "generate", "t"]).failure();
        assert!(said.contains(&format!("has {columns} columns")), "{said}");
        assert!(!database.path().join("migrations").exists());
        // The advice is followed.
        let few: Vec<_> = (1..11).map(|at| format!("--exclude=c{at}")).collect();
        let arguments: Vec<_> = std::iter::once("t")
            .chain(few.iter().map(String::as_str))
            .collect();
        let (folder, _) = database.generate(&arguments);
        database.up(&folder);
    }
    let database = Database::new(Engine::MariaDb);
    database.sql("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(15000) CHARACTER SET utf8mb4)");
    let said = database.koherent(&["migration", "generate", "t"]).failure();
    assert!(
        said.contains("the history of `t` cannot be created")
            && said.contains("Row size too large"),
        "{said}"
    );
    assert!(!database.path().join("migrations").exists());
    database.sql("CREATE TABLE u (k TEXT NOT NULL, PRIMARY KEY (k(20)))");
    let said = database.koherent(&["migration", "generate", "u"]).failure();
    assert!(said.contains("`u`"), "{said}");
}
