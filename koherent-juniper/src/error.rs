//! Errors of resolvers: `extensions { code reason }`, a fixed sentence, and the detail in the log alone.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use juniper::{FieldError, IntoFieldError, ScalarValue, Value};
use koherent_core::ErrorCode;

/// What a resolver that changes or reads audited rows can answer instead of data.
///
/// Return it from resolvers, and `?` turns a [`koherent_diesel::Error`] into it. Clients see `code`, `reason` and a fixed
/// sentence; what the database said goes to the log. (Juniper's own `FieldError` would show all of it.)
///
/// ```
/// use juniper::{FieldError, IntoFieldError};
///
/// fn rename() -> Result<i32, koherent_juniper::Error> {
///     let changed: Result<i32, koherent_diesel::Error> = Err(diesel::result::Error::NotFound.into());
///     Ok(changed?)
/// }
/// let error: FieldError = rename().unwrap_err().into_field_error();
/// assert_eq!(error.message(), "There is no such row.");
/// assert!(error.extensions().to_string().contains("NOT_FOUND"));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The database, or what Koherent wanted of it.
    Database(Arc<koherent_diesel::Error>),
    /// A refusal of the application's own.
    Refused {
        /// What the client should do.
        code: ErrorCode,
        /// The stable name of what happened.
        reason: &'static str,
        /// What the client sees: a sentence that says what to do.
        text: Cow<'static, str>,
    },
}

impl From<koherent_diesel::Error> for Error {
    fn from(error: koherent_diesel::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        koherent_diesel::Error::from(error).into()
    }
}

impl Error {
    /// A refusal of the application's own.
    #[must_use]
    pub fn refused(
        code: ErrorCode,
        reason: &'static str,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        let text = text.into();
        Self::Refused { code, reason, text }
    }

    /// The same, for a constant.
    #[must_use]
    pub const fn fixed(code: ErrorCode, reason: &'static str, text: &'static str) -> Self {
        let text = Cow::Borrowed(text);
        Self::Refused { code, reason, text }
    }

    pub(crate) const fn internal() -> Self {
        Self::fixed(ErrorCode::InternalError, "INTERNAL", "The service failed.")
    }

    /// What the client should do.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Database(error) => error.code(),
            Self::Refused { code, .. } => *code,
        }
    }

    /// The stable name of what happened.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Database(error) => error.reason(),
            Self::Refused { reason, .. } => reason,
        }
    }

    /// What the client sees.
    fn public_text(&self) -> &str {
        match self {
            Self::Refused { text, .. } => text,
            Self::Database(error) => match error.code() {
                _ if error.reason() == "FIELD_UNKNOWN" => "There is no audited field of that name.",
                _ if error.reason() == "CURSOR_INVALID" => {
                    "The cursor is of an entry of another table: give one that came with these entries."
                }
                _ if error.reason() == "STATEMENT_TIMEOUT" => {
                    "This takes the database too long: ask for less."
                }
                ErrorCode::NotFound => "There is no such row.",
                ErrorCode::Conflict => "The change collides with what is stored.",
                ErrorCode::PermissionDenied => "This task cannot be used here.",
                ErrorCode::Unavailable => "The database is busy: try again.",
                ErrorCode::OutcomeUnknown => {
                    "Whether this was done is not known: ask for the outcome of the transaction before you send it again."
                }
                ErrorCode::AlreadyDone => "This was done before, under the same idempotency key.",
                _ if error.reason() == "IDEMPOTENCY_KEY_REUSED" => {
                    "The idempotency key came with another request: send this one with a key of its own."
                }
                ErrorCode::BadRequest => "The database does not take these values.",
                _ => "The service failed.",
            },
        }
    }
}

/// Transactions whose closures return it can be run again.
impl koherent_diesel::Retryable for Error {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// What clients see of it.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.public_text())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database(error) => Some(&**error),
            Self::Refused { .. } => None,
        }
    }
}

/// An error with its causes, for the log.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// `extensions { code reason }`, and `transaction` where its outcome is not known, or it was done before.
impl<S: ScalarValue> IntoFieldError<S> for Error {
    fn into_field_error(self) -> FieldError<S> {
        let (code, reason) = (self.code().as_str(), self.reason());
        if let Self::Database(error) = &self {
            let error = with_causes(&**error);
            if self.code() == ErrorCode::InternalError {
                tracing::error!(code, reason, "{error}");
            } else {
                tracing::warn!(code, reason, "{error}");
            }
        }
        let mut extensions = juniper::Object::with_capacity(3);
        extensions.add_field("code", Value::scalar(code.to_owned()));
        extensions.add_field("reason", Value::scalar(reason.to_owned()));
        if let Self::Database(error) = &self
            && let Some(transaction) = error.transaction()
        {
            extensions.add_field("transaction", Value::scalar(transaction.to_string()));
        }
        FieldError::new(self.public_text(), Value::object(extensions))
    }
}
