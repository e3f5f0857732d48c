//! `koherent reconcile`: do the latest entries say what the rows are?
//!
//! Guards keep writes from going around the audit; this finds those that did it all the same, because a trigger was dropped,
//! a file was restored, a replica was written to. It reads, and locks nothing.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::database::{Database, Engine, Table};
use crate::entry::{change_line, history_table};
use crate::failure::{Failure, Result};
use crate::output::{Format, Output, progress};
use crate::registry::{Audited, audited, live};
use crate::value::value;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The tables; by default all that are under audit.
    tables: Vec<String>,
    /// How to show what was found.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// What is wrong with a row.
struct Finding {
    table: String,
    key: Vec<String>,
    what: &'static str,
    entry: Option<String>,
    fields: Vec<(String, Option<String>, Option<String>)>,
}

pub(crate) fn run(
    database: &mut Database,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<bool> {
    let tables = audited(database, &arguments.tables)?;
    let format = output.format(arguments.format);
    let bar = progress(tables.len() as u64 * 4, "reconciling");
    let mut rows = 0;
    let mut findings = Vec::new();
    for table in &tables {
        let live = live(database, table)?;
        let history = history_table(database, table)?;
        let reconciliation = Reconciliation {
            engine: database.engine(),
            table,
            live: &live,
            history: &history,
        };
        rows += database.number(
            "count(*)",
            &format!("FROM {}", table.quoted(database.engine())),
        )?;
        findings.extend(reconciliation.changed(database)?);
        bar.inc(1);
        findings.extend(reconciliation.without_history(database)?);
        bar.inc(1);
        findings.extend(reconciliation.gone(database)?);
        bar.inc(1);
        findings.extend(reconciliation.gaps(database)?);
        bar.inc(1);
    }
    bar.finish_and_clear();

    let columns = &["table", "key", "what", "entry", "fields"];
    let mut list = output.list(format, columns)?;
    for finding in findings {
        let change = |(field, old, new): &(String, Option<String>, Option<String>)| json!({"field": field, "history": old, "row": new});
        let fields: Value = finding.fields.iter().map(change).collect();
        let mut object = Map::new();
        object.insert("table".into(), finding.table.clone().into());
        object.insert("key".into(), finding.key.clone().into());
        object.insert("what".into(), finding.what.into());
        object.insert("entry".into(), finding.entry.clone().into());
        object.insert("fields".into(), fields.clone());
        let shown = match format {
            Format::Csv => fields.to_string(),
            _ => {
                let lines: Vec<_> = finding.fields.iter().map(change_line).collect();
                lines.join("\n")
            }
        };
        let entry = finding.entry.unwrap_or_default();
        let cells = vec![
            finding.table,
            finding.key.join(","),
            finding.what.to_owned(),
            entry,
            shown,
        ];
        list.push(object, cells)?;
    }
    let count = list.finish(&format!(
        "compared {rows} rows of {}: each is what its history says",
        match &tables[..] {
            [table] => table.full_name(),
            _ => format!("{} tables", tables.len()),
        }
    ))?;
    Ok(count == 0)
}

struct Reconciliation<'r> {
    engine: Engine,
    table: &'r Audited,
    live: &'r Table,
    history: &'r Table,
}

impl Reconciliation<'_> {
    /// `t.id = h.id AND …`: of the tracked table and a history, or of two histories.
    fn same_key(&self, one: &str, other: &str) -> String {
        let name = |alias: &str, key: &str, there: &str| {
            let name = if alias == "t" { key } else { there };
            format!("{alias}.{}", self.engine.quote(name))
        };
        // Byte by byte: keys that a collation takes for one have histories of their own.
        let collation = match self.engine {
            Engine::Sqlite => " COLLATE BINARY",
            Engine::Postgres | Engine::Mysql => "",
        };
        let same = self.table.keys().map(|(key, there)| {
            format!(
                "{} = {}{collation}",
                name(one, key, there),
                name(other, key, there)
            )
        });
        same.collect::<Vec<_>>().join(" AND ")
    }

    /// The key as text: `alias.id`.
    fn key(&self, alias: &str) -> Vec<String> {
        let text = |(key, there): (&str, &str)| match alias {
            "t" => value(self.engine, self.live, alias, key),
            _ => value(self.engine, self.history, alias, there),
        };
        self.table.keys().map(text).collect()
    }

    /// Whether a column differs, byte by byte, in a row `t` and an entry `h`.
    fn differs(&self, column: &str, there: &str) -> String {
        let (t, h) = (
            format!("t.{}", self.engine.quote(column)),
            format!("h.{}", self.engine.quote(there)),
        );
        match self.engine {
            Engine::Postgres => format!("{t}::text IS DISTINCT FROM {h}::text"),
            Engine::Sqlite => {
                format!("({t} IS NOT {h} COLLATE BINARY OR typeof({t}) <> typeof({h}))")
            }
            Engine::Mysql => {
                format!("NOT ({t} <=> {h} AND CAST({t} AS BINARY) <=> CAST({h} AS BINARY))")
            }
        }
    }

    /// The latest entry of each key: once for all, not looked for at each.
    fn latest(&self) -> String {
        let history = self.table.quoted_history(self.engine);
        let keys: Vec<_> = self
            .table
            .keys()
            .map(|(_, there)| self.engine.quote(there))
            .collect();
        format!(
            "{history} AS h JOIN (SELECT max(history_id) AS latest FROM {history} GROUP BY {}) AS l ON l.latest = h.history_id",
            keys.join(", ")
        )
    }

    fn finding(&self, row: Vec<Option<String>>, what: &'static str) -> Finding {
        let mut values = row.into_iter();
        let key: Vec<_> = (0..self.table.key.len())
            .map(|_| values.next().flatten().unwrap_or_default())
            .collect();
        let entry = values.next().flatten();
        let table = self.table.full_name();
        Finding {
            key,
            what,
            entry: entry.map(|id| format!("{table}/{id}")),
            fields: Vec::new(),
            table,
        }
    }

    /// Rows that are not what their latest entry says, and rows whose latest entry says that they are gone.
    fn changed(&self, database: &mut Database) -> Result<Vec<Finding>> {
        let columns: Vec<_> = self.table.kept.iter().collect();
        let missing = columns.iter().find(|(name, there)| {
            self.live.column(name).is_none() || self.history.column(there).is_none()
        });
        if let Some((name, _)) = missing {
            return Err(Failure::new(format!(
                "the history of `{}` does not fit it, as `koherent check` says (column `{name}`): follow with `koherent migration generate` first",
                self.table.full_name()
            )));
        }
        let mut values = self.key("t");
        values.push(self.engine.text("h.history_id"));
        values.push(self.engine.text("h.history_kind"));
        for (name, there) in &columns {
            values.push(value(self.engine, self.history, "h", there));
            values.push(value(self.engine, self.live, "t", name));
        }
        let differs: Vec<_> = columns
            .iter()
            .map(|(name, there)| match self.table.since.get(name) {
                // Entries from before the history had the column know nothing of it.
                Some(since) => format!("h.history_id > {since} AND {}", self.differs(name, there)),
                None => self.differs(name, there),
            })
            .collect();
        let rest = format!(
            "FROM {} JOIN {} AS t ON {} WHERE h.history_kind = '-' OR {}",
            self.latest(),
            self.table.quoted(self.engine),
            self.same_key("t", "h"),
            differs.join(" OR "),
        );
        let rows = database.rows(&values, &rest)?;
        let keys = self.table.key.len();
        Ok(rows
            .into_iter()
            .map(|row| {
                let is_gone = row.get(keys + 1).and_then(Option::as_deref) == Some("-");
                let fields: Vec<_> = columns
                    .iter()
                    .zip(row[keys + 2..].chunks_exact(2))
                    .filter(|(_, pair)| pair[0] != pair[1])
                    .map(|((name, _), pair)| (name.clone(), pair[0].clone(), pair[1].clone()))
                    .collect();
                if is_gone {
                    self.finding(
                        row,
                        "the row is there, but its history says that it was deleted",
                    )
                } else {
                    let what = "the row was changed around the audit";
                    Finding {
                        fields,
                        ..self.finding(row, what)
                    }
                }
            })
            .collect())
    }

    fn without_history(&self, database: &mut Database) -> Result<Vec<Finding>> {
        let mut values = self.key("t");
        values.push("NULL".to_owned());
        let rest = format!(
            "FROM {} AS t WHERE NOT EXISTS (SELECT 1 FROM {} AS h WHERE {})",
            self.table.quoted(self.engine),
            self.table.quoted_history(self.engine),
            self.same_key("t", "h"),
        );
        let rows = database.rows(&values, &rest)?;
        let what =
            "the row has no history: created around the audit, or before it (`koherent baseline`)";
        Ok(rows
            .into_iter()
            .map(|row| self.finding(row, what))
            .collect())
    }

    fn gone(&self, database: &mut Database) -> Result<Vec<Finding>> {
        let mut values = self.key("h");
        values.push(self.engine.text("h.history_id"));
        let rest = format!(
            "FROM {} WHERE h.history_kind <> '-' AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})",
            self.latest(),
            self.table.quoted(self.engine),
            self.same_key("t", "h"),
        );
        let rows = database.rows(&values, &rest)?;
        let what = "the row is gone, but its history does not say so: deleted around the audit";
        Ok(rows
            .into_iter()
            .map(|row| self.finding(row, what))
            .collect())
    }

    /// Entries that do not follow from the one before: a create of a row that was there, an update or a delete of one that was
    /// not. Where old entries were pruned, the first of those that are left may be any.
    fn gaps(&self, database: &mut Database) -> Result<Vec<Finding>> {
        let engine = self.engine;
        let pruned = database.number(
            "count(*)",
            &format!(
                "FROM koherent_operation WHERE operation = 'prune' AND deleted_rows > 0 AND tracked_table = {}",
                engine.literal(&self.table.full_name())
            ),
        )?;
        let mut values = self.key("h");
        values.push(engine.text("h.history_id"));
        let history = self.table.quoted_history(engine);
        let keys: Vec<_> = self
            .table
            .keys()
            .map(|(_, there)| engine.quote(there))
            .collect();
        // Before the first entry there was no row; where it was pruned, nobody knows.
        let is_wrong = match pruned {
            0 => "(h.history_kind = '+') <> (COALESCE(h.koherent_before, '-') = '-')",
            _ => {
                "h.koherent_before IS NOT NULL AND (h.history_kind = '+') <> (h.koherent_before = '-')"
            }
        };
        let rest = format!(
            "FROM (SELECT e.*, lag(e.history_kind) OVER (PARTITION BY {} ORDER BY e.history_id) AS koherent_before FROM {history} AS e) AS h \
             WHERE {is_wrong}",
            keys.join(", ")
        );
        let rows = database.rows(&values, &rest)?;
        let what = "the entry does not follow from the one before: entries are missing";
        Ok(rows
            .into_iter()
            .map(|row| self.finding(row, what))
            .collect())
    }
}
