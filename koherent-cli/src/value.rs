//! Values of columns: as text for people, as literals for statements.

use serde_json::Value;

use crate::database::{Engine, Table};
use crate::failure::{Failure, Result};
use crate::registry::Audited;

/// A kept column as text, to its last digit.
pub(crate) fn value(engine: Engine, table: &Table, alias: &str, column: &str) -> String {
    let quoted = format!("{alias}.{}", engine.quote(column));
    let declared = table.column(column).map_or("", |column| &column.declared);
    match engine {
        Engine::Postgres => format!("{quoted}::text"),
        // Cast to text, a number has 15 digits, and as a literal so many as tell it from others.
        Engine::Sqlite => format!(
            "CASE typeof({quoted}) WHEN 'blob' THEN 'x''' || hex({quoted}) || '''' WHEN 'real' THEN quote({quoted}) \
             ELSE CAST({quoted} AS TEXT) END"
        ),
        Engine::Mysql if is_binary(table, column) => {
            format!("CONCAT('x''', HEX({quoted}), '''')")
        }
        // As text, these have six digits.
        Engine::Mysql if declared.to_ascii_lowercase().starts_with("float") => format!(
            "CAST(IF(CAST(CAST({quoted} AS CHAR) AS FLOAT) = {quoted}, CAST({quoted} AS CHAR), CAST({quoted} AS DOUBLE)) AS CHAR)"
        ),
        Engine::Mysql => format!("CAST({quoted} AS CHAR)"),
    }
}

/// Whether two texts are one value, which they write differently: `1.0` and `1.00` of a number, blanks in JSON.
pub(crate) fn is_same(declared: &str, one: &str, other: &str) -> bool {
    let declared = declared.to_ascii_lowercase();
    let is = |kinds: &[&str]| kinds.iter().any(|kind| declared.starts_with(kind));
    if one == other {
        return true;
    }
    if is(&["numeric", "decimal", "dec"]) {
        return normal(one).is_some_and(|one| normal(other) == Some(one));
    }
    if is(&["json"]) {
        let read = |text| serde_json::from_str::<Value>(text).ok();
        return read(one).is_some_and(|one| read(other) == Some(one));
    }
    false
}

/// A decimal number without the zeros that say nothing: its sign, and its digits before and behind the point.
fn normal(number: &str) -> Option<(bool, &str, &str)> {
    let (is_negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if digits.is_empty() || !is_number(whole) || !is_number(part) {
        return None;
    }
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    let is_zero = whole.is_empty() && part.is_empty();
    Some((is_negative && !is_zero, whole, part))
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

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn what_differs_in_form_alone_is_the_same() {
        for (declared, one, other) in [
            ("numeric(10,2)", "1.0", "1.00"),
            ("decimal", "-0", "0.00"),
            ("numeric", "010.50", "10.5"),
            ("jsonb", "{\"a\": 1}", "{\"a\":1}"),
        ] {
            assert!(is_same(declared, one, other), "{one} {other}");
        }
        for (declared, one, other) in [
            ("numeric", "1.0", "1.01"),
            ("numeric", "NaN", "1"),
            ("numeric", "-1", "1"),
            ("text", "1.0", "1.00"),
            ("json", "{\"a\": 1.10}", "{\"a\": 1.11}"),
        ] {
            assert!(!is_same(declared, one, other), "{one} {other}");
        }
    }
}
