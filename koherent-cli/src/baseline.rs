//! `koherent baseline`: a first entry for each row that has none.
//!
//! A table that is put under audit has rows already. Their first entry says what they were when the audit began. It is
//! written in batches by key, each a transaction of its own that locks its rows; whatever stops it, it goes on where it
//! was.

use clap::Args;

use crate::database::{Database, Engine};
use crate::failure::{Failure, Result};
use crate::output::{Output, progress};
use crate::prune::Operation;
use crate::registry::{Audited, audited, live};
use crate::stamps::{EntryAttribution, STAMP_COLUMNS};
use crate::value::exact_literal;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The tables.
    #[arg(required_unless_present = "all")]
    tables: Vec<String>,
    /// All tables under audit.
    #[arg(long, conflicts_with = "tables")]
    all: bool,
    /// Who asks for it: what its entries have as their user. By default nobody, and they say `koherent baseline`.
    #[arg(long)]
    user: Option<String>,
    /// Why.
    #[arg(
        long,
        default_value = "first entry of a row that was there before the audit"
    )]
    reason: String,
    /// How many rows one transaction locks.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Say how many rows there are, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(
    database: &mut Database,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<bool> {
    let tables = audited(database, &arguments.tables)?;
    let mut is_whole = true;
    for table in &tables {
        match baseline(database, arguments, table, output) {
            Ok(()) => {}
            // What is wrong with one keeps no other from its first entries.
            Err(failure) if arguments.all => {
                crate::report(&failure);
                is_whole = false;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(is_whole)
}

/// Writes the first entries of a table.
fn baseline(
    database: &mut Database,
    arguments: &Arguments,
    table: &Audited,
    output: &mut Output,
) -> Result<()> {
    let engine = database.engine();
    let there = live(database, table)?;
    let (base, history) = (table.quoted(engine), table.quoted_history(engine));
    let same: Vec<_> = table
        .keys()
        .map(|(key, there)| format!("h.{} = t.{}", engine.quote(there), engine.quote(key)))
        .collect();
    let has_none = format!(
        "NOT EXISTS (SELECT 1 FROM {history} AS h WHERE {})",
        same.join(" AND ")
    );
    // A row without a key has no history (SQLite allows that).
    let has_key = table
        .key
        .iter()
        .map(|key| format!("t.{} IS NOT NULL", engine.quote(key)));
    let has_none = format!(
        "{} AND {has_none}",
        has_key.collect::<Vec<_>>().join(" AND ")
    );
    let missing = database.number("count(*)", &format!("FROM {base} AS t WHERE {has_none}"))?;
    if missing == 0 {
        return output.line(&format!(
            "nothing to do: each row of {} has a history",
            table.full_name()
        ));
    }
    if arguments.dry_run {
        return output.line(&format!(
            "{} of {} without a history",
            rows(missing),
            table.full_name()
        ));
    }

    let transaction = crate::prune::new_transaction();
    let bar = progress(missing, "first entries");
    let keys: Vec<_> = table.key.iter().map(|key| engine.quote(key)).collect();
    let of_row = keys
        .iter()
        .map(|key| format!("t.{key}"))
        .collect::<Vec<_>>()
        .join(", ");
    let key_values: Vec<_> = table
        .key
        .iter()
        .map(|key| exact_literal(engine, &there, "t", key))
        .collect();
    let columns: Vec<_> = table
        .kept
        .iter()
        .map(|(_, there)| engine.quote(there))
        .collect();
    let values: Vec<_> = table
        .kept
        .iter()
        .map(|(name, _)| format!("t.{}", engine.quote(name)))
        .collect();
    let stamps = EntryAttribution {
        user: arguments.user.as_deref(),
        transaction: &transaction,
        reason: &arguments.reason,
        context: serde_json::json!({"system": "koherent baseline"}),
    };
    let stamps = stamps.values(engine, "'+'");
    let name = table.full_name();
    let operation = Operation {
        operation: "baseline",
        user: arguments.user.as_deref(),
        reason: &arguments.reason,
        table: &name,
        transaction: &transaction,
    };
    operation.record(database)?;
    let mut last: Option<Vec<String>> = None;
    let mut written = 0;
    loop {
        let behind = match &last {
            Some(key) => compare(&keys, ">", key, false),
            None => "1 = 1".to_owned(),
        };
        let done = database.transaction_with_retry(|database| {
            // Locked, nobody changes them between the look and the entry.
            let lock = match engine {
                Engine::Sqlite => "",
                Engine::Postgres => " FOR NO KEY UPDATE OF t",
                Engine::Mysql => " FOR UPDATE",
            };
            let rows = database.rows(
                &key_values,
                &format!(
                    "FROM {base} AS t WHERE {behind} AND {has_none} ORDER BY {of_row} LIMIT {}{lock}",
                    arguments.batch
                ),
            )?;
            let Some(end) = rows.last() else {
                return Ok(None);
            };
            let end: Vec<_> = end.iter().map(|value| value.clone().unwrap_or_default()).collect();
            if last.as_ref() == Some(&end) {
                return Err(Failure::new(format!(
                    "`{name}` has a key that cannot be told from the next ({}): write the first entry of that row with an audited update",
                    end.join(", ")
                )));
            }
            let insert = format!(
                "INSERT INTO {history} ({}, {STAMP_COLUMNS}) SELECT {}, {stamps} FROM {base} AS t \
                 WHERE {behind} AND {} AND {has_none} ORDER BY {of_row}",
                columns.join(", "),
                values.join(", "),
                compare(&keys, "<", &end, true),
            );
            let count = database.execute(&insert)?;
            operation.begin(database)?;
            database.execute(&format!(
                "UPDATE koherent_operation SET created_rows = created_rows + {count} WHERE operation_transaction = {} AND tracked_table = {}",
                engine.literal(&transaction),
                engine.literal(&name)
            ))?;
            operation.end(database)?;
            Ok(Some((end, count)))
        })?;
        let Some((end, count)) = done else { break };
        last = Some(end);
        written += count;
        bar.inc(count);
    }
    bar.finish_and_clear();
    output.line(&format!(
        "wrote the first entries of {} of {name}",
        rows(written)
    ))
}

/// `(a > 1 OR (a = 1 AND b > 2))`: as a comparison of rows, MariaDB would take no index for it.
fn compare(keys: &[String], operator: &str, values: &[String], or_equal: bool) -> String {
    let mut sql = String::new();
    for (at, (key, value)) in keys.iter().zip(values).enumerate() {
        let is_last = at + 1 == keys.len();
        let equal = if is_last && or_equal { "=" } else { "" };
        sql.push_str(&format!("(t.{key} {operator}{equal} {value}"));
        if !is_last {
            sql.push_str(&format!(" OR (t.{key} = {value} AND "));
        }
    }
    sql.push_str(&")".repeat(2 * keys.len() - 1));
    sql
}

fn rows(count: u64) -> String {
    match count {
        1 => "1 row".to_owned(),
        _ => format!("{count} rows"),
    }
}
