//! A database of whichever engine. Everything is read as text: one JSON array per row, made by the database.

mod describe;

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{Binary, Text};
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection};
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{
    AsyncConnection as _, AsyncMysqlConnection, AsyncPgConnection, SimpleAsyncConnection as _,
};
use koherent_diesel::__private::OwnObject;
use koherent_diesel::{Difference, Guard, Policy, TrackedTable};
use tokio::runtime::Runtime;

pub(crate) use describe::{Column, Table, candidates, describe};

use crate::failure::{Failure, Result};
use crate::setup::{Record, migrate, migrations};

/// The values of a row.
pub(crate) type Row = Vec<Option<String>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
    Mysql,
}

pub(crate) struct Database {
    connection: Connection,
    runtime: Runtime,
}

enum Connection {
    Sqlite(SqliteConnection),
    Postgres(Box<AsyncPgConnection>),
    Mysql(AsyncMysqlConnection),
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// The same, where the database has texts that are none.
#[derive(QueryableByName)]
struct Bytes {
    #[diesel(sql_type = Binary)]
    line: Vec<u8>,
}

impl Database {
    /// Connects to `sqlite://FILE` (or a plain path), `postgres://…` or `mysql://…`.
    pub(crate) fn connect(url: &str) -> Result<Self> {
        // What drivers do behind the scenes goes on while nobody waits for them.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let failed = |error: diesel::ConnectionError| {
            Failure::new(format!(
                "cannot connect to {}: {error}; is the server running, and is --database-url (or DATABASE_URL) right?",
                without_password(url),
            ))
        };
        let connection = match url.split_once(':') {
            Some(("postgres" | "postgresql", _)) => {
                let connected = runtime.block_on(AsyncPgConnection::establish(url));
                Connection::Postgres(Box::new(connected.map_err(failed)?))
            }
            Some(("mysql" | "mariadb", rest)) => {
                let url = format!("mysql:{rest}");
                let connected = runtime.block_on(AsyncMysqlConnection::establish(&url));
                Connection::Mysql(connected.map_err(failed)?)
            }
            Some((scheme, rest)) if scheme != "sqlite" && rest.starts_with("//") => {
                return Err(Failure::new(format!(
                    "--database-url has the scheme `{scheme}`: it is `sqlite://FILE` (or a path), `postgres://…` or `mysql://…`"
                )));
            }
            _ => {
                let path = url.strip_prefix("sqlite:").unwrap_or(url);
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() {
                    return Err(Failure::new(
                        "--database-url (or DATABASE_URL) is empty: it is sqlite://FILE, postgres://… or mysql://…",
                    ));
                }
                if path == ":memory:" {
                    return Err(Failure::new(
                        "a database in memory is gone with its program: give a file with --database-url",
                    ));
                }
                let shown = if path.contains("password") {
                    "…"
                } else {
                    path
                };
                if !std::path::Path::new(path).is_file() {
                    return Err(Failure::new(format!(
                        "there is no database `{shown}`: set --database-url (or DATABASE_URL) to one, or run the application's migrations first"
                    )));
                }
                let mut connection = SqliteConnection::establish(path).map_err(failed)?;
                connection
                    .batch_execute("PRAGMA busy_timeout = 60000; PRAGMA foreign_keys = ON")?;
                Connection::Sqlite(connection)
            }
        };
        let mut database = Self {
            connection,
            runtime,
        };
        match database.engine() {
            Engine::Sqlite => {}
            // Values are shown alike, whatever the settings of the database and of the role are.
            Engine::Postgres => database.batch(
                "SET standard_conforming_strings = on; SET extra_float_digits = 1; SET datestyle = 'ISO, MDY'; \
                 SET intervalstyle = 'postgres'; SET bytea_output = 'hex'; SET timezone = 'UTC'; SET lc_monetary = 'C'; \
                 SET xmlbinary = 'base64'; SET quote_all_identifiers = off",
            )?,
            Engine::Mysql => database.batch("SET NAMES utf8mb4, time_zone = '+00:00'")?,
        }
        Ok(database)
    }

    pub(crate) const fn engine(&self) -> Engine {
        match self.connection {
            Connection::Sqlite(_) => Engine::Sqlite,
            Connection::Postgres(_) => Engine::Postgres,
            Connection::Mysql(_) => Engine::Mysql,
        }
    }

    /// Runs statements.
    pub(crate) fn batch(&mut self, sql: &str) -> Result<()> {
        match &mut self.connection {
            Connection::Sqlite(connection) => connection.batch_execute(sql)?,
            Connection::Postgres(connection) => {
                self.runtime.block_on(connection.batch_execute(sql))?;
            }
            Connection::Mysql(connection) => {
                self.runtime.block_on(connection.batch_execute(sql))?
            }
        }
        Ok(())
    }

    /// Runs a statement, and says how many rows it touched.
    pub(crate) fn execute(&mut self, sql: &str) -> Result<u64> {
        let query = diesel::sql_query(sql);
        let touched = match &mut self.connection {
            Connection::Sqlite(connection) => query.execute(connection)?,
            Connection::Postgres(connection) => self
                .runtime
                .block_on(diesel_async::RunQueryDsl::execute(query, &mut **connection))?,
            Connection::Mysql(connection) => self
                .runtime
                .block_on(diesel_async::RunQueryDsl::execute(query, connection))?,
        };
        Ok(touched as u64)
    }

    /// Reads rows: `SELECT values rest`. Each value is an expression of text, or a number.
    pub(crate) fn rows(&mut self, values: &[String], rest: &str) -> Result<Vec<Row>> {
        let each = |wrap: fn(&String) -> String, between: &str| {
            values.iter().map(wrap).collect::<Vec<_>>().join(between)
        };
        // Functions take a hundred values or so, and a row may have more.
        let line = match self.engine() {
            Engine::Sqlite => format!(
                "CAST('[' || {} || ']' AS BLOB)",
                each(|value| format!("json_quote({value})"), " || ',' || ")
            ),
            Engine::Postgres => format!(
                "array_to_json(ARRAY[{}])::text",
                each(|value| format!("({value})::text"), ", ")
            ),
            Engine::Mysql => format!("CAST(JSON_ARRAY({}) AS CHAR)", values.join(", ")),
        };
        let sql = format!("SELECT {line} AS line {rest}");
        let query = diesel::sql_query(sql);
        let lines: Vec<Line> = match &mut self.connection {
            Connection::Sqlite(connection) => {
                let lines: Vec<Bytes> = query.load(connection)?;
                lines
                    .iter()
                    .map(|line| Line {
                        line: String::from_utf8_lossy(&line.line).into_owned(),
                    })
                    .collect()
            }
            Connection::Postgres(connection) => self
                .runtime
                .block_on(diesel_async::RunQueryDsl::load(query, &mut **connection))?,
            Connection::Mysql(connection) => self
                .runtime
                .block_on(diesel_async::RunQueryDsl::load(query, connection))?,
        };
        lines.iter().map(|line| read(&line.line)).collect()
    }

    /// Reads one number.
    pub(crate) fn number(&mut self, expression: &str, rest: &str) -> Result<u64> {
        let rows = self.rows(&[expression.to_owned()], rest)?;
        let number = rows.into_iter().flatten().flatten().next();
        Ok(number
            .and_then(|number| number.parse().ok())
            .unwrap_or_default())
    }

    /// One transaction, which on SQLite holds the write lock.
    pub(crate) fn transaction<T>(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.batch(match self.engine() {
            Engine::Sqlite => "BEGIN IMMEDIATE",
            Engine::Postgres => "BEGIN",
            Engine::Mysql => "START TRANSACTION",
        })?;
        match body(self) {
            Ok(value) => {
                self.batch("COMMIT")?;
                Ok(value)
            }
            Err(failure) => {
                // The first failure says what happened.
                let _ = self.batch("ROLLBACK");
                Err(failure)
            }
        }
    }

    /// The same, and again where others were in the way.
    pub(crate) fn transaction_with_retry<T>(
        &mut self,
        mut body: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        const ATTEMPTS: u32 = 20;
        for _ in 1..ATTEMPTS {
            match self.transaction(&mut body) {
                Err(failure) if failure.is_retryable => {}
                result => return result,
            }
        }
        self.transaction(&mut body).map_err(|failure| {
            Failure::new(format!(
                "{failure}: another session is in the way; run it again, it goes on where it was"
            ))
        })
    }

    /// Runs statements in a transaction that is rolled back.
    pub(crate) fn rolled_back(&mut self, sql: &str) -> Result<()> {
        self.batch("BEGIN")?;
        let done = self.batch(sql);
        self.batch("ROLLBACK")?;
        done
    }

    /// Runs Koherent's own migrations that have not run, and says which.
    pub(crate) fn set_up(self, record: &Record) -> Result<Vec<String>> {
        match self.connection {
            Connection::Sqlite(connection) => migrate(connection, record),
            Connection::Postgres(connection) => {
                let connection = AsyncConnectionWrapper::<AsyncPgConnection>::from(*connection);
                tokio::task::block_in_place(|| migrate(connection, record))
            }
            Connection::Mysql(connection) => {
                let connection = AsyncConnectionWrapper::<AsyncMysqlConnection>::from(connection);
                tokio::task::block_in_place(|| migrate(connection, record))
            }
        }
    }

    /// Compares these tables with the database.
    pub(crate) fn check(&mut self, tables: Vec<&'static TrackedTable>) -> Result<Vec<Difference>> {
        let differences = match &mut self.connection {
            Connection::Sqlite(connection) => koherent_diesel::check(connection, tables),
            Connection::Postgres(connection) => {
                let check = koherent_diesel::check(&mut **connection, tables);
                self.runtime.block_on(check)
            }
            Connection::Mysql(connection) => {
                let check = koherent_diesel::check(connection, tables);
                self.runtime.block_on(check)
            }
        };
        Ok(differences?)
    }
}

/// Reads a JSON array of texts, numbers and nulls.
fn read(line: &str) -> Result<Row> {
    let values: Vec<serde_json::Value> = serde_json::from_str(line)
        .map_err(|error| Failure::new(format!("the database returned no JSON: {error}")))?;
    let text = |value| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    Ok(values.into_iter().map(text).collect())
}

/// An address without its password, and without its options, which may hold one too.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "the database".to_owned();
    };
    let rest = rest.split('?').next().unwrap_or_default();
    match rest.rsplit_once('@') {
        Some((user, place)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{place}")
        }
        None => format!("{scheme}://{rest}"),
    }
}

/// Calls the library's engine of that kind.
macro_rules! on {
    ($engine:expr, $($call:tt)+) => {{
        use koherent_diesel::Engine as _;
        match $engine {
            Engine::Sqlite => diesel::sqlite::Sqlite::$($call)+,
            Engine::Postgres => diesel::pg::Pg::$($call)+,
            Engine::Mysql => diesel::mysql::Mysql::$($call)+,
        }
    }};
}

impl Engine {
    /// A name in quotes.
    pub(crate) fn quote(self, name: &str) -> String {
        match self {
            Self::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
            Self::Sqlite | Self::Mysql => format!("`{}`", name.replace('`', "``")),
        }
    }

    /// A table's name in quotes, with its schema.
    pub(crate) fn quote_table(self, schema: Option<&str>, table: &str) -> String {
        match schema {
            Some(schema) => format!("{}.{}", self.quote(schema), self.quote(table)),
            None => self.quote(table),
        }
    }

    /// A text as a literal.
    pub(crate) fn literal(self, text: &str) -> String {
        on!(self, literal(text))
    }

    /// A text or NULL as a literal.
    pub(crate) fn literal_or_null(self, text: Option<&str>) -> String {
        text.map_or_else(|| "NULL".to_owned(), |text| self.literal(text))
    }

    /// The present time, as an expression.
    pub(crate) const fn now(self) -> &'static str {
        on!(self, NOW)
    }

    /// A date column as text of RFC 3339.
    pub(crate) fn date(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("replace(replace({column}, ' ', 'T'), '+00:00', 'Z')"),
            Self::Postgres => {
                format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
            }
            Self::Mysql => format!("DATE_FORMAT({column}, '%Y-%m-%dT%H:%i:%s.%fZ')"),
        }
    }

    /// A time as a literal that compares with a date column.
    pub(crate) fn date_literal(self, date: chrono::DateTime<chrono::Utc>) -> String {
        match self {
            Self::Sqlite => date.format("'%Y-%m-%d %H:%M:%S%.6f+00:00'").to_string(),
            Self::Postgres => date
                .format("'%Y-%m-%d %H:%M:%S%.6f+00:00'::timestamptz")
                .to_string(),
            Self::Mysql => date.format("'%Y-%m-%d %H:%M:%S%.6f'").to_string(),
        }
    }

    /// A column of Koherent's own as text.
    pub(crate) fn text(self, column: &str) -> String {
        match self {
            Self::Sqlite => column.to_owned(),
            Self::Postgres => format!("{column}::text"),
            Self::Mysql => format!("CAST({column} AS CHAR)"),
        }
    }

    pub(crate) fn history_ddl(self, table: &TrackedTable) -> String {
        on!(self, history_ddl(table))
    }

    pub(crate) fn drop_history_ddl(self, table: &TrackedTable) -> String {
        on!(self, drop_history_ddl(table))
    }

    pub(crate) fn guard_ddl(self, table: &TrackedTable, guard: &Guard) -> String {
        on!(self, guard_ddl(table, guard))
    }

    pub(crate) fn unguard_ddl(self, table: &TrackedTable) -> String {
        on!(self, unguard_ddl(table))
    }

    /// A name of a table or an index that the engine takes; of a longer one, the end is a checksum.
    pub(crate) fn bounded(self, name: &str) -> String {
        on!(self, bounded(name))
    }

    pub(crate) fn append_only_ddl(self, table: &TrackedTable) -> String {
        on!(self, append_only_ddl(table))
    }

    pub(crate) fn drop_append_only_ddl(self, table: &TrackedTable) -> String {
        on!(self, drop_append_only_ddl(table))
    }

    pub(crate) fn guard_parts(self, table: &TrackedTable, policy: Policy) -> Vec<String> {
        on!(self, guard_parts(table, policy))
    }

    pub(crate) fn append_only_parts(self, table: &TrackedTable) -> Vec<String> {
        on!(self, append_only_parts(table))
    }

    /// The versions of Koherent's own migrations.
    pub(crate) fn migration_versions(self) -> Result<Vec<String>> {
        fn versions<DB: koherent_diesel::Engine>() -> Result<Vec<String>> {
            let versions = migrations::<DB>()?.into_iter();
            Ok(versions
                .map(|migration| migration.name().version().to_string())
                .collect())
        }
        match self {
            Self::Sqlite => versions::<diesel::sqlite::Sqlite>(),
            Self::Postgres => versions::<diesel::pg::Pg>(),
            Self::Mysql => versions::<diesel::mysql::Mysql>(),
        }
    }

    /// What Koherent's own migrations create.
    pub(crate) fn objects(self) -> Vec<OwnObject> {
        on!(self, objects())
    }

    /// Whether a history column of one declared type stores values as a column of the other does.
    pub(crate) fn holds(self, base: &str, history: &str) -> bool {
        on!(self, holds(base, history))
    }
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn addresses_are_shown_without_their_passwords() {
        for (url, shown) in [
            (
                "postgres://ann:s3:c@ret@db:5432/lab",
                "postgres://ann@db:5432/lab",
            ),
            ("postgres://db/lab?password=s3cret", "postgres://db/lab"),
            ("mysql://ann@db/lab", "mysql://ann@db/lab"),
            ("mysql:ann:s3cret", "the database"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
