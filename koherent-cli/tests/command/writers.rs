//! Tables that triggers of the application write to.

use super::database::{Database, ENGINES, Engine};

/// `samples`, whose trigger counts its rows in `tallies`.
fn counted(engine: Engine) -> Database {
    let database = Database::new(engine);
    database.sql("CREATE TABLE samples (id INT NOT NULL PRIMARY KEY, name VARCHAR(40))");
    database.sql("CREATE TABLE tallies (id INT NOT NULL PRIMARY KEY, n INT NOT NULL)");
    let count = "UPDATE tallies SET n = n + 1 WHERE id = 1";
    match engine {
        Engine::Postgres => {
            database.sql(&format!(
                "CREATE FUNCTION counting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {count}; RETURN NULL; END $$"
            ));
            database.sql("CREATE TRIGGER counting AFTER INSERT ON samples FOR EACH ROW EXECUTE FUNCTION counting()");
        }
        Engine::Sqlite => database.sql(&format!(
            "CREATE TRIGGER counting AFTER INSERT ON samples BEGIN {count}; END"
        )),
        Engine::MariaDb => database.sql(&format!(
            "CREATE TRIGGER counting AFTER INSERT ON samples FOR EACH ROW {count}"
        )),
    }
    database
}

#[test]
fn tables_that_triggers_write_to_are_noted_and_their_guards_record_it() {
    for engine in ENGINES {
        let database = counted(engine);
        let (folder, said) = database.generate(&["samples", "tallies"]);
        let note = "the trigger `counting` of `samples` seems to write to `tallies`";
        assert_eq!(said.matches(note).count(), 1, "{said}");
        assert_eq!(
            said.matches("seems to write to `samples`").count(),
            0,
            "{said}"
        );
        let sql = std::fs::read_to_string(folder.join("up.sql")).unwrap();
        assert!(sql.contains(
            "-- Triggers of the application seem to write to it: `counting` of `samples`."
        ));
        database.up(&folder);
        database.check();
        if engine == Engine::MariaDb {
            let told = "SELECT CAST(captures_triggers AS CHAR) AS t FROM koherent_table ORDER BY tracked_table";
            assert_eq!(database.texts(told), ["0", "1"]);

            // What `setup` makes anew, and what follows a change, keeps it.
            database.sql("DROP TRIGGER koherent_guard_tallies_update");
            database.koherent(&["setup"]).ok();
            assert_eq!(database.texts(told), ["0", "1"]);
            database.sql("ALTER TABLE tallies ADD COLUMN note VARCHAR(40)");
            database.audit(&[]);
            assert_eq!(database.texts(told), ["0", "1"]);
            database.check();
        }
    }
}

#[test]
fn a_guard_that_refuses_what_a_trigger_writes_is_named_and_made_anew() {
    let database = counted(Engine::MariaDb);
    database.sql("RENAME TABLE samples TO others"); // with its trigger
    database.sql("DROP TRIGGER counting");
    database.audit(&["tallies"]);
    database.check();
    database.sql(
        "CREATE TRIGGER counting AFTER INSERT ON others FOR EACH ROW UPDATE tallies SET n = n + 1",
    );
    let said = database.koherent(&["check", "--format", "table"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("`counting` of `others`"), "{said:?}");
    // As the message says.
    database.audit(&["tallies"]);
    database.check();
}
