//! Tables that are dropped, renamed, given another key: no table keeps another from its migration, and no history is lost.

use super::database::{Database, ENGINES, Engine};

/// Three tables with an entry each: `gone`, `items` and `tags`.
fn with_tables(engine: Engine, policy: &str) -> Database {
    let database = Database::new(engine);
    let text = engine.pick("TEXT", "text", "VARCHAR(40)");
    for table in ["gone", "items", "tags"] {
        database.sql(&format!(
            "CREATE TABLE {table} (id INT NOT NULL PRIMARY KEY, name {text}); INSERT INTO {table} (id, name) VALUES (1, 'one')"
        ));
    }
    database.audit(&["gone", "items", "tags", "--policy", policy]);
    database.koherent(&["baseline", "--all"]).ok();
    database
}

/// The policies to try: both in the long run, and where they cost little.
fn policies(engine: Engine) -> Vec<&'static str> {
    match std::env::var("KOHERENT_EFFORT").as_deref() == Ok("full") || engine != Engine::MariaDb {
        true => vec!["refuse", "capture"],
        false => vec!["capture"],
    }
}

/// What MariaDB and MySQL need before a table is dropped.
fn release(engine: Engine, table: &str) -> String {
    engine.pick(
        String::new(),
        String::new(),
        format!("DROP TABLE koherent_keeps_{table};"),
    )
}

#[test]
fn a_dropped_table_is_retired_and_its_history_stays() {
    for engine in ENGINES {
        for policy in policies(engine) {
            let database = with_tables(engine, policy);
            database.sql(&format!("{} DROP TABLE gone", release(engine, "gone")));
            let text = engine.pick("TEXT", "text", "VARCHAR(40)");
            database.sql(&format!("ALTER TABLE tags ADD COLUMN note {text}"));

            // What is wrong with one table keeps no other from its migration.
            let said = database.koherent(&["migration", "generate"]);
            assert_eq!(said.code, 1, "{said:?}");
            let advice = "the table `gone` does not exist any more: `koherent retire gone` keeps its history, read-only; where the table was \
                          renamed, `koherent migration generate --rename-table gone=NEW` lets it follow";
            assert_eq!(said.err, format!("koherent: {advice}\n"));
            let folder = said
                .out
                .lines()
                .find_map(|line| line.strip_prefix("wrote "));
            let folder = database.path().join(folder.unwrap());
            assert!(
                folder.ends_with(folder.file_name().unwrap())
                    && folder.to_str().unwrap().ends_with("_audit_tags")
            );
            database.up(&folder);
            for command in ["check", "reconcile"] {
                let said = database.koherent(&[command]);
                assert_eq!(said.code, 1, "{said:?}");
                assert!(format!("{said:?}").contains(advice), "{said:?}");
            }

            // The advice is followed.
            database
                .koherent(&["retire", "gone", "--user", "ann", "--reason", "moved away"])
                .ok();
            database.check();
            database.koherent(&["reconcile"]).ok();
            assert_eq!(
                database.koherent(&["migration", "generate"]).ok(),
                "nothing to do: the histories fit their tables\n"
            );
            let entries = database.koherent(&["log", "--table", "gone"]).json();
            assert_eq!(entries[0]["entry"], "gone/1", "{entries:?}");
            assert_eq!(database.koherent(&["log"]).json().len(), 3);
            let shown = database.koherent(&["show", "gone/1"]).ok();
            assert!(shown.contains("\"name\": \"one\""), "{shown}");
            // And is read-only.
            for statement in [
                "INSERT INTO gone_history (id, history_kind, history_date, history_transaction) SELECT id, history_kind, history_date, history_transaction FROM tags_history",
                "UPDATE gone_history SET name = 'two'",
                "DELETE FROM gone_history",
            ] {
                let refused = database.try_sql(statement).unwrap_err();
                assert!(refused.contains("of gone_history refused"), "{refused}");
            }
            let said = database.koherent(&["retire", "gone"]).failure();
            assert_eq!(
                said,
                "`gone` is not under audit any more, its history is retired: `koherent log --table gone` lists it"
            );

            // Another table of that name begins another history.
            database.sql(&format!(
                "CREATE TABLE gone (id INT NOT NULL PRIMARY KEY, name {text})"
            ));
            let (folder, said) = database.generate(&["gone", "--policy", "capture"]);
            assert!(said.contains("=> gone_history_2 (id, name)"), "{said}");
            database.up(&folder);
            database.check();
            database.sql("INSERT INTO gone (id, name) VALUES (1, 'again')");
            let entries = database.koherent(&["log", "--table", "gone"]).json();
            assert_eq!(entries.len(), 1, "{entries:?}");
            let retired = database
                .koherent(&["log", "--table", "gone_history"])
                .json();
            assert_eq!(retired[0]["entry"], "gone_history/1");
            // Retention reaches it still.
            let pruned = database
                .koherent(&["prune", "gone_history", "--before", "0m", "--dry-run"])
                .ok();
            assert_eq!(pruned, "would delete 0 entries of gone_history\n");
            database.down(&folder);
        }
    }
}

#[test]
fn a_table_that_is_there_can_be_retired_before_it_is_dropped() {
    for engine in ENGINES {
        let database = with_tables(engine, "refuse");
        let said = database.koherent(&["retire", "gone", "--migration"]).ok();
        let folder = database
            .path()
            .join(said.trim().strip_prefix("wrote ").unwrap());
        database.check();
        database.up(&folder);
        database.check();
        // No guard is left, on no engine.
        database.sql("UPDATE gone SET name = 'two'");
        database.down(&folder);
        assert_eq!(database.koherent(&["check"]).code, 1, "its guard is gone");
        database.koherent(&["setup"]).ok();
        database.check();
        database.up(&folder);
        database.sql("DROP TABLE gone");
        database.check();
        assert_eq!(
            database.koherent(&["log", "--table", "gone"]).json().len(),
            1
        );
    }
}

#[test]
fn a_renamed_table_takes_its_history_with_it() {
    for engine in ENGINES {
        for policy in policies(engine) {
            let database = with_tables(engine, policy);
            // As the case has it: what was `gone` goes, and another takes a new name.
            database.sql(&format!(
                "{} DROP TABLE gone; ALTER TABLE items RENAME TO things",
                release(engine, "gone")
            ));
            let advice = "`koherent migration generate --rename-table items=things`";
            let said = database.koherent(&["migration", "generate"]);
            assert_eq!(said.code, 1, "{said:?}");
            assert!(
                said.err.contains(advice) && said.err.contains("`koherent retire gone`"),
                "{said:?}"
            );
            for command in [
                &["migration", "generate", "things"][..],
                &["retire", "items"],
            ] {
                let said = database.koherent(command).failure();
                assert!(said.contains(advice), "{said}");
            }
            database.koherent(&["retire", "gone"]).ok();

            let (folder, said) = database.generate(&["--rename-table", "items=things"]);
            assert!(
                said.contains("audited!(things (id) => items_history (id, name));"),
                "{said}"
            );
            database.up(&folder);
            database.check();
            database.koherent(&["reconcile"]).ok();
            let entries = database.koherent(&["log", "--table", "things"]).json();
            assert_eq!(entries.len(), 1, "what was there is there");
            let write = "UPDATE things SET name = 'two'";
            if policy == "capture" {
                database.sql(write);
                assert_eq!(
                    database
                        .koherent(&["log", "--table", "things"])
                        .json()
                        .len(),
                    2
                );
                // What was pruned under the old name counts under the new one.
                database
                    .koherent(&["prune", "things", "--before", "0m"])
                    .ok();
                database.koherent(&["reconcile"]).ok();
            } else {
                let refused = database.try_sql(write).unwrap_err();
                assert!(refused.contains("UPDATE of things refused"), "{refused}");
            }
            // Back: what follows is undone, then the rename; and again.
            database.down(&folder);
            database.sql("ALTER TABLE things RENAME TO items");
            database.check();
            let refused = database.try_sql("DELETE FROM items_history").unwrap_err();
            assert!(
                refused.contains("DELETE of items_history refused"),
                "{refused}"
            );
            if policy == "capture" {
                database.sql("UPDATE items SET name = 'three'");
                database.koherent(&["reconcile"]).ok();
            }
            database.sql("ALTER TABLE items RENAME TO things");
            database.up(&folder);
            database.check();
        }
    }
}

#[test]
fn a_table_with_another_key_begins_another_history_and_keeps_the_old_one() {
    for engine in ENGINES {
        let database = with_tables(engine, "capture");
        let text = engine.pick("TEXT", "text", "VARCHAR(40)");
        database.sql(&match engine {
            Engine::Sqlite => format!(
                "CREATE TABLE items_new (tenant INT NOT NULL, id INT NOT NULL, name {text}, PRIMARY KEY (tenant, id));
                 INSERT INTO items_new SELECT 7, id, name FROM items; DROP TABLE items; ALTER TABLE items_new RENAME TO items;"
            ),
            Engine::Postgres => "ALTER TABLE items DROP CONSTRAINT items_pkey, ADD COLUMN tenant int NOT NULL DEFAULT 7, ADD PRIMARY KEY (tenant, id)".to_owned(),
            Engine::MariaDb => "DROP TABLE koherent_keeps_items; ALTER TABLE items ADD COLUMN tenant INT NOT NULL DEFAULT 7, DROP PRIMARY KEY, ADD PRIMARY KEY (tenant, id)".to_owned(),
        });
        let said = database.koherent(&["migration", "generate"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(
            said.err
                .contains("the key of `items` was (id) and is (tenant, id)")
                && said
                    .err
                    .contains("`koherent migration generate items --new-history`"),
            "{said:?}"
        );
        let (folder, said) = database.generate(&["items", "--new-history"]);
        assert!(
            said.contains("audited!(items (tenant, id) => items_history_2 ("),
            "{said}"
        );
        database.up(&folder);
        database.check();
        database.koherent(&["baseline", "items"]).ok();
        database.koherent(&["reconcile"]).ok();
        database.sql("UPDATE items SET name = 'two'");
        assert_eq!(
            database.koherent(&["log", "--table", "items"]).json().len(),
            2
        );
        assert_eq!(
            database
                .koherent(&["log", "--table", "items_history"])
                .json()
                .len(),
            1,
            "the old one is there"
        );
        database.down(&folder);
        assert_eq!(
            database.texts("SELECT name AS t FROM items_history"),
            ["one"]
        );
        database.up(&folder);
        database.check();
    }
}

#[test]
fn all_tables_but_those_of_tools_are_put_under_audit() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let text = engine.pick("TEXT", "text", "VARCHAR(40)");
        database.sql(&format!(
            "CREATE TABLE one (id INT NOT NULL PRIMARY KEY, password_hash {text}); CREATE TABLE two (id INT NOT NULL PRIMARY KEY);
             CREATE TABLE keyless (id INT); CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) NOT NULL PRIMARY KEY)"
        ));
        let said = database.koherent(&["migration", "generate", "--all"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert_eq!(
            said.err,
            "koherent: the table `keyless` has no primary key: history is that of a key, so give it one first\n"
        );
        assert!(
            said.out
                .contains("audited!(one (id) => one_history (id, password_hash));"),
            "{said:?}"
        );
        assert!(
            said.out.contains("note: `one.password_hash` looks like a secret, and its history would keep each of its values: --exclude one.password_hash keeps it out"),
            "{said:?}"
        );
        let folder = said
            .out
            .lines()
            .find_map(|line| line.strip_prefix("wrote "))
            .unwrap();
        assert!(folder.ends_with("_audit_one_two"), "{folder}");
        database.up(&database.path().join(folder));
        database.check();
        database.sql("DROP TABLE keyless");
        assert_eq!(
            database.koherent(&["migration", "generate", "--all"]).ok(),
            "nothing to do: all tables are under audit\n"
        );
        for (table, why) in [
            ("__diesel_schema_migrations", "is the table of a tool"),
            ("koherent_task", "is one of Koherent's own tables"),
            (
                "__koherent_schema_migrations",
                "is one of Koherent's own tables",
            ),
            ("one_history", "is the history of `one`"),
        ] {
            let said = database
                .koherent(&["migration", "generate", table])
                .failure();
            assert!(said.contains(why), "{said}");
        }
        let said = database.koherent(&["baseline", "--all"]).ok();
        assert_eq!(said.lines().count(), 2, "{said}");
    }
}

/// The types of keys change, also where SQLite must make the history anew.
#[test]
fn a_key_of_another_type_is_followed() {
    for engine in [Engine::Sqlite, Engine::Postgres, Engine::MariaDb] {
        let database = with_tables(engine, "capture");
        database.sql(engine.pick(
            "CREATE TABLE items_new (id TEXT NOT NULL PRIMARY KEY, name TEXT); INSERT INTO items_new SELECT id, name FROM items;
             DROP TABLE items; ALTER TABLE items_new RENAME TO items;
             CREATE INDEX of_the_application ON items_history (name); CREATE VIEW latest AS SELECT name FROM items_history;",
            "ALTER TABLE items ALTER COLUMN id TYPE text",
            "DROP TABLE koherent_keeps_items; ALTER TABLE items MODIFY COLUMN id VARCHAR(20) NOT NULL",
        ));
        let arguments: &[&str] = match engine {
            Engine::MariaDb => &["items", "--cast", "id"],
            Engine::Sqlite | Engine::Postgres => &[],
        };
        let (folder, _) = database.generate(arguments);
        database.up(&folder);
        database.check();
        database.koherent(&["reconcile"]).ok();
        database.sql("UPDATE items SET name = 'two'");
        assert_eq!(
            database
                .koherent(&["log", "--table", "items", "--key", "1"])
                .json()
                .len(),
            2
        );
        if engine == Engine::Sqlite {
            assert_eq!(
                database.texts("SELECT name AS t FROM latest ORDER BY 1"),
                ["one", "two"]
            );
            let attached = "SELECT name AS t FROM sqlite_schema WHERE tbl_name = 'items_history' AND name LIKE 'of_the%'";
            assert_eq!(database.texts(attached), ["of_the_application"]);
            let refused = database.try_sql("DELETE FROM items_history").unwrap_err();
            assert!(
                refused.contains("DELETE of items_history refused"),
                "{refused}"
            );
        }
        database.down(&folder);
        assert_eq!(
            database.texts("SELECT name AS t FROM items_history ORDER BY history_id"),
            ["one", "two"]
        );
        database.up(&folder);
        database.check();
    }
}

#[test]
fn a_table_that_moves_to_another_schema_takes_its_history_with_it() {
    let database = with_tables(Engine::Postgres, "capture");
    database.sql("CREATE SCHEMA lab; ALTER TABLE items SET SCHEMA lab; ALTER TABLE lab.items RENAME TO things");
    let said = database.koherent(&["migration", "generate"]);
    let advice = "`koherent migration generate --rename-table items=lab.things`";
    assert!(said.code == 1 && said.err.contains(advice), "{said:?}");
    let (folder, _) = database.generate(&["--rename-table", "items=lab.things"]);
    for _ in 0..2 {
        database.up(&folder);
        database.check();
        database.sql("UPDATE lab.things SET name = name || '!'");
        database.koherent(&["reconcile"]).ok();
        database.down(&folder);
        database
            .sql("ALTER TABLE lab.things RENAME TO items; ALTER TABLE lab.items SET SCHEMA public");
        database.check();
        database.sql("UPDATE items SET name = name || '?'");
        database.koherent(&["reconcile"]).ok();
        database.sql("ALTER TABLE items SET SCHEMA lab; ALTER TABLE lab.items RENAME TO things");
    }
    assert_eq!(
        database
            .texts("SELECT name AS t FROM items_history WHERE id = 1 ORDER BY history_id")
            .len(),
        5
    );
}

/// SQLite changes a table by making it anew, and its triggers go with the old one.
#[test]
fn a_table_that_is_made_anew_gets_its_guard_again() {
    for engine in ENGINES {
        let database = with_tables(engine, "capture");
        let drop = engine.pick(
            "CREATE TABLE items_new (id INT NOT NULL PRIMARY KEY, name TEXT); INSERT INTO items_new SELECT * FROM items; DROP TABLE items;
             ALTER TABLE items_new RENAME TO items; DROP TRIGGER koherent_append_only_items_history_delete",
            "DROP TRIGGER koherent_guard_insert ON items; DROP TRIGGER koherent_append_only ON items_history",
            "DROP TRIGGER koherent_guard_items_insert; DROP TRIGGER koherent_append_only_items_history_delete",
        );
        database.sql(drop);
        assert_eq!(database.koherent(&["check"]).code, 1);
        let (folder, said) = database.generate(&[]);
        assert!(
            said.contains("note: the history of items fits it; its guard is created anew"),
            "{said}"
        );
        database.up(&folder);
        database.check();
        database.sql("UPDATE items SET name = 'two'");
        database.koherent(&["reconcile"]).ok();
        assert!(database.try_sql("DELETE FROM items_history").is_err());
    }
}
