//! Whether a type has room for all values of another.

use crate::database::Engine;

/// Whether each value of one type is one of the other, without a change of what it says.
pub(super) fn widens(engine: Engine, from: &str, to: &str) -> bool {
    let base = |declared: &str| {
        let declared = declared.to_ascii_lowercase();
        declared
            .split('(')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let (from_base, to_base) = (base(from), base(to));
    let length = |declared: &str| -> Option<u32> {
        let (_, rest) = declared.split_once('(')?;
        rest.split([')', ',']).next()?.trim().parse().ok()
    };
    let longer = length(to).is_none_or(|to| length(from).is_some_and(|from| from <= to));
    match engine {
        Engine::Sqlite => false,
        Engine::Postgres => {
            let integers = ["smallint", "integer", "bigint", "numeric"];
            let floats = ["real", "double precision"];
            let texts = ["character varying", "text"];
            let rank = |order: &[&str], name: &str| order.iter().position(|other| *other == name);
            let wider = |order: &[&str]| {
                rank(order, &from_base)
                    .zip(rank(order, &to_base))
                    .is_some_and(|(from, to)| from < to)
            };
            wider(&integers) && length(to).is_none()
                || wider(&floats)
                || wider(&texts)
                || from_base == to_base && texts.contains(&from_base.as_str()) && longer
                || to_base == "text" && !matches!(from_base.as_str(), "bytea")
                || from_base == "json" && to_base == "jsonb"
        }
        Engine::Mysql => {
            let integers = ["tinyint", "smallint", "mediumint", "int", "bigint"];
            let texts = ["tinytext", "text", "mediumtext", "longtext"];
            let blobs = ["tinyblob", "blob", "mediumblob", "longblob"];
            let same_sign = from.contains("unsigned") == to.contains("unsigned");
            let bare = |name: &str| name.split(' ').next().unwrap_or_default().to_owned();
            let (from_base, to_base) = (bare(&from_base), bare(&to_base));
            let rank = |order: &[&str], name: &str| order.iter().position(|other| *other == name);
            let wider = |order: &[&str]| {
                rank(order, &from_base)
                    .zip(rank(order, &to_base))
                    .is_some_and(|(from, to)| from < to)
            };
            wider(&integers) && same_sign
                || wider(&texts)
                || wider(&blobs)
                || from_base == to_base
                    && matches!(from_base.as_str(), "varchar" | "varbinary")
                    && longer
                || from_base == "varchar" && texts[1..].contains(&to_base.as_str())
                || from_base == "float" && to_base == "double"
                || from_base == "enum" && to_base == "enum" && is_prefix(from, to)
        }
    }
}

/// `enum('a','b')` has all values of `enum('a')`, in the same places.
fn is_prefix(from: &str, to: &str) -> bool {
    from.strip_suffix(')')
        .is_some_and(|from| to.starts_with(from))
}
