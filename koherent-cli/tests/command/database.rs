//! A database per test, and the command run against it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::Text;
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection};
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncMysqlConnection, AsyncPgConnection};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
    MariaDb,
}

pub const ENGINES: [Engine; 3] = [Engine::Sqlite, Engine::Postgres, Engine::MariaDb];

impl Engine {
    /// The one of three texts that is meant.
    pub fn pick<T>(self, sqlite: T, postgres: T, mariadb: T) -> T {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
            Self::MariaDb => mariadb,
        }
    }
}

pub struct Database {
    pub engine: Engine,
    pub url: String,
    pub folder: tempfile::TempDir,
}

/// What the command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        assert_eq!(self.err, "");
        self.out
    }

    /// The one line of a failure.
    #[track_caller]
    pub fn failure(self) -> String {
        assert_eq!(self.code, 2, "{self:?}");
        let line = self.err.strip_suffix('\n').unwrap_or_default();
        assert!(!line.contains('\n'), "{line}");
        let line = line
            .strip_prefix("koherent: ")
            .unwrap_or_else(|| panic!("{line}"));
        line.to_owned()
    }

    #[track_caller]
    pub fn json(self) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Database {
    /// An empty one, with Koherent's tables.
    pub fn new(engine: Engine) -> Self {
        let database = Self::bare(engine);
        database.koherent(&["setup"]).ok();
        database
    }

    pub fn bare(engine: Engine) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("command_{}_{next}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => {
                let file = folder.path().join("test.db");
                std::fs::File::create(&file).unwrap();
                format!("sqlite://{}", file.display())
            }
            Engine::Postgres | Engine::MariaDb => {
                let variable = engine.pick("", "KOHERENT_TEST_POSTGRES", "KOHERENT_TEST_MARIADB");
                let server = std::env::var(variable).unwrap_or_else(|_| {
                    panic!("{variable} is not set: run `cargo xtask test`, or keep `cargo xtask servers` running and set what it prints")
                });
                let here = Self {
                    engine,
                    url: server.clone(),
                    folder: tempfile::tempdir().unwrap(),
                };
                here.sql(&format!("CREATE DATABASE {name}"));
                let (place, options) = match server.split_once('?') {
                    Some((place, options)) => (place, format!("?{options}")),
                    None => (server.as_str(), String::new()),
                };
                let (host, _) = place.rsplit_once('/').unwrap();
                format!("{host}/{name}{options}")
            }
        };
        Self {
            engine,
            url,
            folder,
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn koherent(&self, arguments: &[&str]) -> Said {
        self.koherent_with(arguments, &[])
    }

    pub fn koherent_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_koherent"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env("DATABASE_URL", &self.url)
            .env_remove("NO_COLOR");
        for (name, value) in environment {
            command.env(name, value);
        }
        let done = command.output().unwrap();
        Said {
            code: done.status.code().unwrap(),
            out: String::from_utf8(done.stdout).unwrap(),
            err: String::from_utf8(done.stderr).unwrap(),
        }
    }

    /// Runs statements; says what the database says where they fail.
    pub fn try_sql(&self, sql: &str) -> Result<(), String> {
        let done = match self.engine {
            Engine::Sqlite => {
                let file = self.url.strip_prefix("sqlite://").unwrap();
                let mut connection = SqliteConnection::establish(file).unwrap();
                connection
                    .batch_execute("PRAGMA foreign_keys = ON")
                    .unwrap();
                connection.batch_execute(sql)
            }
            Engine::Postgres => AsyncConnectionWrapper::<AsyncPgConnection>::establish(&self.url)
                .unwrap()
                .batch_execute(sql),
            Engine::MariaDb => AsyncConnectionWrapper::<AsyncMysqlConnection>::establish(&self.url)
                .unwrap()
                .batch_execute(sql),
        };
        done.map_err(|error| error.to_string())
    }

    #[track_caller]
    pub fn sql(&self, sql: &str) {
        if let Err(error) = self.try_sql(sql) {
            panic!("{sql}\n{error}");
        }
    }

    /// Reads a column of texts, called `t`.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Line {
            #[diesel(sql_type = Text)]
            t: String,
        }
        let query = diesel::sql_query(sql);
        let lines: Vec<Line> = match self.engine {
            Engine::Sqlite => {
                let file = self.url.strip_prefix("sqlite://").unwrap();
                query.load(&mut SqliteConnection::establish(file).unwrap())
            }
            Engine::Postgres => query.load(
                &mut AsyncConnectionWrapper::<AsyncPgConnection>::establish(&self.url).unwrap(),
            ),
            Engine::MariaDb => query.load(
                &mut AsyncConnectionWrapper::<AsyncMysqlConnection>::establish(&self.url).unwrap(),
            ),
        }
        .unwrap();
        lines.into_iter().map(|line| line.t).collect()
    }

    /// Generates a migration; its folder, and what was said.
    #[track_caller]
    pub fn generate(&self, arguments: &[&str]) -> (PathBuf, String) {
        let arguments = [&["migration", "generate"], arguments].concat();
        let said = self.koherent(&arguments).ok();
        let folder = said.lines().find_map(|line| line.strip_prefix("wrote "));
        let folder = folder.unwrap_or_else(|| panic!("{said}"));
        (self.path().join(folder), said)
    }

    #[track_caller]
    pub fn up(&self, folder: &Path) {
        self.sql(&std::fs::read_to_string(folder.join("up.sql")).unwrap());
    }

    #[track_caller]
    pub fn down(&self, folder: &Path) {
        self.sql(&std::fs::read_to_string(folder.join("down.sql")).unwrap());
    }

    /// Puts a table under audit.
    #[track_caller]
    pub fn audit(&self, arguments: &[&str]) {
        let (folder, _) = self.generate(arguments);
        self.up(&folder);
    }

    #[track_caller]
    pub fn check(&self) {
        let said = self.koherent(&["check", "--format", "table"]);
        assert!(said.out.starts_with("no differences: "), "{said:?}");
        assert_eq!(said.code, 0);
    }
}

impl Database {
    /// Samples whose guard captures, and their history.
    pub fn with_samples(engine: Engine) -> Self {
        let database = Self::new(engine);
        database.sql(engine.pick(
            "CREATE TABLE samples (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, note TEXT)",
            "CREATE TABLE samples (id bigint PRIMARY KEY, name text NOT NULL UNIQUE, note text)",
            "CREATE TABLE samples (id BIGINT PRIMARY KEY, name VARCHAR(50) NOT NULL UNIQUE, note TEXT)",
        ));
        database.audit(&["samples", "--policy", "capture"]);
        database
    }

    /// Runs statements in a transaction that says whose it is.
    #[track_caller]
    pub fn sql_as(&self, user: &str, task: Option<(&str, Option<&str>, &str)>, sql: &str) {
        let mut said = serde_json::json!({"user": user, "client": "lab-ui", "organization": "bio"});
        if let Some((task, parent, root)) = task {
            said["task"] = task.into();
            let token = format!("token-{task}");
            said["task_row"] = serde_json::json!([
                task, parent, root, "ann", "ann", user, "robot", "rekuest", token, "hash",
                "sha-256", "bio"
            ]);
        }
        self.sql(&self.engine.pick(
            format!("BEGIN IMMEDIATE; UPDATE koherent_session SET attribution = '{said}'; {sql}; UPDATE koherent_session SET attribution = NULL; COMMIT"),
            format!("BEGIN; SELECT set_config('koherent.attribution', '{said}', true); {sql}; COMMIT"),
            format!("SET @koherent_attribution = '{said}'; START TRANSACTION; {sql}; COMMIT"),
        ));
    }
}
