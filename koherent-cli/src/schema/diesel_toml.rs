//! The filter of `diesel print-schema` (<https://diesel.rs/guides/configuring-diesel-cli>).

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::exactly;
use crate::database::{Database, candidates};
use crate::failure::Result;
use crate::registry::{Audited, retired};

/// The patterns of tables that are not the application's.
pub(super) fn patterns(database: &mut Database, known: &[Audited]) -> Result<Vec<String>> {
    let mut histories = known.to_vec();
    histories.extend(retired(database)?);
    let is_history = |name: &String| histories.iter().any(|audited| audited.history == *name);
    let others = candidates(database)?;
    let has_own = others
        .iter()
        .any(|name| name.ends_with("_history") && !is_history(name));
    let mut patterns = vec!["^koherent_".to_owned()];
    if has_own {
        // Tables of the application are called so as well.
        patterns.extend(histories.iter().map(exactly));
    } else {
        patterns.push("_history$".to_owned());
        let odd = histories
            .iter()
            .filter(|audited| !audited.history.ends_with("_history"));
        patterns.extend(odd.map(exactly));
    }
    Ok(patterns)
}

/// The text of a `diesel.toml` with these patterns in its filters. What else stands there stays as it is.
pub(super) fn filtered(text: &str, patterns: &[String]) -> std::result::Result<String, String> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error| format!("it is no TOML: {error}"))?;
    let print_schema = document.entry("print_schema").or_insert_with(|| {
        let mut table = Table::new();
        table.insert("file", toml_edit::value("src/schema.rs"));
        Item::Table(table)
    });
    let print_schema = print_schema
        .as_table_like_mut()
        .ok_or("`print_schema` is no table")?;
    // Either one configuration, or several by name.
    let names: Vec<_> = print_schema
        .iter()
        .filter(|(key, item)| *key != "filter" && is_configuration(item))
        .map(|(key, _)| key.to_owned())
        .collect();
    if names.is_empty() {
        except(print_schema, patterns)?;
    }
    for name in names {
        let configuration = print_schema
            .get_mut(&name)
            .and_then(Item::as_table_like_mut);
        except(configuration.ok_or("it is no table")?, patterns)?;
    }
    Ok(document.to_string())
}

/// Whether it is a table with a configuration of its own: `[print_schema.public]`.
fn is_configuration(item: &Item) -> bool {
    item.is_table()
}

/// Adds the patterns to `filter.except_tables`.
fn except(
    configuration: &mut dyn TableLike,
    patterns: &[String],
) -> std::result::Result<(), String> {
    let filter = configuration
        .entry("filter")
        .or_insert(Item::Value(Value::InlineTable(InlineTable::new())));
    let filter = filter
        .as_table_like_mut()
        .ok_or("its `filter` is no table")?;
    if filter.contains_key("only_tables") {
        // What is listed there is printed, and nothing else.
        return Ok(());
    }
    let except = filter
        .entry("except_tables")
        .or_insert(Item::Value(Value::Array(Array::new())));
    let except = except
        .as_array_mut()
        .ok_or("its `except_tables` is no list")?;
    for pattern in patterns {
        if !except.iter().any(|value| value.as_str() == Some(pattern)) {
            except.push(pattern.as_str());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::filtered;

    const PATTERNS: [&str; 2] = ["^koherent_", "_history$"];

    fn with_filter(text: &str) -> String {
        filtered(text, &PATTERNS.map(ToOwned::to_owned)).unwrap()
    }

    #[test]
    fn a_new_file_has_the_whole_configuration() {
        assert_eq!(
            with_filter(""),
            "[print_schema]\nfile = \"src/schema.rs\"\nfilter = { except_tables = [\"^koherent_\", \"_history$\"] }\n"
        );
    }

    #[test]
    fn what_stands_there_stays() {
        let text = "# Ours\n[print_schema]\nfile = \"src/schema.rs\" # printed\npatch_file = \"src/schema.patch\"\n\n[migrations_directory]\ndir = \"migrations\"\n";
        let filtered = with_filter(text);
        for line in text.lines() {
            assert!(filtered.contains(line), "{filtered}");
        }
        assert!(filtered.contains("filter = { except_tables = [\"^koherent_\", \"_history$\"] }"));
        assert_eq!(with_filter(&filtered), filtered, "once is enough");
    }

    #[test]
    fn other_filters_are_kept() {
        let filtered = with_filter("[print_schema]\nfilter = { except_tables = [\"^tmp_\"] }\n");
        assert!(
            filtered.contains("[\"^tmp_\", \"^koherent_\", \"_history$\"]"),
            "{filtered}"
        );
        let only = "[print_schema]\nfilter = { only_tables = [\"samples\"] }\n";
        assert_eq!(with_filter(only), only);
        let several = with_filter(
            "[print_schema.lab]\nfile = \"a.rs\"\n[print_schema.log]\nfile = \"b.rs\"\n",
        );
        assert_eq!(several.matches("^koherent_").count(), 2, "{several}");
    }
}
