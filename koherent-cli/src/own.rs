//! What Koherent's own migrations created, and what of it is not there any more.
//!
//! A dump leaves things out: `mariadb-dump` writes no routines by default, and what it writes of triggers names users that
//! another server need not have. `koherent check` names what is missing, and `koherent setup` makes it anew.

use std::collections::BTreeSet;

use koherent_diesel::__private::{ObjectKind, OwnObject};

use crate::database::{Database, Engine};
use crate::failure::Result;

/// The objects that are missing, in the order in which migrations create them.
pub(crate) fn missing(database: &mut Database) -> Result<Vec<OwnObject>> {
    let there = there(database)?;
    let objects = database.engine().objects().into_iter();
    Ok(objects
        .filter(|object| !there.contains(&identity(object)))
        .collect())
}

/// What tells an object from others: PostgreSQL's triggers go by the names of their tables.
fn identity(object: &OwnObject) -> (String, String) {
    let table = object.table.as_deref().unwrap_or_default();
    let name = match object.kind {
        ObjectKind::Trigger => format!("{table} {}", object.name),
        _ => object.name.clone(),
    };
    (object.kind.name().to_owned(), name)
}

/// What there is of Koherent's.
fn there(database: &mut Database) -> Result<BTreeSet<(String, String)>> {
    let sources: &[[&str; 3]] = match database.engine() {
        Engine::Sqlite => &[[
            "type",
            "CASE type WHEN 'trigger' THEN tbl_name || ' ' || name ELSE name END",
            "FROM sqlite_schema WHERE name LIKE 'koherent\\_%' ESCAPE '\\'",
        ]],
        Engine::Postgres => &[
            [
                "CASE relkind WHEN 'v' THEN 'view' WHEN 'i' THEN 'index' ELSE 'table' END",
                "relname",
                "FROM pg_class WHERE pg_table_is_visible(oid) AND relkind IN ('r', 'p', 'v', 'i') AND relname LIKE 'koherent\\_%'",
            ],
            [
                "'function'",
                "proname",
                "FROM pg_proc WHERE pg_function_is_visible(oid) AND proname LIKE 'koherent\\_%'",
            ],
            [
                "'trigger'",
                "relname || ' ' || tgname",
                "FROM pg_trigger JOIN pg_class AS c ON c.oid = tgrelid WHERE pg_table_is_visible(c.oid) AND tgenabled IN ('O', 'A') \
                 AND tgname LIKE 'koherent\\_%'",
            ],
        ],
        Engine::Mysql => &[
            [
                "IF(table_type LIKE '%VIEW%', 'view', 'table')",
                "CAST(table_name AS CHAR)",
                "FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name LIKE 'koherent\\_%'",
            ],
            [
                "'index'",
                "CAST(index_name AS CHAR)",
                "FROM information_schema.statistics WHERE table_schema = DATABASE() AND index_name LIKE 'koherent\\_%'",
            ],
            [
                "LOWER(CAST(routine_type AS CHAR))",
                "CAST(routine_name AS CHAR)",
                "FROM information_schema.routines WHERE routine_schema = DATABASE() AND routine_name LIKE 'koherent\\_%'",
            ],
            [
                "'trigger'",
                "CONCAT(CAST(event_object_table AS CHAR), ' ', CAST(trigger_name AS CHAR))",
                "FROM information_schema.triggers WHERE event_object_schema = DATABASE() AND trigger_name LIKE 'koherent\\_%'",
            ],
        ],
    };
    let mut found = BTreeSet::new();
    for [kind, name, rest] in sources {
        let rows = database.rows(&[(*kind).to_owned(), (*name).to_owned()], rest)?;
        found.extend(rows.into_iter().filter_map(|mut row| {
            let (name, kind) = (row.pop()??, row.pop()??);
            Some((kind, name))
        }));
    }
    Ok(found)
}

/// A trigger or routine of Koherent's that runs with the rights of a user who is not there (MariaDB and MySQL: each statement that
/// meets it fails with error 1449).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Orphan {
    pub(crate) kind: String,
    pub(crate) name: String,
    /// The table of a trigger.
    pub(crate) table: String,
    pub(crate) definer: String,
}

/// Such triggers and routines; nothing where the connection may not read who is there.
pub(crate) fn orphans(database: &mut Database) -> Result<Vec<Orphan>> {
    if database.engine() != Engine::Mysql || database.number("COUNT(*)", "FROM mysql.user").is_err()
    {
        return Ok(Vec::new());
    }
    let mut orphans = Vec::new();
    for [kind, name, table, rest] in [
        [
            "'trigger'",
            "trigger_name",
            "event_object_table",
            "FROM information_schema.triggers WHERE event_object_schema = DATABASE() AND trigger_name LIKE 'koherent\\_%'",
        ],
        [
            "LOWER(CAST(routine_type AS CHAR))",
            "routine_name",
            "NULL",
            "FROM information_schema.routines WHERE routine_schema = DATABASE() AND routine_name LIKE 'koherent\\_%'",
        ],
    ] {
        let text = |column: &str| format!("CAST({column} AS CHAR)");
        let rows = database.rows(
            &[kind.to_owned(), text(name), text(table), text("definer")],
            &format!(
                "{rest} AND NOT EXISTS (SELECT 1 FROM mysql.user AS u WHERE CONVERT(CONCAT(u.user, '@', u.host) USING utf8mb4) COLLATE utf8mb4_bin \
                 = CONVERT(definer USING utf8mb4) COLLATE utf8mb4_bin)"
            ),
        )?;
        orphans.extend(rows.into_iter().map(|row| {
            let mut values = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || values.next().unwrap_or_default();
            Orphan {
                kind: next(),
                name: next(),
                table: next(),
                definer: next(),
            }
        }));
    }
    Ok(orphans)
}
