//! What can go wrong when a change is made and recorded.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use koherent_core::ErrorCode;

/// Why an audited change did not happen. Whatever the variant: neither the change nor its history is there.
///
/// ```
/// use koherent_core::ErrorCode;
/// use koherent_diesel::Error;
///
/// let error = Error::from(diesel::result::Error::NotFound);
/// assert_eq!(error.code(), ErrorCode::NotFound);
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The change itself failed: a constraint, a connection, no row.
    #[error(transparent)]
    Diesel(#[from] DieselError),
    /// The history rows could not be written, so the change was rolled back.
    #[error(
        "the history of `{table}` could not be written, so the change was rolled back; \
         `koherent_diesel::check` says what the history table lacks"
    )]
    HistoryNotWritten {
        /// The tracked table.
        table: &'static str,
        /// What the database said.
        source: DieselError,
    },
    /// The history could not be read.
    #[error(
        "the history of `{table}` could not be read; `koherent_diesel::check` says what the database lacks (for \
         `koherent_task`, run the migrations `koherent_diesel::MIGRATIONS`)"
    )]
    HistoryNotRead {
        /// The tracked table.
        table: &'static str,
        /// What the database said.
        source: DieselError,
    },
    /// Fewer or more history rows came to be than rows were changed, so the change was rolled back. A trigger on the
    /// table does that, for instance.
    #[error(
        "{changed} rows of `{table}` were changed, but {recorded} history rows written, so the change was rolled back"
    )]
    HistoryIncomplete {
        /// The tracked table.
        table: &'static str,
        /// Rows changed.
        changed: usize,
        /// History rows written.
        recorded: usize,
    },
    /// The ids of new history rows are not whole numbers, so the change was rolled back: nothing could find them again.
    #[error(
        "`history_id` of the history of `{table}` does not number its rows, so the change was rolled back: declare it \
         INTEGER PRIMARY KEY AUTOINCREMENT"
    )]
    HistoryNotNumbered {
        /// The tracked table.
        table: &'static str,
    },
    /// An update changed a primary key, which would tear the row from its history. Nothing was changed.
    #[error(
        "an audited update cannot change the primary key of `{table}`: delete the row and insert it anew"
    )]
    KeyChanged {
        /// The tracked table.
        table: &'static str,
    },
    /// The task's row could not be written, so the change was rolled back.
    #[error(
        "the row of the task could not be written, so the change was rolled back; is `koherent_task` there? Run the \
         migrations `koherent_diesel::MIGRATIONS`"
    )]
    TaskNotWritten(#[source] DieselError),
    /// The task is known here with another description: somebody signs task ids that are not theirs, or uses one twice.
    #[error("the task is known here with another {field}")]
    TaskMismatch {
        /// The column of `koherent_task` that differs.
        field: &'static str,
    },
    /// The token's id is known here under another task.
    #[error("the token's id is known here under another task")]
    TokenReused,
    /// A stored history entry cannot be read.
    #[error("entry {id} of the history of `{table}` cannot be read: {problem}")]
    UnreadableEntry {
        /// The tracked table.
        table: &'static str,
        /// The entry's `history_id`.
        id: i64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The engine cannot do that. Nothing was changed.
    #[error("{0}")]
    Unsupported(&'static str),
    /// No connection could be had.
    #[error("no database connection can be had")]
    Pool(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    pub(crate) fn nothing_to_change() -> Self {
        Self::Diesel(DieselError::QueryBuilderError(
            "there are no changes to save: every field of the changeset is `None`".into(),
        ))
    }

    pub(crate) fn not_a_key() -> Self {
        Self::Diesel(DieselError::QueryBuilderError(
            "the entries of a row are found by the values of its key".into(),
        ))
    }

    /// What the client should do.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Diesel(error)
            | Self::TaskNotWritten(error)
            | Self::HistoryNotWritten { source: error, .. }
            | Self::HistoryNotRead { source: error, .. }
                if is_busy(error) =>
            {
                ErrorCode::Unavailable
            }
            Self::Diesel(DieselError::NotFound) => ErrorCode::NotFound,
            Self::Diesel(DieselError::DatabaseError(kind, _)) => match kind {
                DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::ExclusionViolation
                | DatabaseErrorKind::RestrictViolation => ErrorCode::Conflict,
                DatabaseErrorKind::NotNullViolation | DatabaseErrorKind::CheckViolation => {
                    ErrorCode::BadRequest
                }
                DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::ClosedConnection => ErrorCode::Unavailable,
                _ => ErrorCode::InternalError,
            },
            Self::Pool(_) => ErrorCode::Unavailable,
            Self::TaskMismatch { .. } | Self::TokenReused => ErrorCode::PermissionDenied,
            Self::KeyChanged { .. } => ErrorCode::BadRequest,
            _ => ErrorCode::InternalError,
        }
    }

    /// The stable name of what happened.
    ///
    /// ```
    /// assert_eq!(koherent_diesel::Error::TokenReused.reason(), "TOKEN_REUSED");
    /// ```
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Diesel(error)
            | Self::TaskNotWritten(error)
            | Self::HistoryNotWritten { source: error, .. }
            | Self::HistoryNotRead { source: error, .. }
                if is_busy(error) =>
            {
                "DATABASE_BUSY"
            }
            Self::Diesel(_) => match self.code() {
                ErrorCode::NotFound => "ROW_NOT_FOUND",
                ErrorCode::Conflict | ErrorCode::BadRequest => "CONSTRAINT_VIOLATED",
                _ => "DATABASE_FAILED",
            },
            Self::HistoryNotWritten { .. } => "HISTORY_NOT_WRITTEN",
            Self::HistoryNotRead { .. } => "HISTORY_NOT_READ",
            Self::HistoryIncomplete { .. } => "HISTORY_INCOMPLETE",
            Self::HistoryNotNumbered { .. } => "HISTORY_NOT_NUMBERED",
            Self::KeyChanged { .. } => "KEY_CHANGED",
            Self::TaskNotWritten(_) => "TASK_NOT_WRITTEN",
            Self::TaskMismatch { .. } => "TASK_MISMATCH",
            Self::TokenReused => "TOKEN_REUSED",
            Self::UnreadableEntry { .. } => "ENTRY_UNREADABLE",
            Self::Unsupported(_) => "UNSUPPORTED",
            Self::Pool(_) => "NO_CONNECTION",
        }
    }
}

/// Whether the database waited for a lock in vain (`SQLITE_BUSY`, `SQLITE_LOCKED`). Diesel has no kind for that.
fn is_busy(error: &DieselError) -> bool {
    let DieselError::DatabaseError(DatabaseErrorKind::Unknown, details) = error else {
        return false;
    };
    let message = details.message();
    message.starts_with("database is locked") || message.starts_with("database table is locked")
}

/// `optional()` for the results of audited statements, as Diesel has it for its own.
///
/// ```
/// use koherent_diesel::{Error, OptionalExtension as _};
///
/// let nothing: Result<i64, Error> = Err(diesel::result::Error::NotFound.into());
/// assert_eq!(nothing.optional().unwrap(), None);
/// ```
pub trait OptionalExtension<T> {
    /// Turns "no row" into `None`.
    ///
    /// # Errors
    ///
    /// Every other error stays.
    fn optional(self) -> Result<Option<T>, Error>;
}

impl<T> OptionalExtension<T> for Result<T, Error> {
    fn optional(self) -> Result<Option<T>, Error> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(Error::Diesel(DieselError::NotFound)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
