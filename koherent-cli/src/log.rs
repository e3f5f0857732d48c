//! `koherent log`: entries of one table or of all, newest first.

use chrono::{DateTime, Duration, NaiveDate, Utc};
use clap::Args;
use koherent_core::{Clock as _, SystemClock};

use crate::database::Database;
use crate::entry::{Entry, Reading, change_line, history_table};
use crate::failure::Result;
use crate::output::{Format, Output};
use crate::registry::with_history;
use crate::value::key_filter;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only entries of this table.
    #[arg(long)]
    table: Option<String>,
    /// Only entries of the row with this key, of --table. A key of several columns is written with commas between its values,
    /// or as a JSON array.
    #[arg(long, requires = "table")]
    key: Option<String>,
    /// Only entries under this task.
    #[arg(long)]
    task: Option<String>,
    /// Only entries of this user.
    #[arg(long)]
    user: Option<String>,
    /// Only entries since then: 2026-11-21, 2026-11-21T10:00:00Z, or an age such as 90m, 12h, 7d.
    #[arg(long, value_parser = date)]
    since: Option<DateTime<Utc>>,
    /// Only entries before then.
    #[arg(long, value_parser = date)]
    until: Option<DateTime<Utc>>,
    /// At most this many entries, 0 for all. By default 50 in a table, else all.
    #[arg(long, short = 'n')]
    limit: Option<usize>,
    /// How to show them.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// Reads a date, a time (RFC 3339) or an age.
pub(crate) fn date(text: &str) -> std::result::Result<DateTime<Utc>, String> {
    if let Ok(date) = DateTime::parse_from_rfc3339(text) {
        return Ok(date.to_utc());
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(date.and_time(chrono::NaiveTime::MIN).and_utc());
    }
    let age = text
        .split_at_checked(text.len().saturating_sub(1))
        .and_then(|(number, unit)| {
            let number = number.parse::<i64>().ok()?;
            match unit {
                "m" => Duration::try_minutes(number),
                "h" => Duration::try_hours(number),
                "d" => Duration::try_days(number),
                _ => None,
            }
        });
    let now: DateTime<Utc> = SystemClock.now().into();
    age.and_then(|age| now.checked_sub_signed(age))
        .ok_or_else(|| {
            "it is a date (2026-11-21), a time (2026-11-21T10:00:00Z) or an age (90m, 12h, 7d)"
                .to_owned()
        })
}

const TABLE_COLUMNS: [&str; 6] = ["entry", "date (UTC)", "what", "who", "task", "changes"];
const CSV_COLUMNS: [&str; 13] = [
    "entry",
    "table",
    "key",
    "kind",
    "date",
    "user",
    "client",
    "organization",
    "task",
    "transaction",
    "reason",
    "captured",
    "changes",
];

pub(crate) fn run(
    database: &mut Database,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<()> {
    let engine = database.engine();
    let tables = match &arguments.table {
        Some(table) => with_history(database, std::slice::from_ref(table))?,
        None => with_history(database, &[])?,
    };
    let mut filter = Vec::new();
    for (column, value) in [
        ("history_task", &arguments.task),
        ("history_user", &arguments.user),
    ] {
        if let Some(value) = value {
            filter.push(format!("h.{column} = {}", engine.literal(value)));
        }
    }
    for (operator, date) in [(">=", arguments.since), ("<", arguments.until)] {
        if let Some(date) = date {
            filter.push(format!(
                "h.history_date {operator} {}",
                engine.date_literal(date)
            ));
        }
    }
    let mut sources = Vec::new();
    for table in tables {
        let history = history_table(database, &table)?;
        let mut filter = filter.clone();
        if let Some(key) = &arguments.key {
            filter.push(key_filter(engine, &table, &history, key)?);
        }
        sources.push(Source {
            reading: Reading {
                table,
                history,
                filter,
            },
            page: Vec::new().into_iter().peekable(),
            last: None,
            is_over: false,
        });
    }

    let format = output.format(arguments.format);
    let usual = if format == Format::Table { 50 } else { 0 };
    let limit = match arguments.limit.unwrap_or(usual) {
        0 => usize::MAX,
        limit => limit,
    };
    let columns: &'static [&'static str] = match format {
        Format::Csv => &CSV_COLUMNS,
        _ => &TABLE_COLUMNS,
    };
    let mut list = output.list(format, columns)?;
    for _ in 0..limit {
        // The newest of all tables.
        let mut newest: Option<(usize, String)> = None;
        for (at, source) in sources.iter_mut().enumerate() {
            if let Some(sort) = source.peek(database, limit)?
                && newest.as_ref().is_none_or(|(_, newest)| sort > *newest)
            {
                newest = Some((at, sort));
            }
        }
        let Some(entry) = newest.and_then(|(at, _)| sources[at].page.next()) else {
            break;
        };
        list.push(entry.to_json(), cells(&entry, format))?;
    }
    list.finish("no entries")?;
    Ok(())
}

/// The entries of a table, page by page.
struct Source {
    reading: Reading,
    page: std::iter::Peekable<std::vec::IntoIter<Entry>>,
    last: Option<(String, i64)>,
    is_over: bool,
}

impl Source {
    /// The date of its next entry.
    fn peek(&mut self, database: &mut Database, limit: usize) -> Result<Option<String>> {
        const PAGE: usize = 500;
        if self.page.peek().is_none() && !self.is_over {
            let size = PAGE.min(limit);
            let page = self.reading.page(database, self.last.as_ref(), size)?;
            self.is_over = page.len() < size;
            self.last = page.last().map(|entry| (entry.sort.clone(), entry.id));
            self.page = page.into_iter().peekable();
        }
        Ok(self.page.peek().map(|entry| entry.date.clone()))
    }
}

/// What a table or CSV shows of an entry.
fn cells(entry: &Entry, format: Format) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    if format == Format::Csv {
        let mut cells = vec![
            entry.name(),
            entry.table.clone(),
            entry.key.join(","),
            entry.kind.to_owned(),
            entry.date.clone(),
        ];
        cells.extend(entry.stamps.iter().map(text));
        cells.push(entry.context("captured").unwrap_or_default().to_owned());
        cells.push(entry.to_json()["changes"].to_string());
        return cells;
    }
    let changes: Vec<_> = entry.changes.iter().map(change_line).collect();
    vec![
        entry.name(),
        entry
            .date
            .get(..19)
            .unwrap_or(&entry.date)
            .replace('T', " "),
        format!("{} {}", entry.kind, entry.key.join(",")),
        entry.who(),
        text(&entry.stamps[3]),
        changes.join("\n"),
    ]
}
