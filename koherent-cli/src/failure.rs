//! What can go wrong: one line that says what to do.

use std::fmt;

use diesel::result::Error as DieselError;
use koherent_diesel::Retryable as _;

/// Why a command could not be done. It is shown as one line, and the exit code is 2.
#[derive(Debug)]
pub(crate) struct Failure {
    line: String,
    /// Nobody reads the output any more: that is no failure.
    pub(crate) is_closed_pipe: bool,
    /// Others were in the way; it would work at another time.
    pub(crate) is_retryable: bool,
    /// The user of the database may not do it.
    pub(crate) lacks_right: bool,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(line: impl Into<String>) -> Self {
        Self {
            line: line.into(),
            is_closed_pipe: false,
            is_retryable: false,
            lacks_right: false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.line.split_whitespace().collect();
        f.write_str(&words.join(" "))
    }
}

impl From<DieselError> for Failure {
    fn from(error: DieselError) -> Self {
        let is_retryable = error.is_retryable();
        let said = error.to_string();
        let lower = said.to_lowercase();
        let lacks = |words: &[&str]| words.iter().any(|words| lower.contains(words));
        if lacks(&["koherent_"])
            && lacks(&[
                "does not exist",
                "doesn't exist",
                "no such table",
                "no such view",
            ])
        {
            return Self::new(format!(
                "{said}: Koherent's own tables are not there; run `koherent setup`, or `koherent_diesel::MIGRATIONS` in the application"
            ));
        }
        if lacks(&[
            "permission denied",
            "command denied",
            "must be owner",
            "access denied",
            "readonly database",
        ]) {
            return Self {
                lacks_right: true,
                ..Self::new(format!(
                    "{said}: the database user lacks the right; connect as the owner of the tables, or let the owner grant it"
                ))
            };
        }
        if lower.contains("file is not a database") {
            return Self::new(format!(
                "{said}: it is no SQLite database; is --database-url (or DATABASE_URL) right?"
            ));
        }
        Self {
            is_retryable,
            ..Self::new(format!("the database says: {said}"))
        }
    }
}

impl From<koherent_diesel::Error> for Failure {
    fn from(error: koherent_diesel::Error) -> Self {
        match error {
            koherent_diesel::Error::Diesel(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self {
            is_closed_pipe: error.kind() == std::io::ErrorKind::BrokenPipe,
            ..Self::new(error.to_string())
        }
    }
}

impl From<csv::Error> for Failure {
    fn from(error: csv::Error) -> Self {
        match error.into_kind() {
            csv::ErrorKind::Io(error) => error.into(),
            kind => Self::new(format!("the output cannot be written: {kind:?}")),
        }
    }
}
