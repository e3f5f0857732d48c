//! Making entries of the rows that a [`Select`](super::select::Select) returns.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::row::Row;
use koherent_core::{
    ChangeKind, FieldChange, FieldValue, HistoryEntry, RowKey, Task, TaskRecord, delta,
};
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::Error;
use crate::reading::Reading;
use crate::schema::TASK_COLUMNS;
use crate::table::{TrackedTable, ValueKind};

/// An entry, where it was found, and what it kept.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) table: &'static TrackedTable,
    /// Of the groups that were asked for.
    pub(crate) group: usize,
    pub(crate) entry: HistoryEntry,
    /// In the order of the table's columns.
    pub(crate) values: Vec<Option<FieldValue>>,
}

/// Entries, as they come. `finish` makes the answer of them.
pub(crate) struct Entries<F> {
    tables: Vec<&'static TrackedTable>,
    found: Vec<Found>,
    tasks: Tasks,
    finish: F,
}

impl<F> Entries<F> {
    pub(crate) fn new(tables: Vec<&'static TrackedTable>, finish: F) -> Self {
        Self {
            tables,
            found: Vec::new(),
            tasks: Tasks::default(),
            finish,
        }
    }
}

impl<DB, R, F> Reading<DB> for Entries<F>
where
    DB: Engine,
    R: Send + 'static,
    F: FnOnce(Vec<Found>) -> Result<R, Error> + Send + 'static,
{
    type Output = R;

    fn row<'a>(&mut self, row: &impl Row<'a, DB>) -> Result<(), Error> {
        let found = read::<DB>(&self.tables, DB::cells(row), &mut self.tasks)?;
        self.found.push(found);
        Ok(())
    }

    fn finish(self, _: usize) -> Result<R, Error> {
        (self.finish)(self.found)
    }
}

/// The tasks that entries point at, by their ids: many entries share one.
#[derive(Default)]
struct Tasks(HashMap<String, Arc<TaskRecord>>);

/// Reads the columns of [`push_columns`](super::select::push_columns).
fn read<DB: Engine>(
    tables: &[&'static TrackedTable],
    cells: Vec<DB::Cell>,
    tasks: &mut Tasks,
) -> Result<Found, Error> {
    let mut cells = cells.into_iter();
    let mut next = || cells.next().and_then(DB::text);
    let mut number = || next().and_then(|text| text.parse::<i64>().ok());
    let (table_at, group, id) = (number(), number(), number());
    let at = |number: Option<i64>| number.and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
    let (table, id) = (tables[at(table_at)], id.unwrap_or(0));
    let unreadable = |problem| Error::UnreadableEntry {
        table: table.name(),
        id,
        problem,
    };
    let kind = next().as_deref().and_then(ChangeKind::from_code);
    let date = next().and_then(|text| date_from_text(&text).ok());
    let [user, client, organization, task] = std::array::from_fn(|_| next());
    let transaction = next().and_then(|text| text.parse::<Uuid>().ok());
    let reason = next();
    let context = next().map(|text| serde_json::from_str(&text)).transpose();
    let stored: [Option<String>; TASK_COLUMNS.len()] = std::array::from_fn(|_| next());
    let task = tasks.take(task, stored).ok_or(unreadable(
        "its task is not in `koherent_task`, or cannot be read",
    ))?;
    let has_before = next().is_some();
    let mut values = || -> Vec<_> {
        let columns = table.columns.iter();
        columns
            .map(|column| DB::field_value(cells.next()?, column.kind))
            .collect()
    };
    let (values, before) = (values(), values());
    let kind = kind.ok_or(unreadable("its kind is none of `+`, `~` and `-`"))?;
    let before = has_before.then_some(before);
    let key = table.key_positions().into_iter();
    let null = || FieldValue::from_json(serde_json::Value::Null);
    let entry = HistoryEntry {
        id,
        table: table.name(),
        label: table.label(),
        key: RowKey::new(
            key.map(|at| values[at].clone().unwrap_or_else(null))
                .collect(),
        ),
        kind,
        date: date.ok_or(unreadable("its date is none"))?,
        user: user.map(Into::into),
        client: client.map(Into::into),
        organization: organization.map(Into::into),
        task,
        transaction: transaction.ok_or(unreadable("its transaction is no UUID"))?,
        reason,
        context: context.map_err(|_| unreadable("its context is not JSON"))?,
        changes: effective(
            table,
            delta(kind, &table.fields, before.as_deref(), &values),
        ),
    };
    Ok(Found {
        table,
        group: at(group),
        entry,
        values,
    })
}

impl Tasks {
    /// The task of an entry, if it has one; `None` where it should be there and is not.
    fn take(
        &mut self,
        id: Option<String>,
        stored: [Option<String>; TASK_COLUMNS.len()],
    ) -> Option<Option<Arc<TaskRecord>>> {
        let Some(id) = id else {
            return Some(None);
        };
        if let Some(known) = self.0.get(&id) {
            return Some(Some(Arc::clone(known)));
        }
        let record = Arc::new(task_record(stored)?);
        self.0.insert(id, Arc::clone(&record));
        Some(Some(record))
    }
}

/// Reads a date as all engines write it out.
pub(crate) fn date_from_text(text: &str) -> Result<DateTime<Utc>, chrono::ParseError> {
    DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z").map(Into::into)
}

/// Reads the values of [`TASK_COLUMNS`].
pub(super) fn task_record(stored: [Option<String>; TASK_COLUMNS.len()]) -> Option<TaskRecord> {
    let [
        task_id,
        parent,
        root,
        assigner,
        caller,
        agent,
        agent_client_id,
        issuer,
        token_id,
        args_hash,
        args_hash_algorithm,
        organization,
        created_at,
    ] = stored;
    let task = Task {
        task_id: task_id?.into(),
        parent_task_id: parent.map(Into::into),
        root_task_id: root?.into(),
        assigner: assigner?.into(),
        caller: caller?.into(),
        agent: agent?.into(),
        agent_client_id: agent_client_id?.into(),
        issuer: issuer?.into(),
        token_id: token_id?.into(),
        args_hash: args_hash?,
        args_hash_algorithm: args_hash_algorithm?,
    };
    let created_at = date_from_text(&created_at?).ok()?;
    Some(TaskRecord {
        task,
        organization: organization.map(Into::into),
        created_at,
    })
}

/// The changes but those in form alone: `1.0` and `1.00` of a `numeric` column are one number.
fn effective(table: &TrackedTable, mut changes: Vec<FieldChange>) -> Vec<FieldChange> {
    changes.retain(|change| {
        let column = table
            .columns
            .iter()
            .find(|column| column.name == change.field);
        let is_numeric = column.is_some_and(|column| column.kind == ValueKind::Numeric);
        match (&change.old, &change.new) {
            (Some(old), Some(new)) if is_numeric => {
                let (old, new) = (old.text(), new.text());
                normal(&old).is_none() || normal(&old) != normal(&new)
            }
            _ => true,
        }
    });
    changes
}

/// A decimal number without the zeros that say nothing: its sign, and its digits before and behind the point.
fn normal(number: &str) -> Option<(bool, &str, &str)> {
    let (is_negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if digits.is_empty() || !is_number(whole) || !is_number(part) {
        return None;
    }
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    let is_zero = whole.is_empty() && part.is_empty();
    Some((is_negative && !is_zero, whole, part))
}

/// A floating-point number that stands as text. JSON has no infinities: these stay text.
#[cfg(any(feature = "postgres_backend", feature = "mysql"))]
pub(crate) fn float(text: String) -> serde_json::Value {
    let number = text.parse().ok().and_then(serde_json::Number::from_f64);
    number.map_or(serde_json::Value::String(text), serde_json::Value::Number)
}
