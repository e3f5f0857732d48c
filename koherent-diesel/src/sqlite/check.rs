//! What SQLite says of the declared tables (`PRAGMA table_info`).

use std::collections::BTreeMap;

use diesel::SqliteConnection;

use super::sql::{self, Sql, values};
use super::value::Value;
use crate::check::Difference;
use crate::error::Error;
use crate::schema::{ATTRIBUTION_COLUMNS, TASK_COLUMNS};
use crate::table::{Name, TrackedColumn, TrackedTable, ValueKind};

/// The columns of a table, by their names.
type Columns = BTreeMap<String, Stored>;

/// What the database says of a column.
struct Stored {
    declared: String,
    not_null: bool,
    primary_key: bool,
}

pub(crate) fn differences(
    connection: &mut SqliteConnection,
    tables: &[&'static TrackedTable],
) -> Result<Vec<Difference>, Error> {
    let mut found = Vec::new();
    let task = Name {
        schema: None,
        table: "koherent_task",
    };
    if let Some(columns) = columns_of(connection, task, &mut found)? {
        missing(task, &columns, TASK_COLUMNS, &mut found);
    }
    for table in tables {
        let base = columns_of(connection, table.name, &mut found)?;
        if let Some(base) = &base {
            missing(
                table.name,
                base,
                table.columns.iter().map(|column| column.name),
                &mut found,
            );
        }
        let history = columns_of(connection, table.history, &mut found)?;
        if let Some(history) = &history {
            let kept = table.columns.iter().map(|column| column.history_name);
            let wanted = ["history_id"]
                .into_iter()
                .chain(kept)
                .chain(ATTRIBUTION_COLUMNS);
            missing(table.history, history, wanted, &mut found);
            compare_numbering(table.history, history, &mut found);
            unique_indexes(connection, table.history, &mut found)?;
        }
        let (base, history) = (base.unwrap_or_default(), history.unwrap_or_default());
        compare_types(table, &base, &history, &mut found);
        compare_nullability(table, &base, &history, &mut found);
    }
    Ok(found)
}

/// `FROM pragma_…(table[, schema])`.
fn pragma(select: &str, table: Name) -> Sql {
    let mut sql = Sql::new();
    sql.push(select).push("(").bind(table.table);
    if let Some(schema) = table.schema {
        sql.push(", ").bind(schema);
    }
    sql.push(")");
    sql
}

/// The columns of a table, or a difference where there is no such table.
fn columns_of(
    connection: &mut SqliteConnection,
    table: Name,
    found: &mut Vec<Difference>,
) -> Result<Option<Columns>, Error> {
    let sql = pragma(
        "SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo",
        table,
    );
    let mut columns = Columns::new();
    sql::for_each_row(connection, &sql, |row| {
        if let [Value::Text(name), Value::Text(declared), not_null, key] = &values(row, 0, 4)[..] {
            let is_set = |value: &Value| !matches!(value, Value::Integer(0));
            let stored = Stored {
                declared: declared.clone(),
                not_null: is_set(not_null),
                primary_key: is_set(key),
            };
            columns.insert(name.clone(), stored);
        }
        Ok::<_, Error>(())
    })?;
    if columns.is_empty() {
        found.push(Difference::MissingTable {
            table: table.table.to_owned(),
        });
        return Ok(None);
    }
    Ok(Some(columns))
}

fn missing<'n>(
    table: Name,
    columns: &Columns,
    wanted: impl IntoIterator<Item = &'n str>,
    found: &mut Vec<Difference>,
) {
    found.extend(
        wanted
            .into_iter()
            .filter(|column| !columns.contains_key(*column))
            .map(|column| Difference::MissingColumn {
                table: table.table.to_owned(),
                column: column.to_owned(),
            }),
    );
}

/// Only `INTEGER PRIMARY KEY` numbers rows by itself; `BIGINT PRIMARY KEY` does not.
fn compare_numbering(table: Name, history: &Columns, found: &mut Vec<Difference>) {
    let numbers = |id: &Stored| id.primary_key && id.declared.eq_ignore_ascii_case("INTEGER");
    if history.get("history_id").is_some_and(|id| !numbers(id)) {
        found.push(Difference::NotNumbered {
            table: table.table.to_owned(),
        });
    }
}

fn unique_indexes(
    connection: &mut SqliteConnection,
    table: Name,
    found: &mut Vec<Difference>,
) -> Result<(), Error> {
    let mut sql = pragma("SELECT name FROM pragma_index_list", table);
    sql.push(" WHERE \"unique\" = 1 AND origin <> 'pk'");
    sql::for_each_row(connection, &sql, |row| {
        let index = values(row, 0, 1)
            .pop()
            .and_then(Value::into_text)
            .unwrap_or_default();
        found.push(Difference::Unique {
            table: table.table.to_owned(),
            index,
        });
        Ok::<_, Error>(())
    })?;
    Ok(())
}

/// Where there can be no value, the history column must say so.
fn compare_nullability(
    table: &TrackedTable,
    base: &Columns,
    history: &Columns,
    found: &mut Vec<Difference>,
) {
    let can_be_null = |column: &&TrackedColumn| {
        base.get(column.name)
            .is_some_and(|stored| !stored.not_null && !stored.primary_key)
    };
    let kept = table
        .columns
        .iter()
        .filter(can_be_null)
        .map(|column| column.history_name);
    for column in kept.chain(NULLABLE_ATTRIBUTION_COLUMNS) {
        if history.get(column).is_some_and(|stored| stored.not_null) {
            let (table, column) = (table.history.table.to_owned(), column.to_owned());
            found.push(Difference::NotNull { table, column });
        }
    }
}

/// Not every change has a user, a task, a reason.
const NULLABLE_ATTRIBUTION_COLUMNS: [&str; 6] = [
    "history_user",
    "history_client",
    "history_organization",
    "history_task",
    "history_reason",
    "history_context",
];

/// The type of a column must store what its declaration in Rust holds, unchanged; and the history column must store
/// values as the base column does, or they come back changed.
fn compare_types(
    table: &TrackedTable,
    base: &Columns,
    history: &Columns,
    found: &mut Vec<Difference>,
) {
    for column in &table.columns {
        let Some(here) = base.get(column.name) else {
            continue;
        };
        if !fits(column.kind, affinity(&here.declared)) {
            found.push(Difference::WrongType {
                table: table.name.table.to_owned(),
                column: column.name.to_owned(),
                found: here.declared.clone(),
                expected: format!("its declaration, {:?}", column.kind).to_lowercase(),
            });
            continue;
        }
        let Some(there) = history.get(column.history_name) else {
            continue;
        };
        if affinity(&here.declared) != affinity(&there.declared) {
            found.push(Difference::WrongType {
                table: table.history.table.to_owned(),
                column: column.history_name.to_owned(),
                found: there.declared.clone(),
                expected: format!(
                    "`{}.{}`, which is `{}`",
                    table.name.table, column.name, here.declared
                ),
            });
        }
    }
}

fn fits(kind: ValueKind, affinity: Affinity) -> bool {
    use Affinity::{Blob, Integer, Numeric, Real, Text};
    match kind {
        ValueKind::Bool | ValueKind::Integer => matches!(affinity, Integer | Numeric),
        ValueKind::Float => matches!(affinity, Real | Numeric),
        ValueKind::Text => matches!(affinity, Text | Blob),
        ValueKind::Binary => affinity == Blob,
        ValueKind::Json => matches!(affinity, Text | Blob | Numeric),
        ValueKind::Other => true,
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
