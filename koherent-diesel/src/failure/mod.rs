//! What a failure of the database means, told by what Diesel shows of it.
//!
//! | failure | PostgreSQL | MariaDB and MySQL | SQLite |
//! | --- | --- | --- | --- |
//! | others were in the way | SQLSTATE 40001, as Diesel says; a deadlock (40P01) by the lock modes in its detail, which no language translates | 1213, 1020 | `SQLITE_BUSY` |
//! | a lock was waited for in vain | the message, in the languages of the server | 1205, 3572 | `SQLITE_LOCKED` |
//! | a statement was stopped | the message, likewise | 1969, 3024, 1317 | – |
//! | the connection is lost | nobody answers on it; of plain statements, the message | nobody answers on it | – |
//!
//! The numbers are asked for after the failure of an audited statement (`GET DIAGNOSTICS`); SQLite has one language.

mod words;

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Others were in the way, and the database has undone everything: it would work at another time.
    Collision,
    /// A lock was waited for in vain.
    LockTimeout,
    /// The database stopped a statement that took too long, or nobody waited for it any longer.
    Stopped,
    /// Nobody answers on the connection any more.
    Lost,
}

impl Failure {
    /// What a failure means, where it is one of these.
    pub(crate) fn of(error: &DieselError) -> Option<Self> {
        match error {
            DieselError::DatabaseError(kind, details) => match kind {
                DatabaseErrorKind::SerializationFailure => Some(Self::Collision),
                DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection => {
                    Some(Self::Lost)
                }
                DatabaseErrorKind::Unknown => Self::from_details(&**details),
                _ => None,
            },
            DieselError::RollbackErrorOnCommit { commit_error, .. } => Self::of(commit_error),
            DieselError::BrokenTransactionManager => Some(Self::Lost),
            _ => None,
        }
    }

    fn from_details(details: &dyn DatabaseErrorInformation) -> Option<Self> {
        let message = details.message();
        let begins = |beginnings: &[&str]| beginnings.iter().any(|with| message.starts_with(with));
        let is_one = |of: &[&str]| of.contains(&message);
        if begins(COLLISIONS) || is_deadlock(details) {
            Some(Self::Collision)
        } else if begins(LOCK_TIMEOUTS) || is_one(words::LOCK_TIMEOUT) {
            Some(Self::LockTimeout)
        } else if begins(STOPPED) || is_one(words::STOPPED) {
            Some(Self::Stopped)
        } else if begins(LOST) || is_one(words::ENDED) {
            Some(Self::Lost)
        } else {
            None
        }
    }
}

/// Whether PostgreSQL lists who waits for whom: `Process 1 waits for ShareLock on transaction 7; blocked by process 2.` in each
/// line, in whatever language; the lock modes are never translated (`lock.c`).
fn is_deadlock(details: &dyn DatabaseErrorInformation) -> bool {
    let waits = |line: &&str| {
        line.contains("ShareLock")
            || line.contains("ExclusiveLock")
            || line.contains("AccessShareLock")
            || line.contains("SIReadLock")
    };
    let lines = details.details().unwrap_or_default().lines();
    lines.filter(waits).count() > 1
}

/// Words of SQLite, MariaDB and MySQL, and of Diesel and its drivers, which have one language.
const COLLISIONS: &[&str] = &[
    "deadlock detected",
    "Deadlock found when trying to get lock",
    "Record has changed since last read",
    "database is locked",
];

const LOCK_TIMEOUTS: &[&str] = &["database table is locked", "Lock wait timeout exceeded"];

const STOPPED: &[&str] = &["Query execution was interrupted"];

/// What `mysql_async` says of its connections, and PostgreSQL's server while it starts or stops.
const LOST: &[&str] = &[
    "Input/output error: ",
    "Driver error: `Connection",
    "Connection was killed",
    "Server shutdown in progress",
];

/// The same failure, as one that is known to be a lost connection.
pub(crate) fn lost(error: DieselError) -> DieselError {
    match error {
        DieselError::DatabaseError(_, details) => {
            DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, details)
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Details(&'static str, &'static str);

    impl DatabaseErrorInformation for Details {
        fn message(&self) -> &str {
            self.0
        }
        fn details(&self) -> Option<&str> {
            (!self.1.is_empty()).then_some(self.1)
        }
        fn hint(&self) -> Option<&str> {
            None
        }
        fn table_name(&self) -> Option<&str> {
            None
        }
        fn column_name(&self) -> Option<&str> {
            None
        }
        fn constraint_name(&self) -> Option<&str> {
            None
        }
        fn statement_position(&self) -> Option<i32> {
            None
        }
    }

    fn of(message: &'static str, detail: &'static str) -> Option<Failure> {
        let said = Box::new(Details(message, detail));
        Failure::of(&DieselError::DatabaseError(
            DatabaseErrorKind::Unknown,
            said,
        ))
    }

    #[test]
    fn a_deadlock_is_told_in_every_language() {
        for (message, detail) in [
            (
                "deadlock detected",
                "Process 1 waits for ShareLock on transaction 7; blocked by process 2.\nProcess 2 waits for ShareLock on transaction 6; blocked by process 1.",
            ),
            (
                "Verklemmung (Deadlock) entdeckt",
                "Prozess 1 wartet auf ShareLock-Sperre auf Transaktion 7; blockiert von Prozess 2.\nProzess 2 wartet auf ExclusiveLock-Sperre auf Tupel (0,1); blockiert von Prozess 1.",
            ),
            (
                "デッドロックを検出しました",
                "プロセス 1 は ShareLock を トランザクション 7 で待機していましたが、プロセス 2 でブロックされました\nプロセス 2 は AccessExclusiveLock を リレーション 5 で待機していましたが、プロセス 1 でブロックされました",
            ),
            (
                "обнаружена взаимоблокировка",
                "Процесс 1 ожидает в режиме ShareLock блокировку \"транзакция 7\"; заблокирован процессом 2.\nПроцесс 2 ожидает в режиме RowExclusiveLock блокировку \"отношение 6\"; заблокирован процессом 1.",
            ),
        ] {
            assert_eq!(of(message, detail), Some(Failure::Collision), "{message}");
        }
    }

    #[test]
    fn time_outs_and_ended_connections_are_told_in_the_languages_of_the_server() {
        assert_eq!(
            of(
                "storniere Anfrage wegen Zeitüberschreitung einer Sperre",
                ""
            ),
            Some(Failure::LockTimeout)
        );
        assert_eq!(
            of(
                "annulation de la requête à cause du délai écoulé pour l'exécution de l'instruction",
                ""
            ),
            Some(Failure::Stopped)
        );
        assert_eq!(of("由于管理员命令中断联接", ""), Some(Failure::Lost));
    }

    #[test]
    fn negative_control_other_failures_are_none_of_these() {
        assert_eq!(of("division by zero", ""), None);
        assert_eq!(of("Division durch Null", ""), None);
        assert_eq!(of("no", "the table has a ShareLock of its own"), None);
    }
}
