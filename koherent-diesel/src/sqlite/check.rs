//! What SQLite says of the declared tables (`PRAGMA table_info`).

use std::collections::BTreeMap;

use diesel::SqliteConnection;

use super::sql::{self, Sql, values};
use crate::check::Difference;
use crate::error::Error;
use crate::schema::{ATTRIBUTION_COLUMNS, TASK_COLUMNS};
use crate::table::{Name, TableInfo, ValueKind};

/// The columns of a table and their declared types.
type Columns = BTreeMap<String, String>;

pub(crate) fn differences(
    connection: &mut SqliteConnection,
    tables: &[&'static TableInfo],
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
            missing(table.name, base, table.key.iter().copied(), &mut found);
        }
        if let Some(history) = columns_of(connection, table.history, &mut found)? {
            let kept = table.columns.iter().map(|column| column.history_name);
            let wanted = ["history_id"]
                .into_iter()
                .chain(kept)
                .chain(ATTRIBUTION_COLUMNS);
            missing(table.history, &history, wanted, &mut found);
            compare_types(table, &base.unwrap_or_default(), &history, &mut found);
        } else if let Some(base) = &base {
            compare_types(table, base, &Columns::new(), &mut found);
        }
    }
    found.dedup();
    Ok(found)
}

/// The columns of a table, or a difference where there is no such table.
fn columns_of(
    connection: &mut SqliteConnection,
    table: Name,
    found: &mut Vec<Difference>,
) -> Result<Option<Columns>, Error> {
    let mut pragma = Sql::new();
    pragma
        .push("SELECT name, type FROM pragma_table_xinfo(")
        .bind(table.table);
    pragma.push(", ").bind(table.schema).push(")");
    if table.schema.is_none() {
        pragma = Sql::new();
        pragma
            .push("SELECT name, type FROM pragma_table_xinfo(")
            .bind(table.table)
            .push(")");
    }
    let mut columns = Columns::new();
    sql::for_each_row(connection, &pragma, |row| {
        let mut texts = values(row, 0, 2)
            .into_iter()
            .map(|value| value.into_text().unwrap_or_default());
        columns.insert(
            texts.next().unwrap_or_default(),
            texts.next().unwrap_or_default(),
        );
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

/// The type of a column must store what its declaration in Rust holds, unchanged; and the history column must store
/// values as the base column does, or they come back changed.
fn compare_types(
    table: &TableInfo,
    base: &Columns,
    history: &Columns,
    found: &mut Vec<Difference>,
) {
    for column in &table.columns {
        let Some(here) = base.get(column.name) else {
            continue;
        };
        if !fits(column.kind, affinity(here)) {
            found.push(Difference::WrongType {
                table: table.name.table.to_owned(),
                column: column.name.to_owned(),
                found: here.clone(),
                expected: format!("its declaration, {:?}", column.kind).to_lowercase(),
            });
            continue;
        }
        let Some(there) = history.get(column.history_name) else {
            continue;
        };
        if affinity(here) != affinity(there) {
            found.push(Difference::WrongType {
                table: table.history.table.to_owned(),
                column: column.history_name.to_owned(),
                found: there.clone(),
                expected: format!("`{}.{}`, which is `{here}`", table.name.table, column.name),
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
