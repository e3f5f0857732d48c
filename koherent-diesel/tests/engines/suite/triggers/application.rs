//! A random application: triggers that write to their own table and to another, and statements. Every table has a shadow with the
//! same triggers, which Koherent knows nothing of.

use std::fmt::Write as _;

/// How an engine writes triggers, and what they can do there.
#[allow(
    dead_code,
    reason = "each engine has this module as its own, and is one of them"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
    MariaDb,
}

/// What the tables begin with: those under audit, and their shadows.
pub const PREFIXES: [&str; 2] = ["", "shadow_"];

/// The tables.
pub fn tables() -> String {
    let mut ddl = String::new();
    for prefix in PREFIXES {
        let _ = write!(
            ddl,
            "CREATE TABLE {prefix}docs (id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL, slug VARCHAR(100), n BIGINT NOT NULL DEFAULT 0); \
             CREATE TABLE {prefix}tallies (id BIGINT PRIMARY KEY, n BIGINT NOT NULL); "
        );
    }
    ddl
}

/// A trigger of the application.
#[derive(Debug, Clone)]
pub struct Trigger {
    pub name: String,
    pub table: String,
    pub before: bool,
    /// `INSERT`, `UPDATE` or `DELETE`; an update of the name, where the engine can say that.
    pub event: &'static str,
    /// Once for the statement, rather than for each row.
    pub per_statement: bool,
    /// A statement, with `NEW` or `OLD` for the row.
    pub body: String,
}

impl Trigger {
    /// The statements that make it.
    pub fn ddl(&self, dialect: Dialect) -> String {
        let Self {
            name, table, body, ..
        } = self;
        let when = if self.before { "BEFORE" } else { "AFTER" };
        let of_name = match self.event {
            "UPDATE" => "UPDATE OF name",
            event => event,
        };
        match dialect {
            Dialect::Sqlite => {
                format!("CREATE TRIGGER {name} {when} {of_name} ON {table} BEGIN {body}; END")
            }
            Dialect::MariaDb => format!(
                "CREATE TRIGGER {name} {when} {} ON {table} FOR EACH ROW {body}",
                self.event
            ),
            Dialect::Postgres => {
                let each = if self.per_statement {
                    "STATEMENT"
                } else {
                    "ROW"
                };
                let result = match (self.before && !self.per_statement, self.event) {
                    (false, _) => "NULL",
                    (true, "DELETE") => "OLD",
                    (true, _) => "NEW",
                };
                format!(
                    "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN {result}; END $$; \
                     CREATE TRIGGER {name} {when} {of_name} ON {table} FOR EACH {each} EXECUTE FUNCTION {name}()"
                )
            }
        }
    }
}

/// Triggers and their shadows, and whether what they do depends on the order in which a statement takes its rows.
pub fn triggers(random: &mut fastrand::Rng, dialect: Dialect) -> (Vec<[Trigger; 2]>, bool) {
    let mut ordered = false;
    let triggers = (0..random.usize(1..4)).map(|at| {
        let event = ["INSERT", "UPDATE", "DELETE"][random.usize(0..3)];
        let mut before = random.u8(0..4) == 0;
        let per_statement = dialect == Dialect::Postgres && random.u8(0..5) == 0;
        if per_statement && event == "UPDATE" {
            // Whoever changes a row before the statement that is about to change it fails it: no application does.
            before = false;
        }
        let seed = random.u64(..);
        let body_of = |prefix: &str| match per_statement {
            true => (1, format!("UPDATE {prefix}docs SET n = n + 1 WHERE id = 2")),
            false => body(&mut fastrand::Rng::with_seed(seed), event, prefix, dialect),
        };
        ordered |= before || matches!(body_of("").0, 2..=4);
        let letter = ["a", "z"][random.usize(0..2)];
        PREFIXES.map(|prefix| Trigger {
            name: format!("{letter}_{prefix}{at}"),
            table: format!("{prefix}docs"),
            before,
            event,
            per_statement,
            body: body_of(prefix).1,
        })
    });
    let triggers = triggers.collect();
    (triggers, ordered)
}

/// What a trigger does to other rows, to its own, and to another table; and which of these it is. MariaDB's triggers cannot write
/// to the table that they stand on.
fn body(random: &mut fastrand::Rng, event: &str, prefix: &str, dialect: Dialect) -> (u8, String) {
    let row = if event == "DELETE" { "OLD" } else { "NEW" };
    let kind = match dialect {
        Dialect::MariaDb => random.u8(5..8),
        Dialect::Sqlite | Dialect::Postgres => random.u8(0..8),
    };
    let sql = match kind {
        0 => format!("UPDATE {prefix}docs SET slug = lower({row}.name) WHERE id = {row}.id"),
        1 => format!("UPDATE {prefix}docs SET n = n + 1 WHERE id = {row}.id + 1"),
        2 => format!("DELETE FROM {prefix}docs WHERE id = {row}.id + 3"),
        3 => format!(
            "UPDATE {prefix}docs SET name = 'renamed' WHERE id = {row}.id + 2 AND name <> 'renamed'"
        ),
        4 => format!("DELETE FROM {prefix}docs WHERE id = {row}.id AND {row}.name LIKE '%7'"),
        5 => format!("UPDATE {prefix}tallies SET n = n + 1 WHERE id = 1"),
        6 => format!(
            "INSERT INTO {prefix}tallies (id, n) SELECT {row}.id + 100, 0 FROM (SELECT 1 AS one) AS o \
             WHERE NOT EXISTS (SELECT 1 FROM {prefix}tallies WHERE id = {row}.id + 100)"
        ),
        _ => format!("DELETE FROM {prefix}tallies WHERE id = {row}.id + 100"),
    };
    (kind, sql)
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    Insert(Vec<i64>, String),
    Rename(i64, String),
    RenameAll(String),
    Count(i64),
    CountAll,
    Delete(i64),
    DeleteFrom(i64),
    Move(i64),
    Upsert(i64, String),
}

impl Write {
    /// Any statement; where the order of rows matters, one whose rows have none.
    pub fn random(random: &mut fastrand::Rng, dialect: Dialect, ordered: bool) -> Self {
        let id = random.i64(1..7);
        let name = format!("N{}", random.u32(..));
        match random.u8(0..14) {
            0..=2 => Self::Insert(vec![id], name),
            3 => Self::Insert(vec![id, id + 1, id + 2], name),
            4..=6 => Self::Rename(id, name),
            7 => Self::Count(id),
            8 => Self::CountAll,
            9 | 10 => Self::Delete(id),
            11 if dialect != Dialect::MariaDb => Self::Move(id),
            12 => Self::Upsert(id, name),
            // What depends on the order of rows differs from one plan to another.
            _ if ordered => Self::Rename(id, name),
            11 => Self::DeleteFrom(id),
            _ => Self::RenameAll(name),
        }
    }

    /// It as SQL, on the tables that begin with that.
    pub fn sql(&self, dialect: Dialect, prefix: &str) -> String {
        let docs = format!("{prefix}docs");
        match self {
            Self::Insert(ids, name) => {
                let rows: Vec<_> = ids
                    .iter()
                    .map(|id| format!("({id}, '{name}', 0)"))
                    .collect();
                let rows = rows.join(", ");
                format!("INSERT INTO {docs} (id, name, n) VALUES {rows}")
            }
            Self::Rename(id, name) => format!("UPDATE {docs} SET name = '{name}' WHERE id = {id}"),
            Self::RenameAll(name) => format!("UPDATE {docs} SET name = '{name}'"),
            Self::Count(id) => format!("UPDATE {docs} SET n = n + 1 WHERE id = {id}"),
            Self::CountAll => format!("UPDATE {docs} SET n = n + 1"),
            Self::Delete(id) => format!("DELETE FROM {docs} WHERE id = {id}"),
            Self::DeleteFrom(id) => format!("DELETE FROM {docs} WHERE id >= {id}"),
            Self::Move(id) => format!("UPDATE {docs} SET id = id + 20 WHERE id = {id}"),
            Self::Upsert(id, name) => {
                let meeting = match dialect {
                    Dialect::MariaDb => "ON DUPLICATE KEY UPDATE",
                    Dialect::Sqlite | Dialect::Postgres => "ON CONFLICT (id) DO UPDATE SET",
                };
                format!(
                    "INSERT INTO {docs} (id, name, n) VALUES ({id}, '{name}', 0) {meeting} name = '{name}'"
                )
            }
        }
    }
}
