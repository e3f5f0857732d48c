//! What the options of `migration generate` mean for a table.

use super::Generate;
use crate::database::Table;
use crate::failure::{Failure, Result};
use crate::registry::Audited;

/// Each option is about one of the tables: one that is not is misspelt, and a secret may be in a history for it.
pub(super) fn all_are_meant(arguments: &Generate, tables: &[Table]) -> Result<()> {
    let old = |rename: &String| rename.split('=').next().unwrap_or_default().to_owned();
    for (option, columns) in [
        ("--exclude", arguments.exclude.clone()),
        ("--include", arguments.include.clone()),
        ("--cast", arguments.cast.clone()),
        ("--rename", arguments.rename.iter().map(old).collect()),
    ] {
        for column in columns {
            let meant: Vec<_> = tables
                .iter()
                .filter_map(|table| Some((table, column_of(&column, table)?)))
                .collect();
            let Some((table, name)) = meant.first() else {
                let names: Vec<_> = tables.iter().map(Table::full_name).collect();
                return Err(Failure::new(format!(
                    "{option} {column}: none of the tables is meant, they are {}",
                    names.join(", ")
                )));
            };
            if matches!(option, "--include" | "--cast")
                && !meant
                    .iter()
                    .any(|(table, name)| table.column(name).is_some())
            {
                return Err(no_column(table, name, option));
            }
        }
    }
    Ok(())
}

/// The tables of `--rename-table`: old and new.
pub(super) fn renamed_tables(arguments: &Generate) -> Result<Vec<(&str, &str)>> {
    let renamed = arguments.rename_table.iter().map(|rename| {
        let names = rename.split_once('=');
        let names = names.filter(|(old, new)| !old.is_empty() && !new.is_empty() && old != new);
        names.ok_or_else(|| Failure::new(format!("--rename-table {rename}: it is OLD=NEW")))
    });
    renamed.collect()
}

/// The columns of `--rename`: old and new.
pub(super) fn renamed_columns(
    arguments: &Generate,
    before: &Audited,
    live: &Table,
) -> Result<Vec<(String, String)>> {
    let mut renames = Vec::new();
    for rename in &arguments.rename {
        let (old, new) = rename.split_once('=').ok_or_else(|| {
            Failure::new(format!(
                "--rename {rename}: it is OLD=NEW, or TABLE.OLD=NEW"
            ))
        })?;
        let Some(old) = column_of(old, live) else {
            continue;
        };
        if live.column(new).is_none() {
            return Err(no_column(live, new, "--rename"));
        }
        if !before.kept.iter().any(|(name, _)| *name == old) {
            return Err(Failure::new(format!(
                "--rename {rename}: the history of `{}` keeps no column `{old}`",
                live.full_name()
            )));
        }
        renames.push((old, new.to_owned()));
    }
    Ok(renames)
}

/// The columns that are meant of this table: `column`, or `table.column`.
pub(super) fn of_table(arguments: &[String], live: &Table) -> Vec<String> {
    arguments
        .iter()
        .filter_map(|argument| column_of(argument, live))
        .collect()
}

fn column_of(argument: &str, live: &Table) -> Option<String> {
    match argument.rsplit_once('.') {
        Some((table, column)) => {
            (table == live.full_name() || table == live.name).then(|| column.to_owned())
        }
        None => Some(argument.to_owned()),
    }
}

pub(super) fn no_column(live: &Table, column: &str, option: &str) -> Failure {
    let names: Vec<_> = live
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    Failure::new(format!(
        "{option}: `{}` has no column `{column}`, it has {}; say TABLE.COLUMN for one of several tables",
        live.full_name(),
        names.join(", ")
    ))
}

pub(super) fn excluded_key(live: &Table, column: &str) -> Failure {
    Failure::new(format!(
        "--exclude {column}: it is part of the key of `{}`, and history is that of a key",
        live.full_name()
    ))
}
