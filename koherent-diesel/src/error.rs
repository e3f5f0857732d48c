//! What can go wrong when a change is made and recorded.

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};
use koherent_core::ErrorCode;
use uuid::Uuid;

use crate::failure::Failure;
#[cfg(any(feature = "sqlite", feature = "mysql"))]
use crate::table::TrackedTable;

/// Why an audited change did not happen. Whatever the variant, neither the change nor its history is there; but for rows
/// that cannot be read as asked on PostgreSQL, outside a transaction, and for [`Error::OutcomeUnknown`].
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
    Diesel(DieselError),
    /// The connection was lost while the change was being committed: whether it was is not known. Ask [`outcome`] before it is
    /// made again.
    ///
    /// [`outcome`]: crate::outcome()
    #[error(
        "the connection was lost while the transaction {transaction} was being committed, so whether it was is not known: ask \
         `koherent_diesel::outcome({transaction})` before you make the change again"
    )]
    OutcomeUnknown {
        /// The id that its entries have, if it was committed.
        transaction: Uuid,
        /// What the connection said.
        source: DieselError,
    },
    /// The change was made before, under the same idempotency key: it is not made again.
    #[error("the transaction {transaction} was committed before, under the same idempotency key")]
    AlreadyDone {
        /// The id that its entries have.
        transaction: Uuid,
    },
    /// The idempotency key came before with another payload: it is another write, and needs a key of its own.
    #[error(
        "the idempotency key came before with another payload: send this with a key of its own"
    )]
    IdempotencyKeyReused,
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
    /// A change of a primary key that cannot be followed, which would tear the row from its history: on MariaDB and MySQL,
    /// by a trigger, or by an upsert. Nothing was changed.
    #[error(
        "the primary key of `{table}` cannot be changed in this way: delete the row and insert it anew"
    )]
    KeyChanged {
        /// The tracked table.
        table: &'static str,
    },
    /// The change made the database change another table (a cascade, a trigger), whose guard refused that: it would leave no
    /// history. Nothing was changed. Delete or change those rows first, with the audited helpers.
    #[error(
        "the change was undone, because it would change rows of another table without a history: {source}"
    )]
    GuardRefused {
        /// The tracked table.
        table: &'static str,
        /// What the guard said.
        source: DieselError,
    },
    /// The guard of the table could not be told that this change is audited. Nothing was changed.
    #[error(
        "the guard of the table could not be armed, so nothing was changed; is `koherent_session` there? Run the \
         migrations `koherent_diesel::MIGRATIONS`"
    )]
    GuardNotArmed(#[source] DieselError),
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
    /// A filter names a field that none of the tables keeps.
    #[error("no audited column of these tables is called `{field}`")]
    UnknownField {
        /// What was asked for.
        field: String,
    },
    /// A cursor is of another table than the rows whose entries are asked for.
    #[error(
        "the cursor is of an entry of `{table}`, and the rows are not: give one that came with these entries"
    )]
    ForeignCursor {
        /// The table of the cursor.
        table: String,
    },
    /// Histories took longer to read than the reader allows.
    #[error("histories took longer to read than {} ms: ask for less", limit.as_millis())]
    TimedOut {
        /// How long it may take.
        limit: std::time::Duration,
    },
    /// Entries may have been missed by who watches them: watch again, after the last one that came.
    #[error("entries may have been missed: watch again, after the last one that came")]
    Interrupted,
    /// The engine cannot do that. Nothing was changed.
    #[error("{0}")]
    Unsupported(&'static str),
    /// No connection could be had.
    #[error("no database connection can be had")]
    Pool(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<DieselError> for Error {
    /// An error of Koherent's own comes back out of the one of Diesel's that carried it through a transaction.
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::QueryBuilderError(carried) => match carried.downcast() {
                Ok(own) => *own,
                Err(other) => Self::Diesel(DieselError::QueryBuilderError(other)),
            },
            error => Self::Diesel(error),
        }
    }
}

impl Error {
    /// The id of the transaction whose outcome is not known, or that was committed before.
    ///
    /// ```
    /// use koherent_diesel::Error;
    /// assert_eq!(Error::TokenReused.transaction(), None);
    /// ```
    #[must_use]
    pub fn transaction(&self) -> Option<Uuid> {
        match self.cause() {
            Self::OutcomeUnknown { transaction, .. } | Self::AlreadyDone { transaction } => {
                Some(*transaction)
            }
            _ => None,
        }
    }

    /// What a commit means that failed: where the connection is lost, nobody knows.
    pub(crate) fn of_commit(error: DieselError, transaction: Option<Uuid>) -> Self {
        match transaction {
            Some(transaction) if Failure::of(&error) == Some(Failure::Lost) => {
                Self::OutcomeUnknown {
                    transaction,
                    source: error,
                }
            }
            _ => error.into(),
        }
    }

    /// The same error, as one of Diesel's, which transactions hand on.
    pub(crate) fn into_diesel(self) -> DieselError {
        match self {
            Self::Diesel(error) => error,
            own => DieselError::QueryBuilderError(Box::new(own)),
        }
    }

    pub(crate) fn nothing_to_change() -> Self {
        Self::Diesel(DieselError::QueryBuilderError(
            "there are no changes to save: every field of the changeset is `None`".into(),
        ))
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn read_only() -> Self {
        let message = "the transaction was begun with `read_only()`, so it cannot change anything";
        let kind = DatabaseErrorKind::ReadOnlyTransaction;
        Self::Diesel(DieselError::DatabaseError(
            kind,
            Box::new(message.to_owned()),
        ))
    }

    /// Tells the refusal of a guard from other failures, where the engine has only the message to tell it by.
    #[cfg(any(feature = "sqlite", feature = "mysql"))]
    pub(crate) fn or_refused(self, table: &'static TrackedTable) -> Self {
        match self {
            Self::Diesel(source @ DieselError::DatabaseError(..))
                if source
                    .to_string()
                    .contains(" refused, it would leave no history") =>
            {
                let table = table.name();
                Self::GuardRefused { table, source }
            }
            error => error,
        }
    }

    /// What the client should do.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        if self.is_busy() || self.is_timeout() || self.is_lost() {
            return ErrorCode::Unavailable;
        }
        match self.cause() {
            Self::Diesel(DieselError::NotFound) => ErrorCode::NotFound,
            Self::Diesel(DieselError::DatabaseError(kind, _)) => match kind {
                DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::ExclusionViolation
                | DatabaseErrorKind::RestrictViolation => ErrorCode::Conflict,
                DatabaseErrorKind::NotNullViolation | DatabaseErrorKind::CheckViolation => {
                    ErrorCode::BadRequest
                }
                _ => ErrorCode::InternalError,
            },
            Self::OutcomeUnknown { .. } => ErrorCode::OutcomeUnknown,
            Self::AlreadyDone { .. } => ErrorCode::AlreadyDone,
            Self::IdempotencyKeyReused => ErrorCode::BadRequest,
            Self::Pool(_) | Self::Interrupted => ErrorCode::Unavailable,
            Self::TaskMismatch { .. } | Self::TokenReused => ErrorCode::PermissionDenied,
            Self::KeyChanged { .. } | Self::UnknownField { .. } | Self::ForeignCursor { .. } => {
                ErrorCode::BadRequest
            }
            Self::GuardRefused { .. } => ErrorCode::Conflict,
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
        if self.is_timeout() {
            return "STATEMENT_TIMEOUT";
        }
        if self.is_busy() {
            return "DATABASE_BUSY";
        }
        if self.is_lost() {
            return "CONNECTION_LOST";
        }
        match self.cause() {
            Self::Diesel(_) => match self.code() {
                ErrorCode::NotFound => "ROW_NOT_FOUND",
                ErrorCode::Conflict | ErrorCode::BadRequest => "CONSTRAINT_VIOLATED",
                _ => "DATABASE_FAILED",
            },
            Self::OutcomeUnknown { .. } => "OUTCOME_UNKNOWN",
            Self::AlreadyDone { .. } => "ALREADY_DONE",
            Self::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::HistoryNotWritten { .. } => "HISTORY_NOT_WRITTEN",
            Self::HistoryNotRead { .. } => "HISTORY_NOT_READ",
            Self::HistoryIncomplete { .. } => "HISTORY_INCOMPLETE",
            Self::HistoryNotNumbered { .. } => "HISTORY_NOT_NUMBERED",
            Self::KeyChanged { .. } => "KEY_CHANGED",
            Self::GuardRefused { .. } => "GUARD_REFUSED",
            Self::GuardNotArmed(_) => "GUARD_NOT_ARMED",
            Self::TaskNotWritten(_) => "TASK_NOT_WRITTEN",
            Self::TaskMismatch { .. } => "TASK_MISMATCH",
            Self::TokenReused => "TOKEN_REUSED",
            Self::UnreadableEntry { .. } => "ENTRY_UNREADABLE",
            Self::UnknownField { .. } => "FIELD_UNKNOWN",
            Self::ForeignCursor { .. } => "CURSOR_INVALID",
            Self::TimedOut { .. } => "STATEMENT_TIMEOUT",
            Self::Interrupted => "STREAM_INTERRUPTED",
            Self::Unsupported(_) => "UNSUPPORTED",
            Self::Pool(_) => "NO_CONNECTION",
        }
    }
}

impl Error {
    /// The error itself, or the one that a condition of Koherent's put into a statement of Diesel's.
    fn cause(&self) -> &Self {
        match self {
            Self::Diesel(DieselError::QueryBuilderError(error)) => {
                error.downcast_ref().unwrap_or(self)
            }
            own => own,
        }
    }

    /// What Diesel says of it, if that is where it comes from.
    const fn diesel(&self) -> Option<&DieselError> {
        match self {
            Self::Diesel(error)
            | Self::TaskNotWritten(error)
            | Self::GuardNotArmed(error)
            | Self::HistoryNotWritten { source: error, .. }
            | Self::HistoryNotRead { source: error, .. } => Some(error),
            _ => None,
        }
    }

    /// Whether the database stopped a statement that took too long, or nobody waited for it any longer.
    fn is_timeout(&self) -> bool {
        match self.diesel() {
            Some(error) => Failure::of(error) == Some(Failure::Stopped),
            None => matches!(self, Self::TimedOut { .. }),
        }
    }

    /// Whether the database waited for a lock in vain, or undid everything because others were in the way: it would work
    /// at another time.
    fn is_busy(&self) -> bool {
        let failure = self.diesel().and_then(Failure::of);
        matches!(failure, Some(Failure::LockTimeout | Failure::Collision))
    }

    /// Whether the connection was lost before the change could be made.
    fn is_lost(&self) -> bool {
        self.diesel().and_then(Failure::of) == Some(Failure::Lost)
    }

    /// Which constraint of the database a change violates, where it says so.
    ///
    /// What is known depends on the engine: PostgreSQL names table, column and constraint; SQLite table and column; MariaDB
    /// and MySQL the column, or the key or constraint.
    ///
    /// ```
    /// # include!("doctest_setup.rs");
    /// # fn main() -> Result<(), koherent_diesel::Error> {
    /// # let conn = &mut connection_with_liver();
    /// use koherent_diesel::audited_update;
    ///
    /// let nothing = diesel::dsl::sql::<diesel::sql_types::Text>("NULL");
    /// let update = audited_update(samples::table.find(1), samples::name.eq(nothing));
    /// let error = update.by(&Attribution::system("job")).execute(conn).unwrap_err();
    /// let violation = error.violation().unwrap();
    /// assert_eq!((violation.table.as_deref(), violation.column.as_deref()), (Some("samples"), Some("name")));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        let Self::Diesel(DieselError::DatabaseError(kind, details)) = self else {
            return None;
        };
        let is_violation = matches!(
            kind,
            DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::ExclusionViolation
                | DatabaseErrorKind::RestrictViolation
        );
        is_violation.then(|| Violation::read(&**details))
    }
}

/// A constraint that a change violates: [`Error::violation`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The table.
    pub table: Option<String>,
    /// The column; of several, the first.
    pub column: Option<String>,
    /// The constraint, or the unique key.
    pub constraint: Option<String>,
}

impl Violation {
    fn read(details: &dyn DatabaseErrorInformation) -> Self {
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        let told = Self {
            table: owned(details.table_name()),
            column: owned(details.column_name()),
            constraint: owned(details.constraint_name()),
        };
        if told != Self::default() {
            return told;
        }
        let message = details.message();
        // SQLite: `UNIQUE constraint failed: samples.name, samples.owner`.
        if let Some((_, columns)) = message.split_once("constraint failed: ") {
            let first = columns.split(',').next().unwrap_or_default();
            return match first.split_once('.') {
                Some((table, column)) => Self {
                    table: Some(table.to_owned()),
                    column: Some(column.to_owned()),
                    constraint: None,
                },
                None => Self {
                    constraint: Some(columns.to_owned()),
                    ..Self::default()
                },
            };
        }
        // MariaDB and MySQL: `Column 'name' cannot be null`, `Duplicate entry 'liver' for key 'name'`.
        let quoted = |text: &str| text.split('\'').nth(1).map(ToOwned::to_owned);
        Self {
            table: None,
            column: message
                .starts_with("Column")
                .then(|| quoted(message))
                .flatten(),
            constraint: message
                .rsplit_once("for key ")
                .and_then(|(_, key)| quoted(key))
                .or_else(|| {
                    let (_, constraint) = message.split_once("CONSTRAINT `")?;
                    Some(constraint.split('`').next()?.to_owned())
                }),
        }
    }
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
