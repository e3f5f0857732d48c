//! `koherent log`: entries of one table or of all, newest first.

use chrono::{DateTime, Duration, NaiveDate, Utc};
use clap::Args;
use koherent_core::{Clock as _, SystemClock};
use serde_json::{Map, Value, json};

use crate::database::{Database, Engine, Row, Table, describe};
use crate::failure::{Failure, Result};
use crate::output::{Format, Output};
use crate::registry::{Audited, audited, audited_one};

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

/// An entry, as text.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) table: String,
    pub(crate) id: i64,
    pub(crate) kind: &'static str,
    pub(crate) date: String,
    /// User, client, organization, task, transaction, reason.
    pub(crate) stamps: [Option<String>; 6],
    pub(crate) context: Option<Value>,
    pub(crate) key: Vec<String>,
    /// Field, old value, new value.
    pub(crate) changes: Vec<(String, Option<String>, Option<String>)>,
    /// Field and value, as it is behind the entry (before it, where it is a delete).
    pub(crate) image: Vec<(String, Option<String>)>,
    /// What its history has in columns that are not kept any more.
    pub(crate) earlier: Vec<(String, Option<String>)>,
    /// As the engine orders it.
    sort: String,
}

pub(crate) const STAMPS: [&str; 6] = [
    "user",
    "client",
    "organization",
    "task",
    "transaction",
    "reason",
];

impl Entry {
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.table, self.id)
    }

    pub(crate) fn context(&self, key: &str) -> Option<&str> {
        self.context.as_ref()?.get(key)?.as_str()
    }

    /// Who, in a few words.
    pub(crate) fn who(&self) -> String {
        let [user, client, ..] = &self.stamps;
        let who = match (user, self.context("system")) {
            (Some(user), _) => user.clone(),
            (None, Some(system)) => format!("[{system}]"),
            (None, None) => "-".to_owned(),
        };
        match (client, self.context("captured")) {
            (_, Some(_)) => format!("{who} (captured)"),
            (Some(client), None) => format!("{who} via {client}"),
            (None, None) => who,
        }
    }

    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        put("entry", self.name().into());
        put("table", self.table.clone().into());
        put("id", self.id.into());
        put("key", self.key.clone().into());
        put("kind", self.kind.into());
        put("date", self.date.clone().into());
        for (stamp, value) in STAMPS.iter().zip(&self.stamps) {
            put(stamp, value.clone().into());
        }
        put("captured", self.context("captured").into());
        put("context", self.context.clone().unwrap_or_default());
        let change = |(field, old, new): &(String, Option<String>, Option<String>)| json!({"field": field, "old": old, "new": new});
        put("changes", self.changes.iter().map(change).collect());
        if !self.earlier.is_empty() {
            let earlier = self.earlier.iter();
            let earlier = earlier.map(|(name, value)| (name.clone(), value.clone().into()));
            put("earlier_columns", Value::Object(earlier.collect()));
        }
        object
    }

    fn cells(&self, format: Format) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        if format == Format::Csv {
            let mut cells = vec![
                self.name(),
                self.table.clone(),
                self.key.join(","),
                self.kind.to_owned(),
                self.date.clone(),
            ];
            cells.extend(self.stamps.iter().map(text));
            cells.push(self.context("captured").unwrap_or_default().to_owned());
            cells.push(self.to_json()["changes"].to_string());
            return cells;
        }
        let changes: Vec<_> = self.changes.iter().map(change_line).collect();
        vec![
            self.name(),
            self.date.get(..19).unwrap_or(&self.date).replace('T', " "),
            format!("{} {}", self.kind, self.key.join(",")),
            self.who(),
            text(&self.stamps[3]),
            changes.join("\n"),
        ]
    }
}

/// `name: liver → hepar`.
pub(crate) fn change_line((field, old, new): &(String, Option<String>, Option<String>)) -> String {
    let short = |value: &Option<String>| match value {
        Some(value) if value.chars().count() > 40 => {
            let start: String = value.chars().take(40).collect();
            format!("{}…", start.replace('\n', "\\n"))
        }
        Some(value) => value.replace('\n', "\\n"),
        None => "null".to_owned(),
    };
    format!("{field}: {} → {}", short(old), short(new))
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
        Some(table) => vec![audited_one(database, table)?],
        None => audited(database, &[])?,
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
        list.push(entry.to_json(), entry.cells(format))?;
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

/// How to read entries of a table.
pub(crate) struct Reading {
    pub(crate) table: Audited,
    pub(crate) history: Table,
    pub(crate) filter: Vec<String>,
}

impl Reading {
    /// Entries behind that one, newest first, each with what it changed.
    pub(crate) fn page(
        &self,
        database: &mut Database,
        last: Option<&(String, i64)>,
        size: usize,
    ) -> Result<Vec<Entry>> {
        let engine = database.engine();
        let mut values = vec![
            engine.text("h.history_id"),
            engine.text("h.history_kind"),
            engine.date("h.history_date"),
            engine.text("h.history_date"),
        ];
        for stamp in STAMPS {
            values.push(engine.text(&format!("h.history_{stamp}")));
        }
        values.push(engine.text("h.history_context"));
        values.push(engine.text("p.history_id"));
        for column in self.earlier() {
            values.push(value(engine, &self.history, "h", column));
        }
        for alias in ["h", "p"] {
            for (_, there) in &self.table.kept {
                values.push(value(engine, &self.history, alias, there));
            }
        }
        let mut filter = self.filter.clone();
        if let Some((date, id)) = last {
            let date = match engine {
                Engine::Postgres => format!("{}::timestamptz", engine.literal(date)),
                _ => engine.literal(date),
            };
            // Not as a comparison of rows, for which MariaDB takes no index.
            filter.push(format!(
                "h.history_date <= {date} AND (h.history_date < {date} OR h.history_id < {id})"
            ));
        }
        let filter = match filter.len() {
            0 => String::new(),
            _ => format!("WHERE {}", filter.join(" AND ")),
        };
        let history = self.table.quoted_history(engine);
        let same: Vec<_> = self
            .table
            .keys()
            .map(|(_, there)| {
                let there = engine.quote(there);
                format!("q.{there} = h.{there}")
            })
            .collect();
        let rest = format!(
            "FROM {history} AS h LEFT JOIN {history} AS p ON p.history_id = (SELECT max(q.history_id) FROM {history} AS q \
             WHERE {} AND q.history_id < h.history_id) {filter} ORDER BY h.history_date DESC, h.history_id DESC LIMIT {size}",
            same.join(" AND ")
        );
        let rows = database.rows(&values, &rest)?;
        Ok(rows.into_iter().map(|row| self.entry(row)).collect())
    }

    /// The columns of the history that are not kept any more.
    fn earlier(&self) -> impl Iterator<Item = &str> {
        let own = koherent_diesel::schema::ATTRIBUTION_COLUMNS;
        let names = self
            .history
            .columns
            .iter()
            .map(|column| column.name.as_str());
        names.filter(move |name| {
            let is_kept = self.table.kept.iter().any(|(_, there)| there == name);
            !is_kept && !own.contains(name) && *name != "history_id"
        })
    }

    fn entry(&self, row: Row) -> Entry {
        let mut values = row.into_iter();
        let mut next = || values.next().flatten();
        let id = next().and_then(|id| id.parse().ok()).unwrap_or_default();
        let kind = next().unwrap_or_default();
        let date = next().unwrap_or_default();
        let sort = next().unwrap_or_default();
        let stamps = std::array::from_fn(|_| next());
        let context = next().and_then(|context| serde_json::from_str(&context).ok());
        let previous: Option<i64> = next().and_then(|id| id.parse().ok());
        let earlier = self.earlier().map(|name| (name.to_owned(), next()));
        let earlier: Vec<_> = earlier.filter(|(_, value)| value.is_some()).collect();
        let kept = &self.table.kept;
        let image: Vec<_> = kept
            .iter()
            .map(|(name, _)| (name.clone(), next()))
            .collect();
        let before: Vec<_> = kept.iter().map(|_| next()).collect();
        let key = self.table.key.iter().filter_map(|key| {
            let (_, value) = image.iter().find(|(name, _)| name == key)?;
            value.clone()
        });
        let changes = image.iter().zip(before).filter_map(|((field, now), was)| {
            // Entries from before the history had the column know nothing of it.
            let since = self.table.since.get(field).copied().unwrap_or_default();
            if id <= since || previous.is_some_and(|previous| previous <= since) {
                return None;
            }
            let (old, new) = match kind.as_str() {
                "+" => (None, now.clone()),
                "-" => (now.clone(), None),
                _ => (was, now.clone()),
            };
            (old != new).then(|| (field.clone(), old, new))
        });
        Entry {
            table: self.table.full_name(),
            id,
            kind: match kind.as_str() {
                "+" => "create",
                "-" => "delete",
                _ => "update",
            },
            date,
            sort,
            stamps,
            context,
            key: key.collect(),
            changes: changes.collect(),
            image,
            earlier,
        }
    }
}

/// The history of a table, as the database has it.
pub(crate) fn history_table(database: &mut Database, table: &Audited) -> Result<Table> {
    let name = match &table.history_schema {
        Some(schema) => format!("{schema}.{}", table.history),
        None => table.history.clone(),
    };
    describe(database, &name)?.ok_or_else(|| {
        Failure::new(format!(
            "the history table `{name}` does not exist: run the migration that creates it"
        ))
    })
}

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
fn key_filter(engine: Engine, table: &Audited, history: &Table, key: &str) -> Result<String> {
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
