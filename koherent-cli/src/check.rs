//! `koherent check`: do tables, histories and guards fit each other?

use clap::Args;
use koherent_diesel::Policy;
use serde_json::{Map, Value};

use crate::database::{Database, Engine, Table, describe};
use crate::failure::Result;
use crate::migration::null_keys;
use crate::output::{Format, Output};
use crate::own::orphans;
use crate::registry::{Audited, audited, live, registered, successor};
use crate::writers::{is_trigger_capture_optional, writers};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The tables; by default all that are under audit.
    tables: Vec<String>,
    /// How to show the differences.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

pub(crate) fn run(
    database: &mut Database,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<bool> {
    let mut differences = unregistered(database)?;
    let tables = match registered(database)? {
        // Somebody may have emptied the list.
        none if none.is_empty() && !differences.is_empty() => none,
        _ => audited(database, &arguments.tables)?,
    };
    for table in &tables {
        let name = table.full_name();
        let there = match live(database, table) {
            Ok(there) => there,
            Err(failure) => {
                differences.push((name, failure.to_string()));
                continue;
            }
        };
        differences
            .extend(null_keys(database, &there)?.map(|difference| (name.clone(), difference)));
        let tracked = table.tracked(&there);
        match database.check(vec![tracked]) {
            Ok(found) => differences.extend(
                found
                    .iter()
                    .map(|difference| (name.clone(), difference.to_string())),
            ),
            Err(failure) => differences.push((name.clone(), failure.to_string())),
        }
        differences.extend(writers_refused_by_guard(database, table, &there)?);
        for column in &there.columns {
            let is_kept = table.kept.iter().any(|(kept, _)| *kept == column.name);
            if !is_kept && !table.excluded.contains(&column.name) {
                let difference = format!(
                    "the column `{}` of the table `{}` is not in its history, and not excluded from it: follow with `koherent migration generate {name}`, with --exclude {} if it is a secret",
                    column.name, table.table, column.name
                );
                differences.push((name.clone(), difference));
            }
        }
    }
    differences.extend(left_armed(database, &tables)?);
    for orphan in orphans(database)? {
        let difference = format!(
            "the {} `{}` runs with the rights of `{}`, a user who does not exist here: `koherent setup` creates it anew",
            orphan.kind, orphan.name, orphan.definer
        );
        let table = match orphan.table.as_str() {
            "" => orphan.name,
            table => table.to_owned(),
        };
        differences.push((table, difference));
    }
    // Tables have `koherent_task` in common.
    let mut seen = Vec::new();
    differences.retain(|(_, difference)| {
        let is_new = !seen.contains(difference);
        seen.push(difference.clone());
        is_new
    });

    let format = output.format(arguments.format);
    let mut list = output.list(format, &["table", "difference"])?;
    for (table, difference) in differences {
        let mut object = Map::new();
        object.insert("table".into(), Value::String(table.clone()));
        object.insert("difference".into(), Value::String(difference.clone()));
        list.push(object, vec![table, difference])?;
    }
    let count = list.finish(&format!(
        "no differences: {}, histories and guards fit each other",
        match &tables[..] {
            [table] => table.full_name(),
            _ => format!("{} tables", tables.len()),
        }
    ))?;
    Ok(count == 0)
}

/// Triggers of the application whose writes the guard refuses, although they are part of an audited statement.
fn writers_refused_by_guard(
    database: &mut Database,
    table: &Audited,
    there: &Table,
) -> Result<Option<(String, String)>> {
    if table.policy == Policy::Capture
        || table.captures_triggers
        || !is_trigger_capture_optional(database)?
    {
        return Ok(None);
    }
    let writers = writers(database, there)?;
    let name = table.full_name();
    Ok((!writers.is_empty()).then(|| {
        let difference = format!(
            "triggers seem to write to the table `{name}`, whose guard refuses that, also as part of an audited statement: {}; \
             `koherent migration generate {name}` writes the guard that records it",
            writers.join(", ")
        );
        (name, difference)
    }))
}

/// Tables with a guard that no registration tells of.
fn unregistered(database: &mut Database) -> Result<Vec<(String, String)>> {
    let known = registered(database)?;
    let (value, rest) = match database.engine() {
        Engine::Sqlite => (
            "DISTINCT tbl_name",
            "FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'koherent\\_guard\\_%' ESCAPE '\\'",
        ),
        Engine::Postgres => (
            "c.relname",
            "FROM (SELECT DISTINCT tgrelid FROM pg_trigger WHERE tgname LIKE 'koherent\\_guard\\_%') AS g JOIN pg_class AS c ON c.oid = g.tgrelid \
             WHERE NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid)",
        ),
        Engine::Mysql => (
            "CAST(event_object_table AS CHAR)",
            "FROM information_schema.triggers WHERE event_object_schema = DATABASE() AND trigger_name LIKE 'koherent\\_guard\\_%' GROUP BY event_object_table",
        ),
    };
    let rows = match database.engine() {
        Engine::Sqlite => database.rows(
            &["g.tbl_name".to_owned()],
            &format!("FROM (SELECT {value} {rest}) AS g"),
        )?,
        _ => database.rows(&[value.to_owned()], rest)?,
    };
    let tables = rows.into_iter().flatten().flatten();
    // A table that was renamed stands under the guard of its old name, and is told of there.
    let mut renamed = Vec::new();
    for table in &known {
        if describe(database, &table.full_name())?.is_none() {
            renamed.extend(successor(database, table)?);
        }
    }
    let unknown = tables
        .filter(|name| !known.iter().any(|table| table.table == *name) && !renamed.contains(name));
    Ok(unknown
        .map(|name| {
            let difference = format!(
                "the table `{name}` has a guard, but `koherent_table` does not say so: somebody took its row away. What `unguard_ddl` \
                 and then `guard_ddl` write registers it anew"
            );
            (name, difference)
        })
        .collect())
}

/// What a transaction says on SQLite is gone when it ends; where it is not, somebody wrote it by hand.
fn left_armed(database: &mut Database, tables: &[Audited]) -> Result<Vec<(String, String)>> {
    if database.engine() != Engine::Sqlite || tables.is_empty() {
        return Ok(Vec::new());
    }
    let there = database.number("count(*)", "FROM koherent_session")?;
    if there != 1 {
        let difference = "`koherent_session` has lost its row, so no guard can be armed: `koherent setup` writes it anew";
        return Ok(vec![("koherent_session".to_owned(), difference.to_owned())]);
    }
    let left = database.number(
        "count(*)",
        "FROM koherent_session WHERE armed IS NOT NULL OR operation IS NOT NULL OR attribution IS NOT NULL",
    )?;
    if left == 0 {
        return Ok(Vec::new());
    }
    let difference = "`koherent_session` is not empty outside of a transaction, so guards let writes through: somebody changed it \
                      by hand. Empty it: UPDATE koherent_session SET armed = NULL, since = NULL, statement_attribution = NULL, \
                      attribution = NULL, operation = NULL";
    Ok(vec![("koherent_session".to_owned(), difference.to_owned())])
}
