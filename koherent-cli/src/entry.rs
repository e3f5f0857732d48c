//! Entries of a history, as text.

use serde_json::{Map, Value, json};

use crate::database::{Database, Engine, Row, Table, describe};
use crate::failure::{Failure, Result};
use crate::registry::Audited;
use crate::value::{is_same, value};

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
    /// Its date as the engine writes it, for the next page.
    pub(crate) sort: String,
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

    /// The type of a kept column in the history.
    fn declared(&self, field: &str) -> &str {
        let kept = self.table.kept.iter().find(|(name, _)| name == field);
        let column = kept.and_then(|(_, there)| self.history.column(there));
        column.map_or("", |column| &column.declared)
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
            let is_same_value = match (&old, &new) {
                (Some(old), Some(new)) => is_same(self.declared(field), old, new),
                (old, new) => old == new,
            };
            (!is_same_value).then(|| (field.clone(), old, new))
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
    let name = table.full_history_name();
    describe(database, &name)?.ok_or_else(|| {
        Failure::new(format!(
            "the history table `{name}` does not exist: give it its name back if it was renamed, restore it from a backup if it is lost"
        ))
    })
}
