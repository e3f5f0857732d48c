//! The task's row: written with the first change under the task, once, however many requests race.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::AsyncMysqlConnection;

use super::engine::text_of;
use super::session::{execute, for_each_row};
use super::value::Value;
use super::work::Sql;
use crate::error::Error;
use crate::positional::history::compare_task;
use crate::record::Recorder;
use crate::schema::TASK_COLUMNS;
use crate::sql::Write as _;
use crate::stamp::task_row;

/// Makes sure that the task of an attribution has its row, and that it is the one this attribution means.
pub(super) async fn ensure(
    connection: &mut AsyncMysqlConnection,
    recorder: &Recorder,
) -> Result<(), Error> {
    let Some(task) = recorder.unknown_task() else {
        return Ok(());
    };
    let row = task_row(task, recorder.attribution.organization());
    let mut insert = Sql::new();
    insert
        .push("INSERT INTO `koherent_task` (")
        .identifiers("", TASK_COLUMNS);
    insert
        .push(") VALUES (")
        .bind_all(row.iter().cloned().map(Value::from))
        .push(", UTC_TIMESTAMP(6))");
    match execute(connection, &insert).await {
        Ok(_) => return Ok(()),
        Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {}
        Err(error) => return Err(Error::TaskNotWritten(error)),
    }

    // The tasks of that id and of that token, one after the other: looking for a token that is not there would keep others
    // from writing theirs.
    let mut found = 0;
    for (column, id) in [
        ("task_id", task.task_id.as_str()),
        ("token_id", task.token_id.as_str()),
    ] {
        // What is there now, not what was there when this transaction began. Of tokens, a plain look is enough: a row with
        // this one, under another task, was committed before this transaction or is why the insert failed.
        let mut select = Sql::new();
        select
            .push("SELECT ")
            .identifiers("", TASK_COLUMNS)
            .push(" FROM `koherent_task` WHERE ");
        select.identifier(column).push(" = ").bind(id);
        if column == "task_id" || found == 0 {
            select.push(" LOCK IN SHARE MODE");
        }
        found += for_each_row(connection, &select, &mut |stored| {
            let stored: Vec<_> = (0..row.len()).map(|at| text_of(stored, at)).collect();
            compare_task(&stored, &row, recorder.hands_over)
        })
        .await?;
    }
    if found == 0 {
        Err(Error::TaskNotWritten(DieselError::NotFound))
    } else {
        Ok(())
    }
}
