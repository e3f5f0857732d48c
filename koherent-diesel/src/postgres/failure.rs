//! What PostgreSQL says when a statement fails, told apart.

use diesel::result::{DatabaseErrorInformation, Error as DieselError};

use super::work::About;
use crate::error::Error;
use crate::schema::TASK_COLUMNS;
use crate::table::TrackedTable;

/// What failed.
pub(super) fn tell(about: &About, error: DieselError) -> Error {
    match about {
        About::Change { table, .. } => of_change(table, error),
        About::History(table) => Error::HistoryNotRead {
            table,
            source: error,
        },
        About::Histories(_) | About::Catalog { .. } => Error::Diesel(error),
    }
}

fn of_change(table: &'static TrackedTable, error: DieselError) -> Error {
    let DieselError::DatabaseError(_, details) = &error else {
        return Error::Diesel(error);
    };
    let details = &**details;
    match details.constraint_name() {
        Some("koherent_task_mismatch") => {
            let column = details.column_name();
            let field = TASK_COLUMNS
                .into_iter()
                .find(|field| Some(*field) == column);
            return Error::TaskMismatch {
                field: field.unwrap_or("description"),
            };
        }
        Some("koherent_token_reused") => return Error::TokenReused,
        Some("koherent_key_changed") => {
            return Error::KeyChanged {
                table: table.name(),
            };
        }
        Some("koherent_guard") => {
            return Error::GuardRefused {
                table: table.name(),
                source: error,
            };
        }
        Some("koherent_task_not_written") => return Error::TaskNotWritten(error),
        Some("koherent_history_incomplete") => return incomplete(table, details),
        _ => {}
    }
    let history = table.history.table;
    if details.table_name() == Some(history) || names(details, history) {
        return Error::HistoryNotWritten {
            table: table.name(),
            source: error,
        };
    }
    if details.table_name() == Some("koherent_task") || details.message().contains("koherent_") {
        return Error::TaskNotWritten(error);
    }
    Error::Diesel(error)
}

/// Whether the message speaks of that relation, in whatever language: names are quoted in it.
fn names(details: &dyn DatabaseErrorInformation, relation: &str) -> bool {
    let message = details.message();
    message.contains(&format!("\"{relation}\"")) || message.contains(&format!(".{relation}\""))
}

fn incomplete(table: &'static TrackedTable, details: &dyn DatabaseErrorInformation) -> Error {
    let mut counts = details
        .details()
        .unwrap_or_default()
        .split(' ')
        .map(|count| count.parse().unwrap_or_default());
    Error::HistoryIncomplete {
        table: table.name(),
        changed: counts.next().unwrap_or_default(),
        recorded: counts.next().unwrap_or_default(),
    }
}
