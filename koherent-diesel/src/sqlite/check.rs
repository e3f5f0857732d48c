//! What SQLite says of the declared tables (`PRAGMA table_info`).

use diesel::sqlite::Sqlite;

use super::guard;
use super::work::Sql;
use crate::catalog;
use crate::engine::Engine as _;
use crate::objects::ObjectKind;
use crate::sql::Write as _;
use crate::table::{Name, TrackedTable, ValueKind};

/// The facts of all tables, as [`Catalog::add`](catalog::Catalog::add) takes them.
pub(super) fn catalog(tables: &[&'static TrackedTable]) -> Sql {
    let mut sql = Sql::new();
    for (at, table) in catalog::wanted(tables).enumerate() {
        if at > 0 {
            sql.push(" UNION ALL ");
        }
        let number = i64::try_from(at).unwrap_or(i64::MAX);
        sql.push("SELECT ").bind(number);
        // Only `INTEGER PRIMARY KEY` numbers rows by itself; `BIGINT PRIMARY KEY` does not.
        sql.push(
            ", 'column', name, type, \"notnull\" = 0 AND pk = 0, pk > 0 AND upper(type) = 'INTEGER' FROM pragma_table_xinfo",
        );
        pragma(&mut sql, table);
        // What such a key updates, it updates under the same arms as the statement itself.
        sql.push(" UNION ALL SELECT ").bind(number);
        sql.push(
            ", 'unfit', 'refers to itself by a foreign key that is ON UPDATE ' || on_update || ', which leaves no history: take \
             that away, and update these rows as well', NULL, NULL, NULL FROM pragma_foreign_key_list",
        );
        pragma(&mut sql, table);
        sql.push(" WHERE \"table\" = ").bind(table.table);
        sql.push(" COLLATE NOCASE AND on_update NOT IN ('NO ACTION', 'RESTRICT') AND seq = 0");
        sql.push(" UNION ALL SELECT ").bind(number);
        sql.push(
            ", 'unfit', 'declares a constraint ON CONFLICT REPLACE, which deletes rows that leave no history: take that away', \
             NULL, NULL, NULL FROM ",
        );
        if let Some(schema) = table.schema {
            sql.identifier(schema).push(".");
        }
        sql.push("sqlite_schema WHERE type = 'table' AND name = ")
            .bind(table.table);
        sql.push(
            " COLLATE NOCASE AND replace(replace(replace(sql, char(10), ''), char(9), ''), ' ', '') LIKE '%ONCONFLICTREPLACE%'",
        );
        sql.push(" UNION ALL SELECT ").bind(number);
        sql.push(", 'key', name, NULL, NULL, NULL FROM pragma_table_xinfo");
        pragma(&mut sql, table);
        sql.push(" WHERE pk > 0 UNION ALL SELECT ").bind(number);
        sql.push(", 'unique', name, NULL, NULL, NULL FROM pragma_index_list");
        pragma(&mut sql, table);
        sql.push(" WHERE \"unique\" = 1 AND origin <> 'pk' UNION ALL SELECT ")
            .bind(number);
        sql.push(", 'part', name, NULL, NULL, NULL FROM ");
        if let Some(schema) = table.schema {
            sql.identifier(schema).push(".");
        }
        sql.push("sqlite_schema WHERE type = 'trigger' AND tbl_name = ")
            .bind(table.table);
        sql.push(" COLLATE NOCASE OR type = 'table' AND name = ")
            .bind(guard::replaced(table));
    }
    // What of Koherent's own is missing.
    let objects = Sqlite::objects().into_iter();
    let objects = objects.filter(|object| object.kind != ObjectKind::Index);
    sql.push(
        " UNION ALL SELECT 0, 'unfit', 'stands without the ' || column1 || ' `' || column2 || '`: `koherent setup` creates it', NULL, NULL, NULL \
         FROM (VALUES ",
    );
    for (at, object) in objects.enumerate() {
        sql.push(if at > 0 { ", ('" } else { "('" })
            .push(object.kind.name())
            .push("', '")
            .push(&object.name)
            .push("')");
    }
    sql.push(
        ") WHERE NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = column1 AND name = column2)",
    );
    sql
}

/// The facts about guards.
pub(super) fn guards(tables: &[&'static TrackedTable]) -> Sql {
    let mut sql = Sql::new();
    for (at, table) in catalog::wanted(tables).enumerate() {
        let number = i64::try_from(at).unwrap_or(i64::MAX);
        sql.push(if at > 0 {
            " UNION ALL SELECT "
        } else {
            "SELECT "
        })
        .bind(number);
        sql.push(", 'guard', policy, kept_columns, NULL, NULL FROM koherent_table WHERE tracked_table = ")
            .bind(table.table);
        sql.push(" AND tracked_schema = ")
            .bind(table.schema.unwrap_or_default());
    }
    sql
}

/// `(table[, schema])`.
fn pragma(sql: &mut Sql, table: Name) {
    sql.push("(").bind(table.table);
    if let Some(schema) = table.schema {
        sql.push(", ").bind(schema);
    }
    sql.push(")");
}

pub(super) fn fits(kind: ValueKind, declared: &str) -> bool {
    use Affinity::{Blob, Integer, Numeric, Real, Text};
    let affinity = affinity(declared);
    match kind {
        ValueKind::Bool | ValueKind::Integer => matches!(affinity, Integer | Numeric),
        ValueKind::Float | ValueKind::Numeric => matches!(affinity, Real | Numeric),
        ValueKind::Text => matches!(affinity, Text | Blob),
        ValueKind::Binary => affinity == Blob,
        ValueKind::Json => matches!(affinity, Text | Blob | Numeric),
        ValueKind::Other => true,
    }
}

/// The type of a history column, with a blank before it. Where the declaration does not tell how the tracked table stores
/// values, it is none: such a column takes every value as it is.
pub(super) const fn type_of(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Bool => " BOOLEAN",
        ValueKind::Integer => " BIGINT",
        ValueKind::Float => " DOUBLE",
        ValueKind::Text => " TEXT",
        ValueKind::Binary => " BLOB",
        ValueKind::Numeric | ValueKind::Json | ValueKind::Other => "",
    }
}

/// Whether a history column of one type stores each value as a base column of the other does.
pub(super) fn holds(base: &str, history: &str) -> bool {
    match (affinity(base), affinity(history)) {
        // It takes every value as it is.
        (_, Affinity::Blob) => true,
        // These two store alike.
        (Affinity::Integer, Affinity::Numeric) | (Affinity::Numeric, Affinity::Integer) => true,
        (base, history) => base == history,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
    /// Numeric to SQLite, but named like nothing we know: more likely a mistake than a number.
    Unknown,
}

/// How SQLite stores values in a column of that declared type (<https://www.sqlite.org/datatype3.html> §3.1).
fn affinity(declared: &str) -> Affinity {
    let declared = declared.to_ascii_uppercase();
    let has = |part| declared.contains(part);
    if has("INT") {
        Affinity::Integer
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Affinity::Text
    } else if has("BLOB") || declared.is_empty() {
        Affinity::Blob
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Affinity::Real
    } else if ["NUM", "DEC", "BOOL", "DATE", "TIME", "JSON"]
        .into_iter()
        .any(has)
    {
        Affinity::Numeric
    } else {
        Affinity::Unknown
    }
}
