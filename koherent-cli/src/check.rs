//! `koherent check`: do tables, histories and guards fit each other?

use clap::Args;
use serde_json::{Map, Value};

use crate::database::{Database, Engine};
use crate::failure::Result;
use crate::output::{Format, Output};
use crate::registry::{Audited, audited, live};

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
    let tables = audited(database, &arguments.tables)?;
    let mut differences: Vec<(String, String)> = Vec::new();
    for table in &tables {
        let name = table.full_name();
        let there = match live(database, table) {
            Ok(there) => there,
            Err(failure) => {
                differences.push((name, failure.to_string()));
                continue;
            }
        };
        let tracked = table.tracked(&there);
        let found = database.check(vec![tracked])?;
        differences.extend(
            found
                .iter()
                .map(|difference| (name.clone(), difference.to_string())),
        );
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
        "no differences: {} tables, their histories and their guards fit each other",
        tables.len()
    ))?;
    Ok(count == 0)
}

/// What a transaction says on SQLite is gone when it ends; where it is not, somebody wrote it by hand.
fn left_armed(database: &mut Database, tables: &[Audited]) -> Result<Vec<(String, String)>> {
    if database.engine() != Engine::Sqlite || tables.is_empty() {
        return Ok(Vec::new());
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
