//! Reading entries: one statement for a row's entries and their tasks, the effective changes from neighbours.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diesel::SqliteConnection;
use koherent_core::{ChangeKind, FieldValue, HistoryEntry, Task, TaskRecord, delta};
use serde_json::Value as Json;
use uuid::Uuid;

use super::sql::{self, Sql, values};
use super::types::date_from_text;
use super::value::Value;
use crate::error::Error;
use crate::schema::{ATTRIBUTION_COLUMNS, TASK_COLUMNS};
use crate::table::{TrackedTable, ValueKind};

/// The tasks that entries point at, by their ids: many entries share one.
type Tasks = HashMap<String, Arc<TaskRecord>>;

/// The entries of the row with that key, newest first.
pub(crate) fn load_entries(
    connection: &mut SqliteConnection,
    table: &'static TrackedTable,
    key: &Sql,
    limit: Option<u32>,
) -> Result<Vec<HistoryEntry>, Error> {
    if !key.is_plain_key(table) {
        return Err(Error::Diesel(diesel::result::Error::QueryBuilderError(
            "the entries of a row are found by the values of its key".into(),
        )));
    }
    let mut snapshots = Vec::new();
    let mut tasks = Tasks::new();
    // One more than asked for: the oldest entry shown is compared with the one before it.
    let sql = select(table, key, limit.map(|limit| i64::from(limit) + 1));
    sql::for_each_row(connection, &sql, |row| {
        let columns = 1 + ATTRIBUTION_COLUMNS.len() + TASK_COLUMNS.len() + table.columns.len();
        snapshots.push(Snapshot::read(table, values(row, 0, columns), &mut tasks)?);
        Ok(())
    })
    .map_err(|error| match error {
        Error::Diesel(source) => Error::HistoryNotRead {
            table: table.name(),
            source,
        },
        other => other,
    })?;
    for at in 0..snapshots.len() {
        let (newer, older) = snapshots.split_at_mut(at + 1);
        let snapshot = &mut newer[at];
        let before = older.first().map(|older| &older.values[..]);
        snapshot.entry.changes =
            delta(snapshot.entry.kind, &table.fields, before, &snapshot.values);
    }
    snapshots.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
    Ok(snapshots
        .into_iter()
        .map(|snapshot| snapshot.entry)
        .collect())
}

fn select(table: &TrackedTable, key: &Sql, limit: Option<i64>) -> Sql {
    let mut sql = Sql::new();
    sql.push("SELECT h.`history_id`, ")
        .identifiers("h.", ATTRIBUTION_COLUMNS)
        .push(", ");
    sql.identifiers("t.", TASK_COLUMNS);
    for column in &table.columns {
        sql.push(", ");
        match column.kind {
            // SQLite's binary JSON is its own affair; text stands as it was written.
            ValueKind::Json => {
                sql.push("CASE typeof(h.").identifier(column.history_name);
                sql.push(") WHEN 'blob' THEN json(h.")
                    .identifier(column.history_name);
                sql.push(") ELSE h.")
                    .identifier(column.history_name)
                    .push(" END");
            }
            _ => drop(sql.push("h.").identifier(column.history_name)),
        }
    }
    sql.push(" FROM ").table(table.history);
    sql.push(" AS h LEFT JOIN `koherent_task` AS t ON t.`task_id` = h.`history_task` WHERE ");
    for (at, key) in table.key.iter().enumerate() {
        let column = table.columns.iter().find(|column| column.name == *key);
        sql.push(if at > 0 { " AND h." } else { "h." });
        sql.identifier(column.map_or(*key, |column| column.history_name))
            .push(" = ?");
    }
    sql.take_binds(key).push(" ORDER BY h.`history_id` DESC");
    if let Some(limit) = limit {
        sql.push(" LIMIT ").bind(limit);
    }
    sql
}

/// An entry with the values that it kept.
struct Snapshot {
    entry: HistoryEntry,
    values: Vec<Option<FieldValue>>,
}

impl Snapshot {
    /// Reads the columns of [`select`].
    fn read(
        table: &'static TrackedTable,
        columns: Vec<Value>,
        tasks: &mut Tasks,
    ) -> Result<Self, Error> {
        let mut columns = columns.into_iter();
        let mut next = || columns.next().unwrap_or(Value::Null);
        let id = match next() {
            Value::Integer(id) => id,
            _ => 0,
        };
        let unreadable = |problem| Error::UnreadableEntry {
            table: table.name(),
            id,
            problem,
        };
        let kind = next()
            .into_text()
            .as_deref()
            .and_then(ChangeKind::from_code);
        let date = next()
            .into_text()
            .and_then(|text| date_from_text(&text).ok());
        let [user, client, organization, task] = std::array::from_fn(|_| next().into_text());
        let transaction = next()
            .into_text()
            .and_then(|text| text.parse::<Uuid>().ok());
        let reason = next().into_text();
        let context = next().into_text();
        let context = context.map(|text| serde_json::from_str(&text)).transpose();
        let stored: [Option<String>; TASK_COLUMNS.len()] =
            std::array::from_fn(|_| next().into_text());
        let task = match task {
            None => None,
            Some(id) => match tasks.get(&id) {
                Some(known) => Some(Arc::clone(known)),
                None => {
                    let record = task_record(stored).ok_or(unreadable(
                        "its task is not in `koherent_task`, or cannot be read",
                    ))?;
                    Some(Arc::clone(tasks.entry(id).or_insert(Arc::new(record))))
                }
            },
        };
        let entry = HistoryEntry {
            id,
            table: table.name(),
            kind: kind.ok_or(unreadable("its kind is none of `+`, `~` and `-`"))?,
            date: date.ok_or(unreadable("its date is none"))?,
            user: user.map(Into::into),
            client: client.map(Into::into),
            organization: organization.map(Into::into),
            task,
            transaction: transaction.ok_or(unreadable("its transaction is no UUID"))?,
            reason,
            context: context.map_err(|_| unreadable("its context is not JSON"))?,
            changes: Vec::new(),
        };
        let values = table
            .columns
            .iter()
            .map(|column| field_value(next(), column.kind))
            .collect();
        Ok(Self { entry, values })
    }
}

/// Reads the values of [`TASK_COLUMNS`].
fn task_record(stored: [Option<String>; TASK_COLUMNS.len()]) -> Option<TaskRecord> {
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

/// A stored value in its typed form.
fn field_value(value: Value, kind: ValueKind) -> Option<FieldValue> {
    let json = match (value, kind) {
        (Value::Null, _) => return None,
        (Value::Integer(number), ValueKind::Bool) => Json::Bool(number != 0),
        (Value::Integer(number), _) => number.into(),
        // JSON has no infinities.
        (Value::Real(number), _) => match serde_json::Number::from_f64(number) {
            Some(number) => Json::Number(number),
            None => number.to_string().into(),
        },
        (Value::Text(text), ValueKind::Json) => {
            serde_json::from_str(&text).unwrap_or(Json::String(text))
        }
        (Value::Text(text), _) => Json::String(text),
        (Value::Blob(bytes), _) => STANDARD.encode(bytes).into(),
    };
    Some(FieldValue::from_json(json))
}
