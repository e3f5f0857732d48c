//! Histories for Rust: the module that `koherent schema` writes compiles, fits the database, and grows with the number of tables.

use diesel::{Connection as _, SqliteConnection};
use diesel_async::{AsyncConnection, AsyncMysqlConnection, AsyncPgConnection};
use koherent_diesel::{Audited as _, check};

use super::database::{Database, ENGINES, Engine};
use super::generated::{koherent_schema, schema};

const SCHEMA: &str = include_str!("generated/schema.rs");
const MODULE: &str = include_str!("generated/koherent_schema.rs");

fn with_tables(engine: Engine) -> Database {
    let database = Database::new(engine);
    let text = engine.pick("TEXT", "text", "VARCHAR(40)");
    let quoted = engine.pick("`type`", "\"type\"", "`type`");
    database.sql(&format!(
        "CREATE TABLE samples (id INT NOT NULL PRIMARY KEY, name {text}, {quoted} {text}, code {text});
         CREATE TABLE tags (sample_id INT NOT NULL, label {text} NOT NULL, note {text}, PRIMARY KEY (sample_id, label))"
    ));
    database.audit(&["samples", "tags", "--exclude", "samples.code"]);
    print_schema(&database, SCHEMA);
    database
}

/// As `diesel print-schema` does.
fn print_schema(database: &Database, text: &str) {
    let folder = database.path().join("src");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("schema.rs"), text).unwrap();
}

#[test]
fn the_module_of_the_histories_compiles_and_fits_the_database() {
    for engine in ENGINES {
        let database = with_tables(engine);
        let file = database.path().join("koherent_schema.rs");
        let said = database
            .koherent(&[
                "schema",
                "--module",
                "crate::generated::schema",
                "--out",
                "koherent_schema.rs",
            ])
            .ok();
        assert_eq!(said, "wrote koherent_schema.rs\n");
        let written = std::fs::read_to_string(file).unwrap();
        // What is compiled here, but for its form.
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(bare(&written), bare(MODULE), "{written}");
        let tables = [
            schema::samples::table::tracked(),
            schema::tags::table::tracked(),
        ];
        let differences = match engine {
            Engine::Sqlite => {
                let file = database.url.strip_prefix("sqlite://").unwrap();
                check(&mut SqliteConnection::establish(file).unwrap(), tables).unwrap()
            }
            Engine::Postgres => tokio_run(async {
                let mut connection =
                    <AsyncPgConnection as AsyncConnection>::establish(&database.url)
                        .await
                        .unwrap();
                check(&mut connection, tables).await.unwrap()
            }),
            Engine::MariaDb => tokio_run(async {
                let mut connection =
                    <AsyncMysqlConnection as AsyncConnection>::establish(&database.url)
                        .await
                        .unwrap();
                check(&mut connection, tables).await.unwrap()
            }),
        };
        assert_eq!(differences, []);
    }
    let _ = koherent_schema::samples_history::table;
}

fn tokio_run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// What is compiled grows with the tables, not with their square.
#[test]
fn each_history_meets_its_table_alone() {
    let database = Database::new(Engine::Sqlite);
    let names: Vec<_> = (0..20).map(|at| format!("t{at}")).collect();
    for name in &names {
        database.sql(&format!("CREATE TABLE {name} (id INTEGER PRIMARY KEY)"));
    }
    database.audit(&["--all"]);
    let printed: String = names
        .iter()
        .map(|name| format!("diesel::table! {{ {name} (id) {{ id -> Integer, }} }}\n"))
        .collect();
    print_schema(&database, &printed);
    let module = database.koherent(&["schema"]).ok();
    let together = module
        .lines()
        .filter(|line| line.starts_with("diesel::allow_tables"));
    let named: usize = together.map(|line| line.split(',').count()).sum();
    assert_eq!(named, 2 * names.len());
}

/// What `diesel print-schema` prints of a database, with the filter of a `diesel.toml`: the tables, as Diesel's command finds
/// them.
fn printed(database: &Database) -> Vec<String> {
    let toml = std::fs::read_to_string(database.path().join("diesel.toml")).unwrap_or_default();
    let toml: toml_edit::DocumentMut = toml.parse().unwrap();
    let patterns = toml
        .get("print_schema")
        .and_then(|item| {
            item.get("filter")?
                .get("except_tables")?
                .as_array()
                .cloned()
        })
        .unwrap_or_default();
    let is_filtered = |name: &str| {
        patterns.iter().any(|pattern| {
            let pattern = pattern.as_str().unwrap();
            let (start, end) = (pattern.strip_prefix('^'), pattern.strip_suffix('$'));
            match (start, end) {
                (Some(_), Some(_)) => name == pattern.trim_matches(['^', '$']),
                (Some(start), None) => name.starts_with(start),
                (None, Some(end)) => name.ends_with(end),
                (None, None) => name.contains(pattern),
            }
        })
    };
    let tables = database.texts(database.engine.pick(
        "SELECT name AS t FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%' ORDER BY 1",
        "SELECT table_name::text AS t FROM information_schema.tables WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_%' ORDER BY 1",
        "SELECT CAST(table_name AS CHAR) AS t FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name NOT LIKE '\\_\\_%' ORDER BY 1",
    ));
    tables
        .into_iter()
        .filter(|name| !is_filtered(name))
        .collect()
}

#[test]
fn histories_and_koherents_own_tables_stay_out_of_the_printed_schema() {
    for engine in ENGINES {
        let database = with_tables(engine);
        assert!(
            printed(&database).len() > 4,
            "without the filter, they are there"
        );
        let configured =
            "[print_schema]\nfile = \"src/schema.rs\"\npatch_file = \"src/schema.patch\"\n";
        std::fs::write(database.path().join("diesel.toml"), configured).unwrap();
        assert_eq!(
            database.koherent(&["schema", "--diesel-toml"]).ok(),
            "wrote diesel.toml\n"
        );
        assert_eq!(
            printed(&database),
            ["samples", "tags"],
            "as before Koherent, so that the patch applies"
        );
        // A table of the application that is called like a history is printed.
        database.sql("CREATE TABLE chat_history (id INT NOT NULL PRIMARY KEY)");
        std::fs::write(database.path().join("diesel.toml"), configured).unwrap();
        database.koherent(&["schema", "--diesel-toml"]).ok();
        assert_eq!(printed(&database), ["chat_history", "samples", "tags"]);
    }
}

#[test]
fn a_schema_that_is_not_there_or_not_up_to_date_is_named() {
    let database = with_tables(Engine::Sqlite);
    print_schema(&database, &SCHEMA.replace("note -> Nullable<Text>,", ""));
    let said = database.koherent(&["schema"]).failure();
    assert!(
        said.contains(
            "src/schema.rs lacks the column `tags.note`: run `diesel print-schema` first"
        ),
        "{said}"
    );
    print_schema(&database, &SCHEMA.replace("samples (id)", "others (id)"));
    let said = database.koherent(&["schema"]).failure();
    assert!(said.contains("lacks the table `samples`"), "{said}");
    std::fs::remove_file(database.path().join("src/schema.rs")).unwrap();
    let said = database.koherent(&["schema"]).failure();
    assert!(said.contains("src/schema.rs cannot be read: "), "{said}");
}

/// Diesel's own command, where it is installed (`cargo install diesel_cli --no-default-features --features sqlite`), in the long run.
#[test]
#[expect(
    clippy::print_stderr,
    reason = "whoever asks for the long run is told what it lacks"
)]
fn diesels_own_command_prints_and_redoes_beside_koherent() {
    if std::env::var("KOHERENT_EFFORT").as_deref() != Ok("full") {
        return;
    }
    let database = with_tables(Engine::Sqlite);
    let diesel = |arguments: &[&str]| {
        let done = std::process::Command::new("diesel")
            .args(arguments)
            .current_dir(database.path())
            .env(
                "DATABASE_URL",
                database.url.strip_prefix("sqlite://").unwrap(),
            )
            .output();
        done.map(|done| {
            assert!(
                done.status.success(),
                "{arguments:?}: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            String::from_utf8(done.stdout).unwrap()
        })
    };
    if diesel(&["--version"]).is_err() {
        eprintln!("`diesel` is not on the PATH: what Diesel's own command does is not tried");
        return;
    }
    let database = Database::new(Engine::Sqlite);
    let first = database.path().join("migrations/2026-01-01-000000_samples");
    std::fs::create_dir_all(&first).unwrap();
    std::fs::write(
        first.join("up.sql"),
        "CREATE TABLE samples (id INTEGER PRIMARY KEY NOT NULL, name TEXT);",
    )
    .unwrap();
    std::fs::write(first.join("down.sql"), "DROP TABLE samples;").unwrap();
    std::fs::create_dir(database.path().join("src")).unwrap();
    let diesel = |arguments: &[&str]| {
        let done = std::process::Command::new("diesel")
            .args(arguments)
            .current_dir(database.path())
            .env(
                "DATABASE_URL",
                database.url.strip_prefix("sqlite://").unwrap(),
            )
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    };
    std::fs::write(
        database.path().join("diesel.toml"),
        "[print_schema]\nfile = \"src/schema.rs\"\n",
    )
    .unwrap();
    diesel(&["migration", "run"]);
    database.generate(&["samples"]);
    diesel(&["migration", "run"]);
    database.koherent(&["schema", "--diesel-toml"]).ok();
    diesel(&["migration", "redo"]);
    let printed = std::fs::read_to_string(database.path().join("src/schema.rs")).unwrap();
    assert!(
        printed.contains("samples (id)")
            && !printed.contains("_history")
            && !printed.contains("koherent"),
        "{printed}"
    );
    database.check();
}
