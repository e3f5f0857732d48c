//! `log`, `show`, `tasks`, `task`, `baseline` and `prune`.

use serde_json::Value;

use super::database::{Database, ENGINES, Engine};

/// Entries of a person, of an agent under tasks, and of nobody.
fn told(engine: Engine) -> Database {
    let database = Database::with_samples(engine);
    database.sql_as(
        "ann",
        None,
        "INSERT INTO samples (id, name) VALUES (1, 'liver'), (2, 'heart')",
    );
    database.sql_as(
        "agent-7",
        Some(("root", None, "root")),
        "UPDATE samples SET note = 'stained' WHERE id = 1",
    );
    database.sql_as(
        "agent-8",
        Some(("child", Some("root"), "root")),
        "UPDATE samples SET note = '=1+1' WHERE id = 2",
    );
    database.sql_as(
        "agent-9",
        Some(("leaf", Some("child"), "root")),
        "DELETE FROM samples WHERE id = 2",
    );
    database.sql_as(
        "agent-9",
        Some(("orphan", Some("elsewhere"), "root")),
        "INSERT INTO samples (id, name) VALUES (3, 'lung')",
    );
    database.sql("UPDATE samples SET name = 'hepar' WHERE id = 1");
    database
}

fn names(entries: &[Value]) -> Vec<&str> {
    entries
        .iter()
        .map(|entry| entry["entry"].as_str().unwrap())
        .collect()
}

#[test]
fn log_lists_entries_newest_first_and_filters_them() {
    for engine in ENGINES {
        let database = told(engine);
        let log = |arguments: &[&str]| database.koherent(&[&["log"], arguments].concat()).json();
        let all = log(&[]);
        assert_eq!(all.len(), 7);
        let kinds: Vec<_> = all
            .iter()
            .map(|entry| entry["kind"].as_str().unwrap())
            .collect();
        assert_eq!(
            kinds,
            [
                "update", "create", "delete", "update", "update", "create", "create"
            ]
        );
        let newest = &all[0];
        assert_eq!(newest["key"], serde_json::json!(["1"]));
        assert_eq!(newest["captured"], "UPDATE");
        assert_eq!(newest["task"], Value::Null);
        assert_eq!(
            newest["changes"],
            serde_json::json!([{"field": "name", "old": "liver", "new": "hepar"}])
        );
        assert_eq!(all[2]["changes"].as_array().unwrap().len(), 3, "{}", all[2]);
        assert!(all[2]["date"].as_str().unwrap().ends_with('Z'));

        assert_eq!(log(&["--user", "ann"]).len(), 2);
        assert_eq!(log(&["--task", "child"]).len(), 1);
        assert_eq!(log(&["--table", "samples", "--key", "1"]).len(), 3);
        assert_eq!(log(&["--since", "1h"]).len(), 7);
        assert_eq!(log(&["--until", "1h"]).len(), 0);
        assert_eq!(
            log(&["--since", "2000-01-01", "--until", "2100-01-01T00:00:00Z"]).len(),
            7
        );
        assert_eq!(names(&log(&["-n", "2"])), names(&all[..2]));
        assert_eq!(log(&["--table", "samples", "--key", "77"]).len(), 0);

        let lines = database.koherent(&["log", "--format", "jsonl"]).ok();
        assert_eq!(lines.lines().count(), 7);
        for line in lines.lines() {
            let _: Value = serde_json::from_str(line).unwrap();
        }
        let csv = database
            .koherent(&["log", "--format", "csv", "--task", "root"])
            .ok();
        let (header, line) = csv.trim_end().split_once('\n').unwrap();
        assert_eq!(
            header,
            "entry,table,key,kind,date,user,client,organization,task,transaction,reason,captured,changes"
        );
        assert!(line.contains(",samples,1,update,"), "{line}");
        assert!(line.contains(",agent-7,lab-ui,bio,root,"), "{line}");
        let table = database
            .koherent_with(&["log", "--format", "table"], &[("COLUMNS", "140")])
            .ok();
        assert!(table.contains("note: null → stained"), "{table}");
        assert!(table.contains("agent-7 (captured)"), "{table}");
        assert!(!table.contains('\u{1b}'), "no colours in a pipe");
    }
}

#[test]
fn spreadsheets_take_nothing_for_a_formula() {
    let database = Database::with_samples(Engine::Sqlite);
    database.sql_as(
        "=cmd()",
        None,
        "INSERT INTO samples (id, name) VALUES (1, 'liver')",
    );
    let csv = database.koherent(&["log", "--format", "csv"]).ok();
    assert!(csv.contains(",'=cmd(),"), "{csv}");
}

/// More entries than are read at once, with dates in common: each is there once, in order.
#[test]
fn log_goes_on_behind_a_page() {
    for engine in ENGINES {
        let database = Database::with_samples(engine);
        let rows: Vec<_> = (0..1300).map(|id| format!("({id}, 'n{id}')")).collect();
        database.sql(&format!(
            "INSERT INTO samples (id, name) VALUES {}",
            rows.join(", ")
        ));
        let entries = database.koherent(&["log"]).json();
        assert_eq!(entries.len(), 1300);
        let mut ids: Vec<_> = entries
            .iter()
            .map(|entry| entry["id"].as_i64().unwrap())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 1300);
        assert_eq!(database.koherent(&["log", "-n", "700"]).json().len(), 700);
    }
}

#[test]
fn show_tells_an_entry_whole() {
    for engine in ENGINES {
        let database = told(engine);
        let entry = database.koherent(&["log", "--task", "root"]).json();
        let name = entry[0]["entry"].as_str().unwrap();
        let shown = database.koherent(&["show", name, "--format", "table"]).ok();
        for part in [
            "update of 1",
            "user: agent-7",
            "organization: bio",
            "task: root",
            "\"captured\":",
            "stained",
            "liver",
        ] {
            assert!(
                shown.replace("\": ", "\":").contains(part),
                "{part}: {shown}"
            );
        }
        let json: Value = serde_json::from_str(&database.koherent(&["show", name]).ok()).unwrap();
        assert_eq!(
            json["row"],
            serde_json::json!({"id": "1", "name": "liver", "note": "stained"})
        );
        assert_eq!(
            database.koherent(&["show", "samples/999"]).failure(),
            "there is no entry `samples/999`: `koherent log` lists those that are there"
        );
        assert_eq!(
            database.koherent(&["show", "samples"]).failure(),
            "`samples` is no entry: it is TABLE/ID, as `koherent log` lists it"
        );
    }
}

#[test]
fn tasks_and_their_trees() {
    for engine in ENGINES {
        let database = told(engine);
        let tasks = database.koherent(&["tasks"]).json();
        let ids: Vec<_> = tasks
            .iter()
            .map(|task| task["task_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["orphan", "leaf", "child", "root"]);
        assert_eq!(
            tasks[3]["entries"],
            serde_json::json!({"samples": {"update": 1}})
        );
        assert_eq!(tasks[3]["agent_sub"], "agent-7");
        assert_eq!(database.koherent(&["tasks", "-n", "1"]).json().len(), 1);
        let tree = database.koherent(&["task", "child"]).ok();
        let (_, drawn) = tree.split_once("\n\n").unwrap();
        assert_eq!(
            drawn,
            "root  agent-7 via robot  samples ~1\n\
             └── child  agent-8 via robot  samples ~1 ←\n    \
             └── leaf  agent-9 via robot  samples -1\n\
             elsewhere  (changed nothing here)\n\
             └── orphan  agent-9 via robot  samples +1\n"
        );
        assert!(tree.contains("parent_task_id: root\n"), "{tree}");
        let json = database
            .koherent(&["task", "leaf", "--format", "json"])
            .json();
        assert_eq!(json.len(), 4);
        assert_eq!(
            database.koherent(&["task", "nobody"]).failure(),
            "there is no task `nobody` in this database: `koherent tasks` lists those that changed something"
        );
    }
}

#[test]
fn baselines_write_what_is_missing_and_go_on_where_they_were() {
    for engine in ENGINES {
        let database = Database::new(engine);
        let text = engine.pick("TEXT", "text", "VARCHAR(40)");
        database.sql(&format!(
            "CREATE TABLE places (room {text} NOT NULL, shelf INT NOT NULL, content {text}, PRIMARY KEY (room, shelf))"
        ));
        let rows: Vec<_> = (0..250)
            .map(|n| format!("('room {}', {n}, 'it''s {n}')", n % 7))
            .collect();
        database.sql(&format!("INSERT INTO places VALUES {}", rows.join(", ")));
        database.audit(&["places", "--policy", "capture"]);
        // One row changes before: it has a history, which is no first entry.
        database.sql("UPDATE places SET content = 'seen' WHERE shelf = 3");
        let dry = database.koherent(&["baseline", "places", "--dry-run"]).ok();
        assert_eq!(dry, "249 rows of places without a history\n");
        let done = database
            .koherent(&["baseline", "places", "--batch", "40", "--user", "ann"])
            .ok();
        assert_eq!(done, "wrote the first entries of 249 rows of places\n");
        let again = database.koherent(&["baseline", "places"]).ok();
        assert_eq!(again, "nothing to do: each row of places has a history\n");
        // It is cut off, and goes on: some entries are there already.
        let rows: Vec<_> = (250..300)
            .map(|n| format!("('room x', {n}, NULL)"))
            .collect();
        let pause = engine.pick(
            "BEGIN IMMEDIATE; INSERT INTO koherent_pause (operation_reason) VALUES ('import'); INSERT INTO places VALUES {}; DELETE FROM koherent_pause; COMMIT",
            "BEGIN; SELECT koherent_pause('import'); INSERT INTO places VALUES {}; COMMIT",
            "CALL koherent_begin_pause('import'); INSERT INTO places VALUES {}; CALL koherent_end_pause()",
        );
        database.sql(&pause.replace("{}", &rows.join(", ")));
        assert_eq!(
            database.koherent(&["baseline", "places"]).ok(),
            "wrote the first entries of 50 rows of places\n"
        );
        let said = database.koherent(&["reconcile", "--format", "json"]);
        // The row that changed before has an update as its first entry.
        let found = said.json();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            found[0]["what"],
            "the entry does not follow from the one before: entries are missing"
        );
        let entries = database.koherent(&["log", "--user", "ann"]).json();
        assert_eq!(entries.len(), 249);
        assert_eq!(entries[0]["kind"], "create");
        assert_eq!(entries[0]["context"]["system"], "koherent baseline");
        let operations = "SELECT CAST(CONCAT(operation, ' ', tracked_table, ' ', created_rows) AS CHAR(60)) AS t FROM koherent_operation WHERE created_rows > 0 ORDER BY operation_id";
        let operations = engine.pick(
            "SELECT operation || ' ' || tracked_table || ' ' || created_rows AS t FROM koherent_operation WHERE created_rows > 0 ORDER BY operation_id",
            "SELECT concat(operation, ' ', tracked_table, ' ', created_rows) AS t FROM koherent_operation WHERE created_rows > 0 ORDER BY operation_id",
            operations,
        );
        assert_eq!(
            database.texts(operations),
            [
                "baseline places 249",
                "pause places 50",
                "baseline places 50"
            ]
        );
    }
}

#[test]
fn prune_deletes_what_is_old_and_keeps_the_last() {
    for engine in ENGINES {
        let database = Database::with_samples(engine);
        let rows: Vec<_> = (0..30).map(|id| format!("({id}, 'n{id}')")).collect();
        database.sql(&format!(
            "INSERT INTO samples (id, name) VALUES {}",
            rows.join(", ")
        ));
        for round in 0..4 {
            database.sql(&format!("UPDATE samples SET note = 'round {round}'"));
        }
        database.sql("DELETE FROM samples WHERE id >= 20");
        let prune = |arguments: &[&str]| database.koherent(&[&["prune"], arguments].concat()).ok();
        assert_eq!(prune(&["--before", "1h"]), "deleted 0 entries of samples\n");
        // 20 rows of 5 entries, 10 of 6.
        assert_eq!(
            prune(&[
                "samples",
                "--before",
                "2100-01-01",
                "--keep-last",
                "3",
                "--dry-run"
            ]),
            "would delete 70 entries of samples\n"
        );
        assert_eq!(
            prune(&[
                "samples",
                "--before",
                "2100-01-01",
                "--keep-last",
                "3",
                "--batch",
                "16",
                "--reason",
                "policy 7"
            ]),
            "deleted 70 entries of samples\n"
        );
        assert_eq!(
            prune(&["--before", "2100-01-01", "--keep-last", "3"]),
            "deleted 0 entries of samples\n"
        );
        assert_eq!(database.koherent(&["log"]).json().len(), 90);
        for key in ["1", "25"] {
            assert_eq!(
                database
                    .koherent(&["log", "--table", "samples", "--key", key])
                    .json()
                    .len(),
                3
            );
        }
        // What is left is consistent, and what was done is recorded.
        database.koherent(&["reconcile"]).ok();
        let operations = engine.pick(
            "SELECT operation || ' ' || operation_reason || ' ' || deleted_rows AS t FROM koherent_operation",
            "SELECT concat(operation, ' ', operation_reason, ' ', deleted_rows) AS t FROM koherent_operation",
            "SELECT CAST(CONCAT(operation, ' ', operation_reason, ' ', deleted_rows) AS CHAR(60)) AS t FROM koherent_operation",
        );
        assert_eq!(database.texts(operations), ["prune policy 7 70"]);
        // Nothing else deletes.
        let refused = database.try_sql("DELETE FROM samples_history").unwrap_err();
        assert!(
            refused.contains("DELETE of samples_history refused: rows are only added here"),
            "{refused}"
        );
    }
}
