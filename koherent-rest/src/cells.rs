//! CSV (RFC 4180) that no spreadsheet takes for formulas.

use koherent_core::{FieldValue, RowKey};
use serde::Serialize;

use crate::answer::{Entry, Value};
use crate::form::Found;
use crate::question::Form;

/// What stands in the first line.
pub(crate) fn header(form: Form) -> Vec<String> {
    let names: &[&str] = match form {
        Form::Entries => &[
            "id",
            "table",
            "key",
            "kind",
            "date",
            "user",
            "client",
            "organization",
            "task",
            "reason",
            "transaction",
            "changes",
        ],
        Form::Activity => &[
            "published",
            "actor",
            "verb",
            "table",
            "key",
            "related",
            "task",
            "added_fields",
            "removed_fields",
            "changed_fields",
        ],
        Form::Changes => &[
            "table",
            "key",
            "field",
            "old",
            "new",
            "date",
            "user",
            "client",
            "organization",
            "task",
            "reason",
            "entry",
        ],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The lines of what was found.
pub(crate) fn csv(found: &Found) -> String {
    match found {
        Found::Entries(entries) => entries.iter().map(|entry| line(of_entry(entry))).collect(),
        Found::Activities(activities) => {
            let cells = activities.iter().map(|activity| {
                vec![
                    activity.published.to_rfc3339(),
                    text(activity.actor.as_deref()),
                    activity.verb.to_owned(),
                    activity.table.to_owned(),
                    key(&activity.key),
                    activity.related.as_ref().map(json).unwrap_or_default(),
                    text(activity.task.as_deref()),
                    json(&activity.added_fields),
                    json(&activity.removed_fields),
                    json(&activity.changed_fields),
                ]
            });
            cells.map(line).collect()
        }
        Found::Changes(changes) => {
            let cells = changes.iter().filter_map(|change| {
                let entry = change.entry.as_deref()?;
                let mut cells = vec![
                    entry.table.to_owned(),
                    key(&entry.key),
                    change.field.to_owned(),
                    value(change.old.as_ref()),
                    value(change.new.as_ref()),
                ];
                cells.extend(circumstances(entry));
                cells.push(entry.id.to_string());
                Some(cells)
            });
            cells.map(line).collect()
        }
    }
}

fn of_entry(entry: &Entry) -> Vec<String> {
    let mut cells = vec![
        entry.id.to_string(),
        entry.table.to_owned(),
        key(&entry.key),
        entry.kind.to_owned(),
    ];
    cells.extend(circumstances(entry));
    cells.extend([
        entry.transaction.clone(),
        json(&entry.changes.as_deref().unwrap_or_default()),
    ]);
    cells
}

/// When, by whom, through which client, for which organization, under which task, why.
fn circumstances(entry: &Entry) -> [String; 6] {
    [
        entry.date.to_rfc3339(),
        text(entry.user.as_deref()),
        text(entry.client.as_deref()),
        text(entry.organization.as_deref()),
        text(entry.task.as_ref().map(|task| task.task_id.as_str())),
        text(entry.reason.as_deref()),
    ]
}

fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Text without quotes, everything else as JSON.
fn value(value: Option<&Value>) -> String {
    value.map(Value::text).unwrap_or_default()
}

/// As `key` takes it.
fn key(values: &[Value]) -> String {
    let values = values.iter().cloned().map(FieldValue::from);
    RowKey::new(values.collect()).to_text()
}

/// A line of cells.
pub(crate) fn line(cells: Vec<String>) -> String {
    let mut line = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    // Writing to memory does not fail, and what was written is text.
    let _ = line.write_record(cells.into_iter().map(harmless));
    String::from_utf8(line.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// A cell that no spreadsheet takes for a formula. Numbers are none.
fn harmless(cell: String) -> String {
    let is_digits = cell.bytes().all(|byte| b"0123456789+-.eE".contains(&byte));
    match cell.chars().next() {
        Some('-') if is_digits && cell.parse::<f64>().is_ok() => cell,
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n') => format!("'{cell}"),
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_texts_and_quotes_are_doubled() {
        let cells = [
            "=1+1",
            "+1",
            "-1",
            "-1.5e-3",
            "-1+2",
            "-inf",
            "@a",
            "a\"b,c",
            "two\nlines",
            "plain",
            "",
        ]
        .map(str::to_owned);
        let expected =
            "'=1+1,'+1,-1,-1.5e-3,'-1+2,'-inf,'@a,\"a\"\"b,c\",\"two\nlines\",plain,\r\n";
        assert_eq!(line(cells.to_vec()), expected);
    }
}
