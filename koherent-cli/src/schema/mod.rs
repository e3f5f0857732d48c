//! `koherent schema`: histories for Rust, beside what `diesel print-schema` writes.
//!
//! Diesel's command prints every table, and lets each appear with each other in a query: with histories, and Koherent's own
//! tables, that is four times as much to compile. So they are kept out of it by a filter in `diesel.toml`, and declared in a module
//! of their own, where each history meets its table alone.

mod diesel_toml;
mod module;

use std::fs;
use std::path::PathBuf;

use clap::Args;

use crate::database::Database;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::registry::{Audited, audited, live};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The tables; by default all that are under audit.
    tables: Vec<String>,
    /// The file to write the module to, src/koherent_schema.rs for instance. By default it is printed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The module with the tables that `diesel print-schema` writes.
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
    let tables = audited(database, &arguments.tables)?;
    let mut histories = Vec::new();
    for table in tables {
        let there = live(database, &table)?;
        let history = crate::entry::history_table(database, &table)?;
        histories.push((table, there, history));
    }
    let module = module::module(&histories, &arguments.module);
    match &arguments.out {
        Some(file) => {
            write(file, &module)?;
            output.line(&format!("wrote {}", file.display()))
        }
        None if arguments.diesel_toml.is_some() => Ok(()),
        None => output.line(module.trim_end()),
    }
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
