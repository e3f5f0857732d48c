//! Every failure is one line that says what to do, with exit code 2.

use super::database::{Database, ENGINES, Engine};

#[test]
fn failures_are_one_line_with_what_to_do() {
    let database = Database::bare(Engine::Sqlite);
    let without =
        |arguments: &[&str], url: &str| database.koherent_with(arguments, &[("DATABASE_URL", url)]);
    for (arguments, url, expected) in [
        (
            &["check"][..],
            "oracle://x",
            "--database-url has the scheme `oracle`: it is `sqlite://FILE` (or a path), `postgres://…` or `mysql://…`",
        ),
        (
            &["check"],
            "sqlite://nowhere.db",
            "there is no database `nowhere.db`: set --database-url (or DATABASE_URL) to one, or run the application's migrations first",
        ),
        (
            &["check"],
            "nowhere.db",
            "there is no database `nowhere.db`: set --database-url (or DATABASE_URL) to one, or run the application's migrations first",
        ),
    ] {
        assert_eq!(without(arguments, url).failure(), expected);
    }
    for url in [
        "postgres://ann:geheim@127.0.0.1:1/lab",
        "mysql://ann:geheim@127.0.0.1:1/lab",
    ] {
        let line = without(&["check"], url).failure();
        let shown = url.replace(":geheim", "");
        assert!(
            line.starts_with(&format!("cannot connect to {shown}: ")),
            "{line}"
        );
        assert!(
            line.ends_with("is the server running, and is --database-url (or DATABASE_URL) right?"),
            "{line}"
        );
        assert!(!line.contains("geheim"), "{line}");
    }
    let empty = database.koherent_with(&["check"], &[("DATABASE_URL", "")]);
    assert_eq!(empty.code, 2, "{empty:?}");

    for engine in ENGINES {
        let database = Database::bare(engine);
        for command in [
            &["check"][..],
            &["log"],
            &["reconcile"],
            &["tasks"],
            &["migration", "generate", "samples"],
        ] {
            assert_eq!(
                database.koherent(command).failure(),
                "Koherent's own tables are not in this database: run `koherent setup`, or `koherent_diesel::MIGRATIONS` in the application"
            );
        }
        assert_eq!(
            database.koherent(&["setup", "--dry-run"]).ok(),
            format!("would run the migrations {}\n", versions(engine))
        );
        let database = Database::new(engine);
        assert_eq!(
            database.koherent(&["setup"]).ok(),
            "nothing to do: Koherent's tables are there\n"
        );
        let text = engine.pick("TEXT", "text", "VARCHAR(40)");
        database.sql(&format!(
            "CREATE TABLE keyless (name {text}); CREATE TABLE samples (id INT NOT NULL PRIMARY KEY, name {text}, history_user {text});
             CREATE VIEW names AS SELECT name FROM samples;"
        ));
        let generate = |arguments: &[&str]| {
            database
                .koherent(&[&["migration", "generate"], arguments].concat())
                .failure()
        };
        assert_eq!(
            generate(&["nothing"]),
            "there is no table `nothing` in this database: run the migration that creates it first, or write its name as the database has it"
        );
        assert_eq!(
            generate(&["keyless"]),
            "the table `keyless` has no primary key: history is that of a key, so give it one first"
        );
        assert_eq!(
            generate(&["names"]),
            "`names` is not a table: give the table under it, views have no history of their own"
        );
        assert_eq!(
            generate(&["samples"]),
            "`samples.history_user` has the name of a column that each history has: rename it, or --exclude history_user"
        );
        assert_eq!(
            generate(&["samples", "--exclude", "id"]),
            "--exclude id: it is part of the key of `samples`, and history is that of a key"
        );
        assert_eq!(
            generate(&["samples", "--exclude", "colour"]),
            "--exclude: `samples` has no column `colour`, it has id, name, history_user; say TABLE.COLUMN for one of several tables"
        );
        assert_eq!(
            generate(&[]),
            "no table is under audit yet: name one, `koherent migration generate TABLE`, or take --all"
        );
        assert_eq!(
            database.koherent(&["check"]).failure(),
            "no table is under audit in this database: put one under audit with `koherent migration generate TABLE`, and run the migration"
        );
        database.audit(&["samples", "--exclude", "history_user"]);
        assert_eq!(
            database.koherent(&["log", "--table", "tags"]).failure(),
            "`tags` is not under audit (these are: samples): put it under audit with `koherent migration generate tags`, and run the migration"
        );
        let file = database.path().join("file");
        std::fs::write(&file, "").unwrap();
        database.sql(&format!(
            "CREATE TABLE tags (label {text} NOT NULL PRIMARY KEY)"
        ));
        let line = generate(&["tags", "--migration-dir", "file"]);
        assert!(line.starts_with("file/"), "{line}");
        assert!(
            line.ends_with("--migration-dir says where migrations are"),
            "{line}"
        );
        assert_eq!(
            generate(&["samples", "--rename", "name"]),
            "--rename name: it is OLD=NEW, or TABLE.OLD=NEW"
        );
        assert_eq!(
            generate(&["samples", "--rename", "colour=name"]),
            "--rename colour=name: the history of `samples` keeps no column `colour`"
        );
        database.audit(&["tags"]);
        let keys = database.koherent(&["log", "--table", "tags", "--key", "a,b"]);
        assert_eq!(
            keys.ok(),
            "[]\n",
            "a comma is part of the key of one column"
        );
        let misread = database.koherent(&["log", "--since", "soon"]);
        assert_eq!(misread.code, 2);
        assert!(misread.err.contains(
            "it is a date (2026-11-21), a time (2026-11-21T10:00:00Z) or an age (90m, 12h, 7d)"
        ));
    }
}

#[test]
fn lacking_rights_are_named() {
    let database = Database::with_samples(Engine::Postgres);
    database.sql("INSERT INTO samples (id, name) VALUES (1, 'a')");
    let role = format!("nobody_{}", std::process::id());
    database.sql(&format!("DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN; GRANT SELECT ON koherent_table, samples, koherent_operation TO {role}"));
    let url = database.url.replace("koherent@", &format!("{role}@"));
    assert_ne!(url, database.url);
    let said = database.koherent_with(
        &["prune", "--before", "2100-01-01"],
        &[("DATABASE_URL", &url)],
    );
    let line = said.failure();
    assert!(
        line.starts_with(
            "permission denied for table samples_history: the database user lacks the right"
        ),
        "{line}"
    );
    database.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));

    let database = Database::with_samples(Engine::MariaDb);
    let name = format!("nobody_{}", std::process::id());
    database.sql(&format!("CREATE OR REPLACE USER {name}@localhost; GRANT SELECT ON koherent_table TO {name}@localhost"));
    let url = database.url.replace("root@", &format!("{name}@"));
    let said = database.koherent_with(&["tasks"], &[("DATABASE_URL", &url)]);
    let line = said.failure();
    assert!(
        line.contains("command denied to user")
            && line.contains("the database user lacks the right"),
        "{line}"
    );
    database.sql(&format!("DROP USER {name}@localhost"));
}

#[test]
fn help_and_completions() {
    let database = Database::bare(Engine::Sqlite);
    let help = database.koherent(&["--help"]).ok();
    for command in [
        "setup",
        "migration",
        "check",
        "baseline",
        "log",
        "show",
        "tasks",
        "task",
        "reconcile",
        "prune",
        "grants",
        "completions",
    ] {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command}: {help}"
        );
        let help = database.koherent(&[command, "--help"]).ok();
        assert!(help.contains("Usage: koherent "), "{help}");
    }
    let script = database.koherent(&["completions", "bash"]).ok();
    assert!(script.contains("_koherent()"), "{script}");
}

/// The versions of all migrations of an engine, in their order.
fn versions(engine: Engine) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../koherent-diesel/migrations")
        .join(engine.pick("sqlite", "postgres", "mysql"));
    let mut versions: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let (version, _) = name.split_once('_').unwrap();
            version.replace('-', "")
        })
        .collect();
    versions.sort_unstable();
    versions.join(", ")
}
