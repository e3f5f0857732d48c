//! What is shown: tables for people, JSON and CSV for machines.

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{Attribute, Cell, ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value};

use crate::failure::Result;

/// How things are shown. By default as a table on a terminal, else as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns, for people.
    Table,
    /// One JSON array.
    Json,
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values (RFC 4180), which no spreadsheet takes for formulas.
    Csv,
}

/// Standard output.
pub(crate) struct Output {
    out: io::BufWriter<io::Stdout>,
    is_terminal: bool,
    is_coloured: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        let is_terminal = io::stdout().is_terminal();
        // https://no-color.org
        let forbids = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            out: io::BufWriter::new(io::stdout()),
            is_terminal,
            is_coloured: is_terminal && !forbids,
        }
    }

    pub(crate) fn format(&self, asked: Option<Format>) -> Format {
        let usual = if self.is_terminal {
            Format::Table
        } else {
            Format::Json
        };
        asked.unwrap_or(usual)
    }

    pub(crate) fn line(&mut self, line: &str) -> Result<()> {
        writeln!(self.out, "{}", visible(line))?;
        Ok(())
    }

    /// Whatever was written is out.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.out.flush()?;
        Ok(())
    }

    /// Begins a list.
    pub(crate) fn list(
        &mut self,
        format: Format,
        columns: &'static [&'static str],
    ) -> Result<List<'_>> {
        let table = (format == Format::Table).then(|| {
            let mut table = Table::new();
            table
                .load_preset(UTF8_BORDERS_ONLY)
                .set_content_arrangement(ContentArrangement::Dynamic);
            if !self.is_coloured {
                table.force_no_tty();
            }
            if let Some(width) = width() {
                table.set_width(width);
            } else if !self.is_terminal || table.width() == Some(0) {
                // A terminal that does not know how wide it is says 0.
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
            let bold = |column: &&str| Cell::new(column).add_attribute(Attribute::Bold);
            table.set_header(columns.iter().map(bold));
            table
        });
        if format == Format::Csv {
            write_csv(
                &mut self.out,
                columns.iter().map(|column| (*column).to_owned()),
            )?;
        }
        Ok(List {
            output: self,
            format,
            columns,
            table,
            count: 0,
        })
    }
}

/// `COLUMNS`, where somebody set it, and not to 0.
fn width() -> Option<u16> {
    let columns = std::env::var("COLUMNS").ok()?.parse().ok();
    columns.filter(|columns| *columns > 0)
}

/// A list that is being written.
pub(crate) struct List<'o> {
    output: &'o mut Output,
    format: Format,
    columns: &'static [&'static str],
    table: Option<Table>,
    count: usize,
}

impl List<'_> {
    /// Writes an object. `cells` are what a table or CSV shows of it.
    pub(crate) fn push(&mut self, object: Map<String, Value>, cells: Vec<String>) -> Result<()> {
        debug_assert_eq!(cells.len(), self.columns.len());
        let out = &mut self.output.out;
        match (&mut self.table, self.format) {
            (Some(table), _) => {
                table.add_row(cells.iter().map(|cell| visible(cell)));
            }
            (None, Format::Csv) => write_csv(out, cells.into_iter())?,
            (None, Format::Jsonl) => writeln!(out, "{}", Value::Object(object))?,
            (None, _) => {
                let separator = if self.count == 0 { "[\n" } else { ",\n" };
                write!(out, "{separator}  {}", Value::Object(object))?;
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Ends it. A table that would be empty is this line instead.
    pub(crate) fn finish(self, nothing: &str) -> Result<usize> {
        let out = &mut self.output.out;
        match (self.table, self.format) {
            (Some(_), _) if self.count == 0 => writeln!(out, "{nothing}")?,
            (Some(table), _) => writeln!(out, "{table}")?,
            (None, Format::Json) if self.count == 0 => writeln!(out, "[]")?,
            (None, Format::Json) => writeln!(out, "\n]")?,
            _ => {}
        }
        Ok(self.count)
    }
}

/// Control characters as they are written in Rust: a value in a database must not move the cursor of who looks at it.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            _ if character.is_control() => shown.extend(character.escape_unicode()),
            _ => shown.push(character),
        }
    }
    shown
}

fn write_csv(out: impl Write, cells: impl Iterator<Item = String>) -> Result<()> {
    let mut line = csv::WriterBuilder::new().from_writer(out);
    // A spreadsheet would run these (OWASP, CSV injection).
    let safe = cells.map(|cell| match cell.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{cell}"),
        _ => cell,
    });
    line.write_record(safe)?;
    line.flush()?;
    Ok(())
}

/// How far a long work is, on standard error; nothing where that is no terminal.
pub(crate) fn progress(total: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg} [{wide_bar}] {pos}/{len} ({eta})");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.with_message(what)
}
