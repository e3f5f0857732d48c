//! What Koherent's own migrations create, statement by statement: to name what a database lacks, and to create it anew.
//!
//! A dump may leave things out: `mariadb-dump` writes no routines unless it is told to. The migrations have run all the same,
//! so nothing creates them again; the text of the migrations still says how.

use std::collections::BTreeMap;
use std::fmt;

/// The kind of a database object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ObjectKind {
    /// A table.
    Table,
    /// An index.
    Index,
    /// A view.
    View,
    /// A function.
    Function,
    /// A procedure.
    Procedure,
    /// A trigger.
    Trigger,
}

impl ObjectKind {
    /// Its name in SQL, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Index => "index",
            Self::View => "view",
            Self::Function => "function",
            Self::Procedure => "procedure",
            Self::Trigger => "trigger",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "TABLE" => Self::Table,
            "INDEX" => Self::Index,
            "VIEW" => Self::View,
            "FUNCTION" => Self::Function,
            "PROCEDURE" => Self::Procedure,
            "TRIGGER" => Self::Trigger,
            _ => return None,
        })
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An object that a migration creates, as the last migration defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnObject {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// The table of a trigger.
    pub table: Option<String>,
    /// The statement that creates it.
    pub sql: String,
}

/// The statements of a migration. Each begins at the start of a line; what is inside one is indented, or a `BEGIN`, `END` or `$$`.
pub fn statements(migration: &str) -> Vec<String> {
    const STARTS: [&str; 9] = [
        "CREATE ", "ALTER ", "DROP ", "INSERT ", "UPDATE ", "DELETE ", "REVOKE ", "GRANT ", "DO ",
    ];
    let mut statements: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in migration.lines() {
        if !is_open && STARTS.iter().any(|start| line.starts_with(start)) {
            statements.push(String::new());
            is_open = true;
        }
        if let Some(statement) = statements.last_mut().filter(|_| is_open) {
            statement.push_str(line);
            statement.push('\n');
            is_open = !is_whole(statement);
        }
    }
    statements
}

/// Whether a statement ends here: behind a semicolon that is in no body.
fn is_whole(statement: &str) -> bool {
    let end = statement.trim_end();
    if !end.ends_with(';') || statement.matches("$$").count() % 2 == 1 {
        return false;
    }
    let has_body = statement
        .lines()
        .any(|line| line == "BEGIN" || line.ends_with(" BEGIN"));
    let is_quoted = statement.contains("$$");
    let is_ended = end.ends_with("\nEND;");
    // `IF … END IF;` without a block.
    let opens_if = statement
        .lines()
        .any(|line| line.starts_with("    IF ") && line.ends_with(" THEN"));
    match (is_quoted, has_body) {
        (true, _) => true,
        (false, true) => is_ended,
        (false, false) if opens_if => end.ends_with("END IF;"),
        (false, false) => true,
    }
}

/// What these migrations create, in their order; of what is created, dropped or replaced more than once, the last.
pub(crate) fn objects(migrations: &[&str]) -> Vec<OwnObject> {
    let mut found: BTreeMap<(ObjectKind, String), (usize, OwnObject)> = BTreeMap::new();
    let all = migrations.iter().flat_map(|text| statements(text));
    for (at, sql) in all.enumerate() {
        let words: Vec<_> = sql.split_whitespace().take(12).collect();
        match words.as_slice() {
            ["CREATE", rest @ ..] => {
                let object = created(rest, &sql);
                if let Some(object) = object {
                    found.insert((object.kind, object.name.clone()), (at, object));
                }
            }
            ["DROP", kind, rest @ ..] => {
                let name = rest.iter().find(|word| !matches!(**word, "IF" | "EXISTS"));
                if let Some((kind, name)) = ObjectKind::of(kind).zip(name) {
                    found.remove(&(kind, bare(name)));
                }
            }
            _ => {}
        }
    }
    let mut objects: Vec<_> = found.into_values().collect();
    objects.sort_by_key(|(at, _)| *at);
    objects.into_iter().map(|(_, object)| object).collect()
}

/// `[OR REPLACE] [UNIQUE] KIND name …`.
fn created(words: &[&str], sql: &str) -> Option<OwnObject> {
    let mut words = words
        .iter()
        .skip_while(|word| matches!(**word, "OR" | "REPLACE" | "UNIQUE"));
    let kind = ObjectKind::of(words.next()?)?;
    let mut words = words.skip_while(|word| matches!(**word, "IF" | "NOT" | "EXISTS"));
    let name = bare(words.next()?);
    let on = sql
        .split_whitespace()
        .skip_while(|word| *word != "ON")
        .nth(1);
    let table = on.filter(|_| matches!(kind, ObjectKind::Trigger | ObjectKind::Index));
    Some(OwnObject {
        kind,
        name,
        table: table.map(bare),
        sql: sql.to_owned(),
    })
}

/// A name without quotes, arguments and punctuation.
fn bare(name: &str) -> String {
    let name = name.split(['(', ';']).next().unwrap_or_default();
    name.trim_matches(['`', '"', ',']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{ObjectKind, objects, statements};

    const MIGRATIONS: &[(&str, &[&str])] = &[
        #[cfg(feature = "postgres_backend")]
        ("postgres", crate::migrations::POSTGRES),
        #[cfg(feature = "sqlite")]
        ("sqlite", crate::migrations::SQLITE),
        #[cfg(feature = "mysql")]
        ("mysql", crate::migrations::MYSQL),
    ];

    /// But comments.
    fn lines(text: &str) -> Vec<&str> {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines
            .filter(|line| !line.trim().starts_with("--"))
            .collect()
    }

    #[test]
    fn each_line_of_a_migration_is_in_a_whole_statement() {
        for (engine, migrations) in MIGRATIONS {
            for migration in *migrations {
                let statements = statements(migration);
                let joined = statements.concat();
                assert_eq!(lines(&joined), lines(migration), "{engine}");
                for statement in statements {
                    assert!(statement.trim_end().ends_with(';'), "{engine}: {statement}");
                    let begins = lines(&statement)
                        .iter()
                        .filter(|line| line.starts_with("CREATE "))
                        .count();
                    assert!(begins <= 1, "{engine}: {statement}");
                }
            }
        }
    }

    #[test]
    fn the_last_definition_of_an_object_counts() {
        let first = "CREATE TABLE t (\n    id INT\n);\nCREATE VIEW v AS SELECT 1;\nCREATE FUNCTION f() RETURNS int AS $$\nBEGIN\n    RETURN 1;\nEND\n$$;\n";
        let second = "DROP VIEW IF EXISTS v;\nCREATE OR REPLACE FUNCTION f() RETURNS int AS $$\nBEGIN\n    RETURN 2;\nEND\n$$;\n\
                      CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();\n";
        let objects = objects(&[first, second]);
        let names: Vec<_> = objects
            .iter()
            .map(|object| (object.kind, object.name.as_str(), object.table.as_deref()))
            .collect();
        assert_eq!(
            names,
            [
                (ObjectKind::Table, "t", None),
                (ObjectKind::Function, "f", None),
                (ObjectKind::Trigger, "g", Some("t")),
            ]
        );
        assert!(objects[1].sql.contains("RETURN 2"));
    }
}
