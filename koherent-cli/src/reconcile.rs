//! `koherent reconcile`: do the latest entries say what the rows are?
//!
//! Guards keep writes from going around the audit; this finds those that did it all the same, because a trigger was dropped,
//! a file was restored, a replica was written to. It reads, and locks nothing; with `--settle` it writes entries by which histories say again
//! what the rows are, those of a recorded pause for instance.

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use crate::database::{Database, Engine, Table};
use crate::entry::{change_line, history_table};
use crate::failure::{Failure, Result};
use crate::output::{Format, Output, progress};
use crate::prune::{Operation, new_transaction};
use crate::registry::{Audited, audited, live};
use crate::stamps::{EntryAttribution, STAMP_COLUMNS};
use crate::value::value;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The tables; by default all that are under audit.
    tables: Vec<String>,
    /// Write entries for what was found, so that each history says again what its row is. Missing entries stay missing.
    #[arg(long)]
    settle: bool,
    /// Who asks for it: what these entries have as their user. By default nobody, and they say `koherent reconcile`.
    #[arg(long, requires = "settle")]
    user: Option<String>,
    /// Why: what these entries have as their reason.
    #[arg(
        long,
        default_value = "changed around the audit, and found by koherent reconcile"
    )]
    reason: String,
    /// How to show what was found.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// What is wrong with a row.
struct Finding {
    table: String,
    key: Vec<String>,
    what: String,
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
    let mut problems = Vec::new();
    for table in &tables {
        match reconcile(database, table, arguments, &bar) {
            Ok((compared, found)) => {
                rows += compared;
                findings.extend(found);
            }
            // A table that cannot be compared keeps no other from it.
            Err(failure) if arguments.tables.is_empty() => problems.push(failure),
            Err(failure) => return Err(failure),
        }
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
        object.insert("what".into(), finding.what.clone().into());
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
            finding.what,
            entry,
            shown,
        ];
        list.push(object, cells)?;
    }
    let count = list.finish(&format!(
        "compared {rows} rows of {}: each is what its history says",
        match &tables[..] {
            [table] => table.full_name(),
            _ => format!("{} tables", tables.len() - problems.len()),
        }
    ))?;
    for problem in &problems {
        crate::report(problem);
    }
    Ok(count == 0 && problems.is_empty())
}

/// Compares the rows of a table with their entries. Says how many there are, and what is wrong.
fn reconcile(
    database: &mut Database,
    table: &Audited,
    arguments: &Arguments,
    bar: &ProgressBar,
) -> Result<(u64, Vec<Finding>)> {
    let live = live(database, table)?;
    let history = history_table(database, table)?;
    let engine = database.engine();
    let reconciliation = Reconciliation {
        engine,
        table,
        live: &live,
        history: &history,
        pauses: pauses(database, table)?,
    };
    let rows = database.number("count(*)", &format!("FROM {}", table.quoted(engine)))?;
    let mut findings = reconciliation.changed(database)?;
    bar.inc(1);
    findings.extend(reconciliation.without_history(database)?);
    bar.inc(1);
    findings.extend(reconciliation.gone(database)?);
    bar.inc(1);
    if arguments.settle && !findings.is_empty() {
        reconciliation.settle(database, arguments)?;
        for finding in &mut findings {
            finding.what.push_str("; settled: its history says so now");
        }
    }
    findings.extend(reconciliation.gaps(database)?);
    bar.inc(1);
    Ok((rows, findings))
}

/// A recorded pause of the audit.
struct Pause {
    date: String,
    /// When, by whom and why.
    what: String,
}

/// The pauses during which rows of a table were changed, oldest first.
fn pauses(database: &mut Database, table: &Audited) -> Result<Vec<Pause>> {
    let engine = database.engine();
    let values = [
        engine.date("operation_date"),
        engine.text("operation_user"),
        engine.text("operation_reason"),
    ];
    // Guards say the bare name.
    let bare = engine.literal(&table.table);
    let rows = database.rows(
        &values,
        &format!(
            "FROM koherent_operation WHERE operation = 'pause' AND tracked_table IN ({bare}, {}) ORDER BY operation_date",
            table.all_names(engine)
        ),
    )?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let [date, user, reason] = <[_; 3]>::try_from(row).unwrap_or_default();
            let date = date.unwrap_or_default();
            let by = user.map(|user| format!(" by {user}")).unwrap_or_default();
            let why = reason
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            Pause {
                what: format!("{date}{by}{why}"),
                date,
            }
        })
        .collect())
}

struct Reconciliation<'r> {
    engine: Engine,
    table: &'r Audited,
    live: &'r Table,
    history: &'r Table,
    pauses: Vec<Pause>,
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

    /// The key, the entry and its date, of which a finding is made.
    fn values(&self, alias: &str) -> Vec<String> {
        let mut values = self.key(alias);
        values.push(self.engine.text("h.history_id"));
        values.push(self.engine.date("h.history_date"));
        values
    }

    fn finding(&self, row: &[Option<String>], what: &str) -> Finding {
        let keys = self.table.key.len();
        let key = row[..keys]
            .iter()
            .map(|value| value.clone().unwrap_or_default());
        let entry = row.get(keys).cloned().flatten();
        let date = row
            .get(keys + 1)
            .and_then(Option::as_deref)
            .unwrap_or_default();
        // What came behind the entry.
        let pause = self.pauses.iter().find(|pause| pause.date.as_str() >= date);
        let table = self.table.full_name();
        Finding {
            key: key.collect(),
            what: match pause {
                Some(pause) => format!(
                    "{what}, perhaps in the pause of {}; `koherent reconcile --settle` lets its history say so",
                    pause.what
                ),
                None => what.to_owned(),
            },
            entry: entry.map(|id| format!("{table}/{id}")),
            fields: Vec::new(),
            table,
        }
    }

    /// Whether a row `t` is another than its latest entry `h` says.
    fn differing(&self) -> String {
        let differs = self.table.kept.iter().map(|(name, there)| {
            match self.table.since.get(name) {
                // Entries from before the history had the column know nothing of it.
                Some(since) => format!("h.history_id > {since} AND {}", self.differs(name, there)),
                None => self.differs(name, there),
            }
        });
        format!(
            "h.history_kind = '-' OR {}",
            differs.collect::<Vec<_>>().join(" OR ")
        )
    }

    /// Rows that are not what their latest entry says, and rows whose latest entry says that they are gone.
    fn changed(&self, database: &mut Database) -> Result<Vec<Finding>> {
        let columns: Vec<_> = self.table.kept.iter().collect();
        let missing = columns.iter().find(|(name, there)| {
            self.live.column(name).is_none() || self.history.column(there).is_none()
        });
        if let Some((name, _)) = missing {
            return Err(Failure::new(format!(
                "the history of `{0}` does not fit it, as `koherent check` says (column `{name}`): follow with `koherent migration generate {0}` first",
                self.table.full_name()
            )));
        }
        let mut values = self.values("t");
        values.push(self.engine.text("h.history_kind"));
        for (name, there) in &columns {
            values.push(value(self.engine, self.history, "h", there));
            values.push(value(self.engine, self.live, "t", name));
        }
        let rest = format!(
            "FROM {} JOIN {} AS t ON {} WHERE {}",
            self.latest(),
            self.table.quoted(self.engine),
            self.same_key("t", "h"),
            self.differing(),
        );
        let rows = database.rows(&values, &rest)?;
        Ok(rows.iter().map(|row| self.changed_row(row)).collect())
    }

    /// The key, the entry, its date and its kind; and each column in the history and in the row.
    fn changed_row(&self, row: &[Option<String>]) -> Finding {
        let keys = self.table.key.len();
        if row.get(keys + 2).and_then(Option::as_deref) == Some("-") {
            return self.finding(
                row,
                "the row is there, but its history says that it was deleted",
            );
        }
        let id: i64 = row[keys]
            .as_deref()
            .and_then(|id| id.parse().ok())
            .unwrap_or_default();
        let knows = |name: &String| self.table.since.get(name).is_none_or(|since| id > *since);
        let fields = self
            .table
            .kept
            .iter()
            .zip(row[keys + 3..].chunks_exact(2))
            .filter(|((name, _), pair)| pair[0] != pair[1] && knows(name))
            .map(|((name, _), pair)| (name.clone(), pair[0].clone(), pair[1].clone()));
        Finding {
            fields: fields.collect(),
            ..self.finding(row, "the row was changed around the audit")
        }
    }

    /// Where rows without any entry are found.
    fn rows_without(&self) -> String {
        format!(
            "FROM {} AS t WHERE NOT EXISTS (SELECT 1 FROM {} AS h WHERE {})",
            self.table.quoted(self.engine),
            self.table.quoted_history(self.engine),
            self.same_key("t", "h"),
        )
    }

    fn without_history(&self, database: &mut Database) -> Result<Vec<Finding>> {
        let mut values = self.key("t");
        values.push("NULL".to_owned());
        values.push("NULL".to_owned());
        let rows = database.rows(&values, &self.rows_without())?;
        let what =
            "the row has no history: created around the audit, or before it (`koherent baseline`)";
        Ok(rows.iter().map(|row| self.finding(row, what)).collect())
    }

    /// Where entries are found whose row is not there.
    fn entries_without(&self) -> String {
        format!(
            "FROM {} WHERE h.history_kind <> '-' AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})",
            self.latest(),
            self.table.quoted(self.engine),
            self.same_key("t", "h"),
        )
    }

    fn gone(&self, database: &mut Database) -> Result<Vec<Finding>> {
        let rows = database.rows(&self.values("h"), &self.entries_without())?;
        let what = "the row is gone, but its history does not say so: deleted around the audit";
        Ok(rows.iter().map(|row| self.finding(row, what)).collect())
    }

    /// Writes the entries by which the history says what the rows are.
    fn settle(&self, database: &mut Database, arguments: &Arguments) -> Result<()> {
        let (engine, table) = (self.engine, self.table.full_tracked_name());
        let transaction = new_transaction();
        let operation = Operation {
            operation: "baseline",
            user: arguments.user.as_deref(),
            reason: &arguments.reason,
            table: &table,
            transaction: &transaction,
        };
        operation.record(database)?;
        let stamps = EntryAttribution {
            user: arguments.user.as_deref(),
            transaction: &transaction,
            reason: &arguments.reason,
            context: json!({"system": "koherent reconcile"}),
        };
        let base = self.table.quoted(engine);
        database.transaction_with_retry(|database| {
            // Nobody changes a row between the look and the entry.
            match engine {
                Engine::Sqlite => {}
                Engine::Postgres => {
                    database.batch(&format!("LOCK TABLE {base} IN SHARE ROW EXCLUSIVE MODE"))?;
                }
                Engine::Mysql => {
                    database.number("COUNT(*)", &format!("FROM {base} AS t FOR UPDATE"))?;
                }
            }
            let changed = format!(
                "FROM {} JOIN {base} AS t ON {} WHERE {}",
                self.latest(),
                self.same_key("t", "h"),
                self.differing()
            );
            let kind = "CASE h.history_kind WHEN '-' THEN '+' ELSE '~' END";
            let created = self.insert(database, "t", &stamps.values(engine, "'+'"), &self.rows_without())?;
            let deleted = self.insert(database, "h", &stamps.values(engine, "'-'"), &self.entries_without())?;
            let updated = self.insert(database, "t", &stamps.values(engine, kind), &changed)?;
            operation.begin(database)?;
            database.execute(&format!(
                "UPDATE koherent_operation SET created_rows = created_rows + {created}, updated_rows = updated_rows + {updated}, \
                 deleted_rows = deleted_rows + {deleted} WHERE operation_transaction = {} AND tracked_table = {}",
                engine.literal(&transaction),
                engine.literal(&table)
            ))?;
            operation.end(database)
        })
    }

    /// Writes entries with the values of rows `t`, or of entries `h`.
    fn insert(
        &self,
        database: &mut Database,
        alias: &str,
        stamps: &str,
        rest: &str,
    ) -> Result<u64> {
        let engine = self.engine;
        let columns = self.table.kept.iter().map(|(_, there)| engine.quote(there));
        let values = self.table.kept.iter().map(|(name, there)| {
            let name = if alias == "t" { name } else { there };
            format!("{alias}.{}", engine.quote(name))
        });
        database.execute(&format!(
            "INSERT INTO {} ({}, {STAMP_COLUMNS}) SELECT {}, {stamps} {rest}",
            self.table.quoted_history(engine),
            columns.collect::<Vec<_>>().join(", "),
            values.collect::<Vec<_>>().join(", "),
        ))
    }

    /// Entries that do not follow from the one before: a create of a row that was there, an update or a delete of one that was
    /// not. Where old entries were pruned, the first of those that are left may be any.
    fn gaps(&self, database: &mut Database) -> Result<Vec<Finding>> {
        let engine = self.engine;
        let pruned = database.number(
            "count(*)",
            &format!(
                "FROM koherent_operation WHERE operation = 'prune' AND deleted_rows > 0 AND tracked_table IN ({})",
                self.table.all_names(engine)
            ),
        )?;
        let values = self.values("h");
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
        let found = rows.iter().map(|row| Finding {
            what: what.to_owned(),
            ..self.finding(row, what)
        });
        Ok(found.collect())
    }
}
