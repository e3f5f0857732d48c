//! `koherent show`: one entry, whole.

use clap::Args;
use serde_json::Value;

use crate::database::Database;
use crate::entry::{Reading, STAMPS, history_table};
use crate::failure::{Failure, Result};
use crate::output::{Format, Output};
use crate::registry::with_history;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The entry: TABLE/ID, as `log` lists it.
    entry: String,
    /// How to show it.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

pub(crate) fn run(
    database: &mut Database,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<()> {
    let parts = arguments.entry.rsplit_once('/');
    let (table, id) = parts
        .and_then(|(table, id)| Some((table, id.parse::<i64>().ok()?)))
        .ok_or_else(|| {
            Failure::new(format!(
                "`{}` is no entry: it is TABLE/ID, as `koherent log` lists it",
                arguments.entry
            ))
        })?;
    let table = with_history(database, &[table.to_owned()])?.remove(0);
    let history = history_table(database, &table)?;
    let reading = Reading {
        table,
        history,
        filter: vec![format!("h.history_id = {id}")],
    };
    let page = reading.page(database, None, 1)?;
    let entry = page.into_iter().next().ok_or_else(|| {
        Failure::new(format!(
            "there is no entry `{}`: `koherent log` lists those that are there",
            arguments.entry
        ))
    })?;

    let mut object = entry.to_json();
    let image = entry.image.iter();
    let image = image.map(|(field, value)| (field.clone(), value.clone().into()));
    object.insert("row".into(), Value::Object(image.collect()));
    match output.format(arguments.format) {
        Format::Table => {}
        Format::Csv => {
            return Err(Failure::new(
                "`show` has no CSV: use --format table, json or jsonl",
            ));
        }
        Format::Json => {
            let pretty = serde_json::to_string_pretty(&object).unwrap_or_default();
            return output.line(&pretty);
        }
        Format::Jsonl => return output.line(&Value::Object(object).to_string()),
    }
    output.line(&format!(
        "{}  {} {} of {}",
        entry.name(),
        entry.date,
        entry.kind,
        entry.key.join(",")
    ))?;
    for (stamp, value) in STAMPS.iter().zip(&entry.stamps) {
        if let Some(value) = value {
            output.line(&format!("  {stamp}: {value}"))?;
        }
    }
    if let Some(context) = &entry.context {
        output.line(&format!("  context: {context}"))?;
    }
    let format = Format::Table;
    let changed = |field: &str| entry.changes.iter().find(|(name, _, _)| name == field);
    let mut list = output.list(format, &["field", "before", "after"])?;
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    for (field, value) in &entry.image {
        let (old, new) = match (changed(field), entry.kind) {
            (Some((_, old, new)), _) => (text(old), text(new)),
            (None, "update") => (text(value), "=".to_owned()),
            (None, _) => (String::new(), text(value)),
        };
        list.push(serde_json::Map::new(), vec![field.clone(), old, new])?;
    }
    for (field, value) in &entry.earlier {
        let cells = vec![
            format!("{field} (not kept any more)"),
            String::new(),
            text(value),
        ];
        list.push(serde_json::Map::new(), cells)?;
    }
    list.finish("")?;
    Ok(())
}
