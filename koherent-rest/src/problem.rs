//! Refusals, as problem documents (RFC 9457).

use std::borrow::Cow;
use std::fmt;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use koherent_core::ErrorCode;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request is not answered. What the database said goes to the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[non_exhaustive]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What the status is called.
    pub title: &'static str,
    /// What the client should do.
    pub code: &'static str,
    /// The stable name of what happened.
    pub reason: &'static str,
    /// What it means, for people.
    pub detail: Cow<'static, str>,
    /// The transaction whose outcome is not known, or that was done before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
}

impl Problem {
    /// A refusal.
    ///
    /// ```
    /// use koherent_core::ErrorCode;
    /// use koherent_rest::Problem;
    /// let problem = Problem::new(ErrorCode::PermissionDenied, "NOT_YOURS", "These histories are not yours.");
    /// assert_eq!(problem.status, 403);
    /// ```
    #[must_use]
    pub fn new(
        code: ErrorCode,
        reason: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let status = match code {
            ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
            ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
            ErrorCode::PermissionDenied => StatusCode::FORBIDDEN,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::Conflict | ErrorCode::AlreadyDone => StatusCode::CONFLICT,
            ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or_default(),
            code: code.as_str(),
            reason,
            detail: detail.into(),
            transaction: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl From<koherent_diesel::Error> for Problem {
    fn from(error: koherent_diesel::Error) -> Self {
        let (code, reason) = (error.code(), error.reason());
        // These say what the client asked for; what a database says is nobody's business.
        use koherent_diesel::Error::{ForeignCursor, UnknownField};
        if matches!(error, UnknownField { .. } | ForeignCursor { .. }) {
            return Self::new(code, reason, error.to_string());
        }
        tracing::error!(reason, "the database failed: {error}");
        let transaction = error
            .transaction()
            .map(|transaction| transaction.to_string());
        let detail = match code {
            _ if reason == "STATEMENT_TIMEOUT" => "This takes the database too long: ask for less.",
            ErrorCode::Unavailable => "The database is busy: try again.",
            ErrorCode::OutcomeUnknown => {
                "Whether this was done is not known: ask for the outcome of the transaction before you send it again."
            }
            ErrorCode::AlreadyDone => "This was done before, under the same idempotency key.",
            _ if reason == "IDEMPOTENCY_KEY_REUSED" => {
                "The idempotency key came with another request: send this one with a key of its own."
            }
            _ => "The service failed.",
        };
        let mut problem = Self::new(code, reason, detail);
        problem.transaction = transaction;
        if reason == "IDEMPOTENCY_KEY_REUSED" {
            // As the draft of the header has it (§2.7).
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            problem.status = status.as_u16();
            problem.title = status.canonical_reason().unwrap_or_default();
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        (status, [(CONTENT_TYPE, kind)], body).into_response()
    }
}
