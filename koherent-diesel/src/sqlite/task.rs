//! The task's row: written with the first change under the task, once, however many requests race.

use diesel::SqliteConnection;
use diesel::result::Error as DieselError;
use koherent_core::{Organization, Task};

use super::sql::{self, Sql, values};
use super::types::date_text;
use super::value::Value;
use crate::error::Error;
use crate::record::Recorder;
use crate::schema::TASK_COLUMNS;

/// Makes sure that the task of an attribution has its row, and that it is the one this attribution means.
pub(super) fn ensure(connection: &mut SqliteConnection, recorder: &Recorder) -> Result<(), Error> {
    let attribution = &recorder.attribution;
    let Some(task) = attribution.task() else {
        return Ok(());
    };
    let organization = attribution.organization();
    if recorder.tasks.knows(task, organization) {
        return Ok(());
    }
    let row = task_row(task, organization, date_text(recorder.now()));
    let mut insert = Sql::new();
    insert
        .push("INSERT INTO `koherent_task` (")
        .identifiers("", TASK_COLUMNS);
    insert
        .push(") VALUES (")
        .bind_all(row.clone())
        .push(") ON CONFLICT DO NOTHING");
    let inserted = sql::execute(connection, &insert).map_err(Error::TaskNotWritten)?;
    if inserted == 1 {
        Ok(())
    } else {
        compare(connection, task, &row)
    }
}

/// Remembers that the task's row is committed.
pub(super) fn learn(recorder: &Recorder) {
    if let Some(task) = recorder.attribution.task() {
        recorder
            .tasks
            .learn(task, recorder.attribution.organization());
    }
}

/// The values of [`TASK_COLUMNS`].
fn task_row(
    task: &Task,
    organization: Option<&Organization>,
    created_at: String,
) -> [Value; TASK_COLUMNS.len()] {
    [
        task.task_id.as_str().into(),
        task.parent_task_id.as_ref().map(|id| id.as_str()).into(),
        task.root_task_id.as_str().into(),
        task.assigner.as_str().into(),
        task.caller.as_str().into(),
        task.agent.as_str().into(),
        task.agent_client_id.as_str().into(),
        task.issuer.as_str().into(),
        task.token_id.as_str().into(),
        task.args_hash.as_str().into(),
        task.args_hash_algorithm.as_str().into(),
        organization
            .map(|organization| organization.as_str())
            .into(),
        created_at.into(),
    ]
}

/// Compares the row that is there with the one that would have been written. A task may come with a new token, so the
/// token's id may differ; but no token may serve two tasks.
fn compare(
    connection: &mut SqliteConnection,
    task: &Task,
    row: &[Value; TASK_COLUMNS.len()],
) -> Result<(), Error> {
    let mut select = Sql::new();
    select
        .push("SELECT ")
        .identifiers("", TASK_COLUMNS)
        .push(" FROM `koherent_task` WHERE ");
    select.push("`task_id` = ").bind(task.task_id.as_str());
    select
        .push(" OR `token_id` = ")
        .bind(task.token_id.as_str());
    let found = sql::for_each_row(connection, &select, |stored| {
        let stored = values(stored, 0, TASK_COLUMNS.len());
        if stored[0] != row[0] {
            return Err(Error::TokenReused);
        }
        for (at, field) in TASK_COLUMNS.iter().enumerate() {
            if !matches!(*field, "token_id" | "created_at") && stored[at] != row[at] {
                return Err(Error::TaskMismatch { field });
            }
        }
        Ok(())
    })?;
    // Neither inserted nor there: something in the database swallowed it.
    if found == 0 {
        Err(Error::TaskNotWritten(DieselError::NotFound))
    } else {
        Ok(())
    }
}
