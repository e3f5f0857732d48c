//! Reading entries: one statement for a row's entries and their tasks, the effective changes from neighbours.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::row::Row;
use koherent_core::{ChangeKind, FieldValue, HistoryEntry, Task, TaskRecord, delta};
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::Error;
use crate::reading::Reading;
use crate::schema::{ATTRIBUTION_COLUMNS, TASK_COLUMNS};
use crate::sql::Write;
use crate::table::{TrackedColumn, TrackedTable};

/// The tasks that entries point at, by their ids: many entries share one.
type Tasks = HashMap<String, Arc<TaskRecord>>;

/// An entry with the values that it kept.
struct Snapshot {
    entry: HistoryEntry,
    values: Vec<Option<FieldValue>>,
}

/// The entries of one row, as they come: newest first.
pub(crate) struct Entries {
    table: &'static TrackedTable,
    limit: Option<u32>,
    snapshots: Vec<Snapshot>,
    tasks: Tasks,
}

impl Entries {
    pub(crate) fn new(table: &'static TrackedTable, limit: Option<u32>) -> Self {
        Self {
            table,
            limit,
            snapshots: Vec::new(),
            tasks: Tasks::new(),
        }
    }

    /// One more than asked for: the oldest entry shown is compared with the one before it.
    pub(crate) fn rows(&self) -> Option<i64> {
        self.limit.map(|limit| i64::from(limit) + 1)
    }
}

impl<DB: Engine> Reading<DB> for Entries {
    type Output = Vec<HistoryEntry>;

    fn row<'a>(&mut self, row: &impl Row<'a, DB>) -> Result<(), Error> {
        let snapshot = Snapshot::read::<DB>(self.table, DB::cells(row), &mut self.tasks)?;
        self.snapshots.push(snapshot);
        Ok(())
    }

    fn finish(self, _: usize) -> Result<Self::Output, Error> {
        let snapshots = self.compared().into_iter();
        Ok(snapshots.map(|snapshot| snapshot.entry).collect())
    }
}

impl Entries {
    /// With what each changed: compared with the entry of the same row before it.
    fn compared(mut self) -> Vec<Snapshot> {
        let keys = self.table.key_positions();
        let mut before: HashMap<Vec<Option<String>>, usize> = HashMap::new();
        for at in (0..self.snapshots.len()).rev() {
            let (newer, older) = self.snapshots.split_at_mut(at + 1);
            let snapshot = &mut newer[at];
            let text = |at: &usize| snapshot.values[*at].as_ref().map(FieldValue::text);
            let key: Vec<_> = keys.iter().map(text).collect();
            let was = before
                .insert(key, at)
                .map(|older_at| &older[older_at - at - 1].values[..]);
            snapshot.entry.changes = delta(
                snapshot.entry.kind,
                &self.table.fields,
                was,
                &snapshot.values,
            );
        }
        self.snapshots
            .truncate(self.limit.map_or(usize::MAX, |limit| limit as usize));
        self.snapshots
    }

    /// The entries, each with what its columns held.
    pub(crate) fn with_values(self) -> Vec<(HistoryEntry, impl Fn(&str) -> Option<FieldValue>)> {
        let table = self.table;
        let snapshots = self.compared().into_iter();
        snapshots
            .map(|snapshot| {
                let values = snapshot.values;
                let value = move |column: &str| {
                    let at = table.columns.iter().position(|known| known.name == column);
                    at.and_then(|at| values[at].clone())
                };
                (snapshot.entry, value)
            })
            .collect()
    }
}

/// `SELECT … FROM history AS h LEFT JOIN koherent_task AS t …`, to be followed by `ORDER BY`. Engines say how they write
/// each column, and the values that these columns of the history must have.
pub(crate) fn push_select<W: Write>(
    sql: &mut W,
    table: &TrackedTable,
    mut own: impl FnMut(&mut W, &str, &'static str),
    mut kept: impl FnMut(&mut W, &TrackedColumn),
    columns: &[&'static str],
    mut place: impl FnMut(&mut W),
) {
    sql.push("SELECT ");
    own(sql, "h", "history_id");
    for column in ATTRIBUTION_COLUMNS {
        sql.push(", ");
        own(sql, "h", column);
    }
    for column in TASK_COLUMNS {
        sql.push(", ");
        own(sql, "t", column);
    }
    for column in &table.columns {
        sql.push(", ");
        kept(sql, column);
    }
    sql.push(" FROM ")
        .table(table.history)
        .push(" AS h LEFT JOIN ");
    sql.identifier("koherent_task").push(" AS t ON t.");
    sql.identifier("task_id")
        .push(" = h.")
        .identifier("history_task");
    for (at, column) in columns.iter().enumerate() {
        sql.push(if at > 0 { " AND h." } else { " WHERE h." });
        sql.identifier(column).push(" = ");
        place(sql);
    }
}

impl Snapshot {
    /// Reads the columns of [`push_select`].
    fn read<DB: Engine>(
        table: &'static TrackedTable,
        cells: Vec<DB::Cell>,
        tasks: &mut Tasks,
    ) -> Result<Self, Error> {
        let mut cells = cells.into_iter();
        let mut next = || cells.next().and_then(DB::text);
        let id = next().and_then(|id| id.parse().ok()).unwrap_or(0);
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
            .map(|column| DB::field_value(cells.next()?, column.kind))
            .collect();
        Ok(Self { entry, values })
    }
}

/// Reads a date as all engines write it out.
pub(crate) fn date_from_text(text: &str) -> Result<DateTime<Utc>, chrono::ParseError> {
    DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z").map(Into::into)
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

/// A floating-point number that stands as text. JSON has no infinities: these stay text.
#[cfg(any(feature = "postgres_backend", feature = "mysql"))]
pub(crate) fn float(text: String) -> serde_json::Value {
    let number = text.parse().ok().and_then(serde_json::Number::from_f64);
    number.map_or(serde_json::Value::String(text), serde_json::Value::Number)
}
