//! Where guards are dropped by hand, the check says so, and `reconcile` finds each row that was changed meanwhile.

use std::collections::BTreeSet;

use super::database::{Database, ENGINES};

#[test]
fn each_row_that_was_changed_around_the_audit_is_found() {
    for engine in ENGINES {
        let database = Database::with_samples(engine);
        let rows: Vec<_> = (0..1000).map(|id| format!("({id}, 'n{id}')")).collect();
        database.sql(&format!(
            "INSERT INTO samples (id, name) VALUES {}",
            rows.join(", ")
        ));
        database.sql("DELETE FROM samples WHERE id >= 990");
        let said = database.koherent(&["reconcile", "--format", "table"]).ok();
        assert_eq!(
            said,
            "compared 990 rows of samples: each is what its history says\n"
        );

        let drop = engine.pick(
            "DROP TRIGGER koherent_guard_samples_insert; DROP TRIGGER koherent_guard_samples_update; DROP TRIGGER koherent_guard_samples_delete;",
            "ALTER TABLE samples DISABLE TRIGGER ALL;",
            "DROP TRIGGER koherent_guard_samples_insert; DROP TRIGGER koherent_guard_samples_update; DROP TRIGGER koherent_guard_samples_delete;",
        );
        database.sql(drop);
        let check = database.koherent(&["check", "--format", "json"]);
        assert_eq!(check.code, 1);
        let differences = check.json();
        for part in ["insert", "update", "delete"] {
            let expected = engine.pick(
                format!("the table `samples` is not guarded: `koherent_guard_samples_{part}` is missing or disabled."),
                format!("the table `samples` is not guarded: `koherent_guard_{part}` is missing or disabled."),
                format!("the table `samples` is not guarded: `koherent_guard_samples_{part}` is missing or disabled."),
            );
            let is_said = |line: &serde_json::Value| {
                line["difference"].as_str().unwrap().starts_with(&expected)
            };
            assert!(
                differences.iter().any(is_said),
                "{expected}: {differences:?}"
            );
        }

        // A thousand raw writes.
        let mut random = fastrand::Rng::with_seed(7);
        let mut expected: BTreeSet<String> = BTreeSet::new();
        let mut sql = String::new();
        for n in 0..1000 {
            let id = random.u32(0..990);
            match random.u8(0..4) {
                0 => sql.push_str(&format!("DELETE FROM samples WHERE id = {id};\n")),
                1 => {
                    sql.push_str(&format!(
                        "INSERT INTO samples (id, name) VALUES ({}, 'new{n}');\n",
                        2000 + n
                    ));
                    expected.insert((2000 + n).to_string());
                    continue;
                }
                2 => sql.push_str(&format!(
                    "UPDATE samples SET note = 'raw {n}' WHERE id = {id};\n"
                )),
                _ => sql.push_str(&format!(
                    "UPDATE samples SET name = upper(name), note = 'raw' WHERE id = {id};\n"
                )),
            }
            expected.insert(id.to_string());
        }
        // One that the history says is gone comes back.
        sql.push_str("INSERT INTO samples (id, name) VALUES (995, 'back');");
        expected.insert("995".to_owned());
        database.sql(&sql);

        let said = database.koherent(&["reconcile"]);
        assert_eq!(said.code, 1);
        let found = said.json();
        let keys: BTreeSet<_> = found
            .iter()
            .map(|finding| finding["key"][0].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(keys, expected);
        assert_eq!(found.len(), expected.len(), "each once");
        let whats: BTreeSet<_> = found
            .iter()
            .map(|finding| finding["what"].as_str().unwrap())
            .collect();
        assert_eq!(
            whats.into_iter().collect::<Vec<_>>(),
            [
                "the row has no history: created around the audit, or before it (`koherent baseline`)",
                "the row is gone, but its history does not say so: deleted around the audit",
                "the row is there, but its history says that it was deleted",
                "the row was changed around the audit",
            ]
        );
        let changed = found
            .iter()
            .find(|finding| finding["what"] == "the row was changed around the audit");
        let fields = changed.unwrap()["fields"].as_array().unwrap();
        assert!(fields.iter().any(|field| field["history"] != field["row"]));
        assert!(
            changed.unwrap()["entry"]
                .as_str()
                .unwrap()
                .starts_with("samples/")
        );

        // The guard is made anew, and the check is content.
        database.audit(&["samples"]);
        if engine == super::database::Engine::Postgres {
            database.sql("ALTER TABLE samples ENABLE TRIGGER ALL");
        }
        database.check();
    }
}

/// Entries that are missing are told, wherever in a history they were.
#[test]
fn gaps_are_found() {
    for engine in ENGINES {
        let database = Database::with_samples(engine);
        database.sql("INSERT INTO samples (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')");
        database.sql("UPDATE samples SET note = 'x'");
        database.sql("DELETE FROM samples WHERE id = 2");
        database.sql("INSERT INTO samples (id, name) VALUES (2, 'b again')");
        database.koherent(&["reconcile"]).ok();
        let unprotect = engine.pick(
            "DROP TRIGGER koherent_append_only_samples_history_delete",
            "DROP TRIGGER koherent_append_only ON samples_history",
            "DROP TRIGGER koherent_append_only_samples_history_delete",
        );
        database.sql(unprotect);
        let check = database.koherent(&["check", "--format", "table"]);
        assert_eq!(check.code, 1);
        assert!(
            check
                .out
                .contains("the table `samples_history` is not guarded"),
            "{check:?}"
        );
        // The create of one row, and the delete of another.
        database.sql("DELETE FROM samples_history WHERE id = 1 AND history_kind = '+'");
        database.sql("DELETE FROM samples_history WHERE id = 2 AND history_kind = '-'");
        let found = database.koherent(&["reconcile"]).json();
        let keys: Vec<_> = found
            .iter()
            .map(|finding| finding["key"][0].as_str().unwrap())
            .collect();
        assert_eq!(keys, ["1", "2"], "{found:?}");
        for finding in &found {
            assert_eq!(
                finding["what"],
                "the entry does not follow from the one before: entries are missing"
            );
        }
    }
}
