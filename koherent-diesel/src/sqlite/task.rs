//! The task's row: written with the first change under the task, once, however many requests race.

use diesel::SqliteConnection;
use diesel::result::Error as DieselError;

use super::statement::{execute, for_each_row, values};
use super::types::date_text;
use super::value::Value;
use super::work::Sql;
use crate::error::Error;
use crate::positional::history::compare_task;
use crate::record::Recorder;
use crate::schema::TASK_COLUMNS;
use crate::sql::Write as _;
use crate::stamp::task_row;

/// Makes sure that the task of an attribution has its row, and that it is the one this attribution means.
pub(super) fn ensure(connection: &mut SqliteConnection, recorder: &Recorder) -> Result<(), Error> {
    let Some(task) = recorder.unknown_task() else {
        return Ok(());
    };
    let row = task_row(task, recorder.attribution.organization());
    let mut insert = Sql::new();
    insert
        .push("INSERT INTO `koherent_task` (")
        .identifiers("", TASK_COLUMNS);
    insert
        .push(") SELECT ")
        .bind_all(row.iter().cloned().map(Value::from))
        .push(", ");
    // Not `ON CONFLICT DO NOTHING`: tasks are only added, and a trigger sees to that before there is a conflict. This
    // transaction holds the write lock, so nobody comes in between.
    insert
        .bind(date_text(recorder.now()))
        .push(" WHERE NOT EXISTS (SELECT 1 FROM `koherent_task` WHERE `task_id` = ")
        .bind(task.task_id.as_str())
        .push(" OR `token_id` = ")
        .bind(task.token_id.as_str())
        .push(")");
    if execute(connection, &insert).map_err(Error::TaskNotWritten)? == 1 {
        return Ok(());
    }

    let mut select = Sql::new();
    select
        .push("SELECT ")
        .identifiers("", TASK_COLUMNS)
        .push(" FROM `koherent_task` WHERE `task_id` = ");
    select
        .bind(task.task_id.as_str())
        .push(" OR `token_id` = ")
        .bind(task.token_id.as_str());
    let found = for_each_row(connection, &select, |stored| {
        let stored = values(stored, 0, row.len());
        let stored: Vec<_> = stored.into_iter().map(Value::into_text).collect();
        compare_task(&stored, &row, recorder.hands_over)
    })?;
    // Neither inserted nor there: something in the database swallowed it.
    if found == 0 {
        Err(Error::TaskNotWritten(DieselError::NotFound))
    } else {
        Ok(())
    }
}
