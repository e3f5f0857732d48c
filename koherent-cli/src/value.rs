//! Values of columns: as text for people, as literals for statements.

use serde_json::Value;

use crate::database::{Engine, Table};
use crate::failure::{Failure, Result};
use crate::registry::Audited;

/// A kept column as text.
pub(crate) fn value(engine: Engine, table: &Table, alias: &str, column: &str) -> String {
    let quoted = format!("{alias}.{}", engine.quote(column));
    match engine {
        Engine::Postgres => format!("{quoted}::text"),
        Engine::Sqlite => format!(
            "CASE typeof({quoted}) WHEN 'blob' THEN 'x''' || hex({quoted}) || '''' ELSE CAST({quoted} AS TEXT) END"
        ),
        Engine::Mysql if is_binary(table, column) => {
            format!("CONCAT('x''', HEX({quoted}), '''')")
        }
        Engine::Mysql => format!("CAST({quoted} AS CHAR)"),
    }
}

fn is_binary(table: &Table, column: &str) -> bool {
    let declared = table.column(column).map_or("", |column| &column.declared);
    let base = declared.split('(').next().unwrap_or_default();
    [
        "binary",
        "blob",
        "bit",
        "geometry",
        "point",
        "linestring",
        "polygon",
        "multi",
        "geometrycollection",
        "vector",
    ]
    .iter()
    .any(|kind| base.contains(kind))
}

/// What a value that somebody typed may be in a key column, as literals.
fn key_literals(engine: Engine, table: &Table, column: &str, value: &str) -> Vec<String> {
    let hex = value
        .strip_prefix("x'")
        .and_then(|hex| hex.strip_suffix('\''));
    let hex =
        hex.filter(|hex| hex.len() % 2 == 0 && hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let is_number = value.parse::<f64>().is_ok_and(f64::is_finite);
    let number = is_number.then(|| value.to_owned());
    let blob = hex.map(|hex| format!("x'{hex}'"));
    match engine {
        Engine::Postgres => vec![engine.literal(value)],
        // Columns take values of each kind there.
        Engine::Sqlite => [Some(engine.literal(value)), number, blob]
            .into_iter()
            .flatten()
            .collect(),
        Engine::Mysql => match (is_binary(table, column), blob) {
            (true, Some(blob)) => vec![blob],
            _ => vec![engine.literal(value)],
        },
    }
}

/// A key column as an expression whose value is the literal of it, exactly.
pub(crate) fn exact_literal(engine: Engine, table: &Table, alias: &str, column: &str) -> String {
    let quoted = format!("{alias}.{}", engine.quote(column));
    let declared = table
        .column(column)
        .map_or(String::new(), |column| column.declared.to_ascii_lowercase());
    match engine {
        Engine::Sqlite => format!("quote({quoted})"),
        Engine::Postgres => format!("quote_literal({quoted}::text) || '::{declared}'"),
        Engine::Mysql if declared.starts_with("bit") => {
            format!("CAST(CAST({quoted} AS UNSIGNED) AS CHAR)")
        }
        Engine::Mysql if declared.starts_with("float") || declared.starts_with("double") => {
            format!("CAST(CAST({quoted} AS DOUBLE) AS CHAR)")
        }
        Engine::Mysql if declared.contains("int") || declared.starts_with("decimal") => {
            format!("CAST({quoted} AS CHAR)")
        }
        Engine::Mysql if is_binary(table, column) => format!("CONCAT('x''', HEX({quoted}), '''')"),
        Engine::Mysql => format!(
            "CONCAT('_utf8mb4 x''', HEX(CONVERT(CAST({quoted} AS CHAR) USING utf8mb4)), '''')"
        ),
    }
}

/// `h.id = 7`.
pub(crate) fn key_filter(
    engine: Engine,
    table: &Audited,
    history: &Table,
    key: &str,
) -> Result<String> {
    let values: Vec<String> = match serde_json::from_str::<Vec<Value>>(key) {
        Ok(values) => values
            .into_iter()
            .map(|value| match value {
                Value::String(text) => text,
                other => other.to_string(),
            })
            .collect(),
        Err(_) if table.key.len() == 1 => vec![key.to_owned()],
        Err(_) => key.split(',').map(ToOwned::to_owned).collect(),
    };
    if values.len() != table.key.len() {
        return Err(Failure::new(format!(
            "--key {key}: the key of `{}` is ({}), so give {} values with commas between them",
            table.full_name(),
            table.key.join(", "),
            table.key.len()
        )));
    }
    let same = table.keys().zip(values).map(|((_, there), value)| {
        let there_quoted = engine.quote(there);
        let literals = key_literals(engine, history, there, &value);
        let each = literals
            .iter()
            .map(|literal| format!("h.{there_quoted} = {literal}"));
        format!("({})", each.collect::<Vec<_>>().join(" OR "))
    });
    Ok(same.collect::<Vec<_>>().join(" AND "))
}
