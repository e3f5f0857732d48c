//! `koherent schema`: histories for Rust, beside what `diesel print-schema` writes.
//!
//! Diesel's command prints every table, and lets each appear with each other in a query: with histories, and Koherent's own
//! tables, that is four times as much to compile. So they are kept out of it by a filter in `diesel.toml`, and declared in a module
//! of their own, where each history meets its table alone.

mod diesel_toml;
mod module;
mod printed;

use std::fs;
use std::path::PathBuf;

use clap::Args;

use module::{History, module};

use crate::database::Database;
use crate::entry::history_table;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::registry::{Audited, audited};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The tables; by default all that are under audit.
    tables: Vec<String>,
    /// The file to write the module to, src/koherent_schema.rs for instance. By default it is printed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The file that `diesel print-schema` writes: histories have the types of their tables.
    #[arg(long, value_name = "FILE", default_value = "src/schema.rs")]
    schema: PathBuf,
    /// The module of that file.
    #[arg(long, value_name = "PATH", default_value = "crate::schema")]
    module: String,
    /// Keep histories and Koherent's own tables out of what `diesel print-schema` writes, by a filter in this file.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "diesel.toml")]
    diesel_toml: Option<PathBuf>,
}

pub(crate) fn run(
    database: &mut Database,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<()> {
    let known = audited(database, &[])?;
    if let Some(file) = &arguments.diesel_toml {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(Failure::new(format!(
                    "{} cannot be read: {error}",
                    file.display()
                )));
            }
        };
        let patterns = diesel_toml::patterns(database, &known)?;
        let filtered = diesel_toml::filtered(&text, &patterns)
            .map_err(|what| Failure::new(format!("{}: {what}", file.display())))?;
        write(file, &filtered)?;
        output.line(&format!("wrote {}", file.display()))?;
    }
    if arguments.out.is_none() && arguments.diesel_toml.is_some() {
        return Ok(());
    }
    let tables = audited(database, &arguments.tables)?;
    let module = module(&histories(database, arguments, tables)?, &arguments.module);
    match &arguments.out {
        Some(file) => {
            write(file, &module)?;
            output.line(&format!("wrote {}", file.display()))
        }
        None => output.line(module.trim_end()),
    }
}

/// The histories, with what Diesel has printed of their tables.
fn histories(
    database: &mut Database,
    arguments: &Arguments,
    tables: Vec<Audited>,
) -> Result<Vec<History>> {
    let file = arguments.schema.display();
    let print = "`diesel print-schema` writes it, --schema says where it is";
    let text = fs::read_to_string(&arguments.schema)
        .map_err(|error| Failure::new(format!("{file} cannot be read: {error}; {print}")))?;
    let mut printed = printed::tables(&text, &arguments.module).map_err(|error| {
        Failure::new(format!(
            "{file} is not what Diesel prints: {error}; {print}"
        ))
    })?;
    let mut histories = Vec::new();
    for audited in tables {
        let history = history_table(database, &audited)?;
        let is_same = |printed: &printed::Printed| {
            printed.sql_name == audited.table && printed.schema == audited.schema
        };
        let lacks = |what: &str| {
            Failure::new(format!(
                "{file} lacks {what}: run `diesel print-schema` first, and look at its filter in diesel.toml"
            ))
        };
        let at = printed.iter().position(is_same);
        let at = at.ok_or_else(|| lacks(&format!("the table `{}`", audited.full_name())))?;
        let printed = printed.swap_remove(at);
        let missing = audited.kept.iter().find(|(column, _)| {
            !printed
                .columns
                .iter()
                .any(|printed| printed.sql_name == *column)
        });
        if let Some((column, _)) = missing {
            return Err(lacks(&format!(
                "the column `{}.{column}`",
                audited.full_name()
            )));
        }
        histories.push(History {
            audited,
            history,
            printed,
        });
    }
    Ok(histories)
}

fn write(file: &std::path::Path, text: &str) -> Result<()> {
    fs::write(file, text)
        .map_err(|error| Failure::new(format!("{} cannot be written: {error}", file.display())))
}

/// The name of a history, as a pattern takes it.
fn exactly(audited: &Audited) -> String {
    let mut pattern = String::from("^");
    for character in audited.history.chars() {
        if !character.is_alphanumeric() && character != '_' {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('$');
    pattern
}
