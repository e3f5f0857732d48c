//! From what went wrong to the log and the response: the only place that names a status.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use koherent_core::{Error, ErrorCode, UnverifiedToken};
use serde_json::json;

/// Why a layer answered a request itself.
///
/// It travels in the extensions of the response, so that an outer layer can log it.
///
/// ```
/// use koherent_core::Error;
/// use koherent_tower::Rejection;
///
/// let rejection = Rejection::ProvenanceToken(Error::Expired);
/// assert_eq!(rejection.status(), 401);
/// assert_eq!(rejection.reason(), "EXPIRED");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// More than one header, or more than one value, where one token belongs.
    #[error("the request carries more than one {0}")]
    Repeated(TokenKind),
    /// The header's value is not visible ASCII, or is no `Bearer` credential.
    #[error("the header with the {0} cannot be read")]
    Unreadable(TokenKind),
    /// A header is spelled with underscores. Proxies take such a name for the one with hyphens, or drop it; to ignore it
    /// would be to take a token for absent.
    #[error("the request carries a header for the {0} that is spelled with underscores")]
    Misnamed(TokenKind),
    /// The token is required and absent.
    #[error("the request carries no {0}")]
    Missing(TokenKind),
    /// The access token was refused.
    #[error("the access token was refused: {0}")]
    AccessToken(#[source] Error),
    /// The provenance token was refused, or was given to another actor.
    #[error("the provenance token was refused: {0}")]
    ProvenanceToken(#[source] Error),
    /// A provenance token came without a login: nobody can say whether the caller is its actor.
    #[error("a provenance token came without a login")]
    TokenWithoutLogin,
    /// A provenance token came to a service where nothing had looked for a login before.
    #[error(
        "nothing looked for a login before ProvenanceLayer did: put PrincipalLayer outside of it, or move it there \
         (in axum: `.layer(provenance).layer(principal)`), or put `LoginChecked` and a `Principal` into the request's \
         extensions, or opt out with `ProvenanceLayer::without_actor_binding`"
    )]
    NoLoginLayer,
    /// An extractor was used where its layer had not run.
    #[error("the extractor `{extractor}` needs {layer} around this route")]
    LayerMissing {
        /// The extractor.
        extractor: &'static str,
        /// The layer it needs.
        layer: &'static str,
    },
}

/// What a header carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a request is signed in, and belongs to a task"
)]
pub enum TokenKind {
    /// `Authorization: Bearer`: who is calling.
    AccessToken,
    /// `Rekuest-Task`: under which task.
    ProvenanceToken,
}

impl TokenKind {
    /// The word for it in problem documents: `access` or `provenance`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access",
            Self::ProvenanceToken => "provenance",
        }
    }
}

impl std::fmt::Display for TokenKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AccessToken => "access token",
            Self::ProvenanceToken => "provenance token",
        })
    }
}

impl Rejection {
    /// What the client should do.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Repeated(_) | Self::Unreadable(_) | Self::Misnamed(_) => ErrorCode::BadRequest,
            Self::Missing(_) | Self::TokenWithoutLogin => ErrorCode::Unauthenticated,
            Self::AccessToken(error) | Self::ProvenanceToken(error) => error.code(),
            Self::NoLoginLayer | Self::LayerMissing { .. } => ErrorCode::InternalError,
        }
    }

    /// The stable name of what happened.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Repeated(_) => "HEADER_REPEATED",
            Self::Unreadable(_) => "HEADER_UNREADABLE",
            Self::Misnamed(_) => "HEADER_MISNAMED",
            Self::Missing(_) => "TOKEN_MISSING",
            Self::AccessToken(error) | Self::ProvenanceToken(error) => error.reason(),
            Self::TokenWithoutLogin => "TOKEN_WITHOUT_LOGIN",
            Self::NoLoginLayer | Self::LayerMissing { .. } => "LAYER_MISSING",
        }
    }

    /// What the client should do, where the code alone must say which token is to be renewed: a task's is
    /// [`ErrorCode::TaskUnauthenticated`]. Clients that know no [`token`](Self::token), those of GraphQL among them, would
    /// renew their login in vain.
    ///
    /// ```
    /// use koherent_core::{Error, ErrorCode};
    /// use koherent_tower::Rejection;
    /// let rejection = Rejection::ProvenanceToken(Error::Expired);
    /// assert_eq!(rejection.code(), ErrorCode::Unauthenticated);
    /// assert_eq!(rejection.specific_code(), ErrorCode::TaskUnauthenticated);
    /// ```
    #[must_use]
    pub const fn specific_code(&self) -> ErrorCode {
        match self.token() {
            Some(TokenKind::ProvenanceToken) => self.code().of_task(),
            _ => self.code(),
        }
    }

    /// Which token it is about: what a client must renew.
    ///
    /// ```
    /// use koherent_core::Error;
    /// use koherent_tower::{Rejection, TokenKind};
    /// assert_eq!(Rejection::AccessToken(Error::Expired).token(), Some(TokenKind::AccessToken));
    /// ```
    #[must_use]
    pub const fn token(&self) -> Option<TokenKind> {
        match self {
            Self::Repeated(token)
            | Self::Unreadable(token)
            | Self::Misnamed(token)
            | Self::Missing(token) => Some(*token),
            Self::AccessToken(_) | Self::TokenWithoutLogin => Some(TokenKind::AccessToken),
            Self::ProvenanceToken(_) => Some(TokenKind::ProvenanceToken),
            Self::NoLoginLayer | Self::LayerMissing { .. } => None,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self.code() {
            ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
            ErrorCode::Unauthenticated | ErrorCode::TaskUnauthenticated => StatusCode::UNAUTHORIZED,
            ErrorCode::PermissionDenied => StatusCode::FORBIDDEN,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::Conflict => StatusCode::CONFLICT,
            ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The sentence that clients see: fixed, without anything from the request.
    #[must_use]
    pub const fn public_text(&self) -> &'static str {
        match (self, self.code()) {
            (Self::Repeated(_), _) => "Send each token once, in one header.",
            (Self::Misnamed(_), _) => "Spell the header with hyphens: `Rekuest-Task`.",
            (Self::Unreadable(TokenKind::AccessToken), _) => {
                "Send the access token as `Authorization: Bearer TOKEN`."
            }
            (Self::Missing(TokenKind::AccessToken), _) => {
                "Sign in: send an access token as `Authorization: Bearer TOKEN`."
            }
            (Self::Missing(TokenKind::ProvenanceToken), _) => {
                "This needs a task: send its provenance token as `Rekuest-Task: TOKEN`."
            }
            (Self::TokenWithoutLogin, _) => {
                "A provenance token holds only together with an access token: send both."
            }
            (_, ErrorCode::BadRequest) => "The header with the token cannot be read.",
            (Self::AccessToken(error), _) => access_text(error),
            (Self::ProvenanceToken(error), _) => provenance_text(error),
            _ => "The service is not set up correctly.",
        }
    }

    /// The response that a layer gives by default: a problem document (RFC 9457) with `code`, `reason` and
    /// `token` (`access` or `provenance`), and on 401 a
    /// challenge (RFC 6750 §3).
    #[must_use]
    pub fn response(&self) -> Response<Bytes> {
        let status = self.status();
        let mut problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": self.public_text(),
            "code": self.code().as_str(),
            "reason": self.reason(),
        });
        if let Some(token) = self.token() {
            problem["token"] = token.as_str().into();
        }
        let mut response = Response::new(Bytes::from(problem.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            let text = self.public_text();
            let challenge = match self {
                Self::AccessToken(_) | Self::ProvenanceToken(_) => {
                    format!(
                        "Bearer realm=\"koherent\", error=\"invalid_token\", error_description=\"{text}\""
                    )
                }
                _ => "Bearer realm=\"koherent\"".to_owned(),
            };
            if let Ok(challenge) = HeaderValue::from_maybe_shared(Bytes::from(challenge)) {
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
        }
        response
    }
}

/// When to try again where keys could not be loaded, in seconds, unless the layer knows better.
const RETRY_SECONDS: &str = "10";

/// What a client should do about its access token: a new one, another one, or wait.
const fn access_text(error: &Error) -> &'static str {
    match error {
        Error::Expired => "The access token has expired: sign in again.",
        Error::Revoked => "The access token has been revoked: sign in again.",
        Error::NotYetValid => {
            "The access token is not valid yet: the clocks of its issuer and of this service disagree."
        }
        Error::KeysUnavailable | Error::RevocationsUnavailable => {
            "The access token cannot be checked at the moment: try again in a few seconds."
        }
        Error::OrganizationNotAllowed => {
            "The access token's organization may not use this service."
        }
        Error::ScopedTokenUnsupported { .. } => {
            "The access token is limited in a way that this service does not understand: use one without that limit."
        }
        Error::UnknownKey => {
            "The access token is signed with a key that this service does not know: if the key is new, try again in a few \
             seconds."
        }
        Error::UntrustedIssuer | Error::UnsupportedAlgorithm => {
            "The access token is from an issuer, or signed by an algorithm, that this service does not accept: a new one \
             of the same kind will not help."
        }
        Error::WrongAudience => {
            "The access token is for another service: get one whose audience is this service."
        }
        Error::MissingClaim { .. } | Error::InvalidClaim { .. } | Error::MissingKid => {
            "The access token lacks what this service needs, or has it in another form: ask whoever runs its issuer."
        }
        _ => "The access token is not valid: sign in again.",
    }
}

/// What a client should do about its provenance token.
const fn provenance_text(error: &Error) -> &'static str {
    match error {
        Error::ArgsMismatch => "These are not the arguments of the task.",
        Error::ActorMismatch => {
            "This task was given to another actor, or another client, than those of the login."
        }
        Error::Expired => "The provenance token has expired: get a new one for this task.",
        Error::NotYetValid => {
            "The provenance token is not valid yet: the clocks of its issuer and of this service disagree."
        }
        Error::KeysUnavailable => {
            "The provenance token cannot be checked at the moment: try again in a few seconds."
        }
        Error::UnknownKey => {
            "The provenance token is signed with a key that this service does not know: if the key is new, try again in a few \
             seconds."
        }
        Error::UntrustedIssuer | Error::UnsupportedAlgorithm => {
            "The provenance token is from an issuer, or signed by an algorithm, that this service does not accept: a new one \
             of the same kind will not help."
        }
        Error::WrongAudience => {
            "The provenance token is for another service: get one whose audience is this service."
        }
        Error::MissingClaim { .. } | Error::InvalidClaim { .. } | Error::MissingKid => {
            "The provenance token lacks what this service needs, or has it in another form: ask whoever runs its issuer."
        }
        _ => "The provenance token is not valid: get a new one for this task.",
    }
}

/// Makes the response for a rejection, where [`Rejection::response`] does not fit the service.
///
/// ```
/// use http::{Response, StatusCode};
/// use koherent_tower::{Rejection, Responder};
///
/// let teapot = Responder::new(|rejection: &Rejection| {
///     let mut response = Response::new(rejection.reason().into());
///     *response.status_mut() = StatusCode::IM_A_TEAPOT;
///     response
/// });
/// # let _ = teapot;
/// ```
#[derive(Clone)]
pub struct Responder(Arc<Respond>);

type Respond = dyn Fn(&Rejection, &HeaderMap) -> Response<Bytes> + Send + Sync;

impl Responder {
    /// A responder from a function.
    pub fn new(respond: impl Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        Self::by_request(move |rejection, _| respond(rejection))
    }

    /// A responder that also looks at the headers of the request, such as `Accept`.
    ///
    /// ```
    /// use http::{HeaderMap, Response, header::ACCEPT};
    /// use koherent_tower::{Rejection, Responder};
    ///
    /// let by_accept = Responder::by_request(|rejection: &Rejection, headers: &HeaderMap| {
    ///     match headers.get(ACCEPT).is_some_and(|accepted| accepted == "text/plain") {
    ///         true => Response::new(rejection.public_text().into()),
    ///         false => rejection.response(),
    ///     }
    /// });
    /// # let _ = by_accept;
    /// ```
    pub fn by_request(
        respond: impl Fn(&Rejection, &HeaderMap) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(respond))
    }

    /// Logs the rejection, makes its response, and puts it into the response's extensions.
    pub(crate) fn respond(&self, rejection: Rejection, headers: &HeaderMap) -> Response<Bytes> {
        let (code, reason) = (rejection.code().as_str(), rejection.reason());
        match (&rejection, rejection.code()) {
            (_, ErrorCode::InternalError) => tracing::error!(code, reason, "{rejection}"),
            // Probes and crawlers come without: that is no event.
            (Rejection::Missing(_), _) => {
                tracing::debug!(code, reason, "request refused: {rejection}")
            }
            _ => tracing::warn!(code, reason, "request refused: {rejection}"),
        }
        self.respond_silently(rejection, headers)
    }

    /// The same for what has been logged where more was known of it.
    pub(crate) fn respond_silently(
        &self,
        rejection: Rejection,
        headers: &HeaderMap,
    ) -> Response<Bytes> {
        let mut response = (self.0)(&rejection, headers);
        response.extensions_mut().insert(rejection);
        response
    }
}

impl Default for Responder {
    fn default() -> Self {
        Self::new(Rejection::response)
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Responder(..)")
    }
}

/// How many characters of a name in a refused token are logged: nobody fills the disk with names.
const MOST_LOGGED: usize = 100;

/// Says in the log whose token was refused, as the token itself says it, escaped: nothing of this is known to be true.
pub(crate) fn log_refusal(kind: TokenKind, token: &str, headers: &HeaderMap, error: &Error) {
    let cut = |text: &str| text.chars().take(MOST_LOGGED).collect::<String>();
    let unverified = UnverifiedToken::parse(token).ok();
    let issuer = unverified.as_ref().and_then(UnverifiedToken::issuer);
    let key_id = unverified.as_ref().and_then(UnverifiedToken::key_id);
    tracing::warn!(
        code = error.code().as_str(),
        reason = error.reason(),
        issuer = issuer.map(cut).map(tracing::field::debug),
        key_id = key_id.map(cut).map(tracing::field::debug),
        request_id = correlation_id(headers),
        "{kind} refused: {error}"
    );
}

/// The id by which logs know the request: the trace id of `traceparent` (W3C Trace Context §3.2.2.3), else
/// `X-Request-Id`.
pub(crate) fn correlation_id(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_trace_id = |id: &&str| {
        id.len() == 32
            && id
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && id.bytes().any(|byte| byte != b'0')
    };
    let trace_id = text("traceparent").and_then(|value| value.split('-').nth(1));
    let id = trace_id
        .filter(is_trace_id)
        .or_else(|| text("x-request-id"))?
        .trim();
    let id = id.get(..MAX_CORRELATION_ID).unwrap_or(id);
    (!id.is_empty()).then_some(id)
}

/// The longest id of a request that is kept; a longer one is cut.
const MAX_CORRELATION_ID: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rejection_has_its_status_code_reason_and_challenge() {
        use TokenKind::{AccessToken, ProvenanceToken};
        let invalid =
            Some("Bearer realm=\"koherent\", error=\"invalid_token\", error_description=\"");
        let bare = Some("Bearer realm=\"koherent\"");
        let layer_missing = Rejection::LayerMissing {
            extractor: "x",
            layer: "y",
        };
        let too_large = Error::TooLarge { limit: 1 };
        for (rejection, status, code, reason, challenge) in [
            (
                Rejection::Repeated(ProvenanceToken),
                400,
                "BAD_REQUEST",
                "HEADER_REPEATED",
                None,
            ),
            (
                Rejection::Unreadable(AccessToken),
                400,
                "BAD_REQUEST",
                "HEADER_UNREADABLE",
                None,
            ),
            (
                Rejection::ProvenanceToken(too_large),
                400,
                "BAD_REQUEST",
                "TOO_LARGE",
                None,
            ),
            (
                Rejection::Missing(AccessToken),
                401,
                "UNAUTHENTICATED",
                "TOKEN_MISSING",
                bare,
            ),
            (
                Rejection::TokenWithoutLogin,
                401,
                "UNAUTHENTICATED",
                "TOKEN_WITHOUT_LOGIN",
                bare,
            ),
            (
                Rejection::AccessToken(Error::Expired),
                401,
                "UNAUTHENTICATED",
                "EXPIRED",
                invalid,
            ),
            (
                Rejection::ProvenanceToken(Error::BadSignature),
                401,
                "UNAUTHENTICATED",
                "BAD_SIGNATURE",
                invalid,
            ),
            (
                Rejection::ProvenanceToken(Error::KeysUnavailable),
                503,
                "UNAVAILABLE",
                "KEYS_UNAVAILABLE",
                None,
            ),
            (
                Rejection::AccessToken(Error::RevocationsUnavailable),
                503,
                "UNAVAILABLE",
                "REVOCATIONS_UNAVAILABLE",
                None,
            ),
            (
                Rejection::AccessToken(Error::OrganizationNotAllowed),
                403,
                "PERMISSION_DENIED",
                "ORGANIZATION_NOT_ALLOWED",
                None,
            ),
            (
                Rejection::AccessToken(Error::ScopedTokenUnsupported {
                    claim: "collabs".into(),
                }),
                403,
                "PERMISSION_DENIED",
                "SCOPED_TOKEN_UNSUPPORTED",
                None,
            ),
            (
                Rejection::ProvenanceToken(Error::ActorMismatch),
                403,
                "PERMISSION_DENIED",
                "ACTOR_MISMATCH",
                None,
            ),
            (
                Rejection::ProvenanceToken(Error::ArgsMismatch),
                403,
                "PERMISSION_DENIED",
                "ARGS_MISMATCH",
                None,
            ),
            (
                Rejection::Misnamed(ProvenanceToken),
                400,
                "BAD_REQUEST",
                "HEADER_MISNAMED",
                None,
            ),
            (
                Rejection::NoLoginLayer,
                500,
                "INTERNAL_ERROR",
                "LAYER_MISSING",
                None,
            ),
            (layer_missing, 500, "INTERNAL_ERROR", "LAYER_MISSING", None),
        ] {
            let response = rejection.response();
            assert_eq!(response.status(), status, "{rejection:?}");
            let sent = response.headers().get(WWW_AUTHENTICATE);
            let sent = sent.map(|value| value.to_str().unwrap().to_owned());
            let described = challenge.map(|challenge| {
                if Some(challenge) == bare {
                    challenge.to_owned()
                } else {
                    format!("{challenge}{}\"", rejection.public_text())
                }
            });
            assert_eq!(sent, described);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503);
            let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(problem["status"], status);
            assert_eq!(problem["code"], code);
            assert_eq!(problem["reason"], reason);
            let token = rejection.token().map(TokenKind::as_str);
            assert_eq!(problem["token"].as_str(), token);
            assert_eq!(problem["detail"], rejection.public_text());
        }
    }
}
