//! What can go wrong: a token that is refused, and a configuration that cannot be used.
//!
//! A refusal ([`Error`]) happens while a request is served. It answers [`Error::code`], what the client should do, and
//! [`Error::reason`], a stable name of what happened. A [`SetupError`] happens at start, is for the operator, and says
//! what to change.

use std::fmt;
use std::time::Duration;

use crate::json::JsonError;

/// What a client should do about an error. Every error of every Koherent crate answers one of these.
///
/// ```
/// use koherent_core::ErrorCode;
/// assert_eq!(ErrorCode::Unauthenticated.as_str(), "UNAUTHENTICATED");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// Nobody could read what was sent: mend the request.
    BadRequest,
    /// There is no proof of who this is, or it does not hold: get a new token.
    Unauthenticated,
    /// There is no proof of the task, or it does not hold: get a new token for the task. A new login does not help.
    TaskUnauthenticated,
    /// The proof holds, but not for this caller or this call.
    PermissionDenied,
    /// The thing asked for is not there.
    NotFound,
    /// The change collides with what is stored.
    Conflict,
    /// Try again later.
    Unavailable,
    /// Whether the change happened is not known: ask before it is sent again.
    OutcomeUnknown,
    /// The change was made before: it need not be sent again.
    AlreadyDone,
    /// The service is at fault: its operators must look.
    InternalError,
}

impl ErrorCode {
    /// The code as clients see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::TaskUnauthenticated => "TASK_UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::NotFound => "NOT_FOUND",
            Self::Conflict => "CONFLICT",
            Self::Unavailable => "UNAVAILABLE",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::AlreadyDone => "ALREADY_DONE",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// The code of the same fault where the token is a task's: it is that token that is to be renewed.
    ///
    /// ```
    /// use koherent_core::ErrorCode;
    /// assert_eq!(ErrorCode::Unauthenticated.of_task(), ErrorCode::TaskUnauthenticated);
    /// assert_eq!(ErrorCode::PermissionDenied.of_task(), ErrorCode::PermissionDenied);
    /// ```
    #[must_use]
    pub const fn of_task(self) -> Self {
        match self {
            Self::Unauthenticated => Self::TaskUnauthenticated,
            other => other,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a token was refused: a provenance token, or an access token by `koherent-tower`, which has the same faults.
///
/// The variants stand in the order in which [`Verifier::verify`](crate::Verifier::verify) checks; the first check that
/// fails names the error. Claim names in them are constants of this crate or of the configuration, never text from the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Longer than [`MAX_TOKEN_BYTES`](crate::token::MAX_TOKEN_BYTES).
    #[error("the token is longer than {limit} bytes")]
    TooLarge {
        /// The most bytes a token may have.
        limit: usize,
    },
    /// Not a JWS in compact form with two strict JSON objects (RFC 7515 §7.1, RFC 8259), or a header that asks for an
    /// extension (`crit`, `b64`).
    #[error("the token is malformed: {0}")]
    Malformed(Malformed),
    /// `alg` is missing or is none of the configured algorithms.
    #[error("the token's algorithm is not accepted here")]
    UnsupportedAlgorithm,
    /// `kid` is missing, empty or no string.
    #[error("the token names no key")]
    MissingKid,
    /// A required claim is absent or null.
    #[error("the claim `{claim}` is missing")]
    MissingClaim {
        /// The claim's name, `act.sub` for a member of `act`.
        claim: &'static str,
    },
    /// A claim is of the wrong JSON type, or its value cannot be.
    #[error("the claim `{claim}` is invalid: {problem}")]
    InvalidClaim {
        /// The claim's name, `act.sub` for a member of `act`.
        claim: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// `iss` is none of the trusted issuers.
    #[error("the token's issuer is not trusted here")]
    UntrustedIssuer,
    /// The issuer publishes no usable key of this `kid`.
    #[error("the issuer has no usable key of that id")]
    UnknownKey,
    /// The issuer's keys, or newer ones, cannot be had now: whether the token is good cannot be said.
    #[error("the issuer's keys cannot be loaded at the moment")]
    KeysUnavailable,
    /// The Ed25519 signature does not verify strictly (RFC 8032 §5.1.7).
    #[error("the token's signature does not verify")]
    BadSignature,
    /// `exp` is in the past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `aud` does not name this service.
    #[error("the token is not meant for this service")]
    WrongAudience,
    /// The token's id is on the revocation list (access tokens).
    #[error("the token has been revoked")]
    Revoked,
    /// The revocation list was never loaded (access tokens): whether the token is revoked cannot be said.
    #[error("the revocation list cannot be loaded at the moment")]
    RevocationsUnavailable,
    /// The organization is none of those that may use the service, or the token names none (access tokens).
    #[error("the token's organization may not use this service")]
    OrganizationNotAllowed,
    /// The token narrows what its bearer may do by a claim that this service does not understand (access tokens).
    #[error("the claim `{claim}` narrows the token, and this service does not understand it")]
    ScopedTokenUnsupported {
        /// The claim's name, as the service lists it.
        claim: std::sync::Arc<str>,
    },
    /// The token's actor is not the authenticated principal ([`verify_actor`](crate::verify_actor)).
    #[error("the token was issued to another actor than the one calling")]
    ActorMismatch,
    /// The arguments are not the ones the task was given ([`verify_args`](crate::verify_args)).
    #[error("the arguments are not those the token attests")]
    ArgsMismatch,
}

impl Error {
    /// What the client should do.
    ///
    /// ```
    /// use koherent_core::{Error, ErrorCode};
    /// assert_eq!(Error::Expired.code(), ErrorCode::Unauthenticated);
    /// assert_eq!(Error::ActorMismatch.code(), ErrorCode::PermissionDenied);
    /// ```
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::ActorMismatch
            | Self::ArgsMismatch
            | Self::OrganizationNotAllowed
            | Self::ScopedTokenUnsupported { .. } => ErrorCode::PermissionDenied,
            Self::KeysUnavailable | Self::RevocationsUnavailable => ErrorCode::Unavailable,
            Self::TooLarge { .. } => ErrorCode::BadRequest,
            Self::Malformed(_)
            | Self::UnsupportedAlgorithm
            | Self::MissingKid
            | Self::MissingClaim { .. }
            | Self::InvalidClaim { .. }
            | Self::UntrustedIssuer
            | Self::UnknownKey
            | Self::BadSignature
            | Self::Expired
            | Self::NotYetValid
            | Self::WrongAudience
            | Self::Revoked => ErrorCode::Unauthenticated,
        }
    }

    /// The stable name of what happened.
    ///
    /// ```
    /// assert_eq!(koherent_core::Error::Expired.reason(), "EXPIRED");
    /// ```
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::Malformed(_) => "MALFORMED",
            Self::UnsupportedAlgorithm => "UNSUPPORTED_ALGORITHM",
            Self::MissingKid => "MISSING_KID",
            Self::MissingClaim { .. } => "MISSING_CLAIM",
            Self::InvalidClaim { .. } => "INVALID_CLAIM",
            Self::UntrustedIssuer => "UNTRUSTED_ISSUER",
            Self::UnknownKey => "UNKNOWN_KEY",
            Self::KeysUnavailable => "KEYS_UNAVAILABLE",
            Self::BadSignature => "BAD_SIGNATURE",
            Self::Expired => "EXPIRED",
            Self::NotYetValid => "NOT_YET_VALID",
            Self::WrongAudience => "WRONG_AUDIENCE",
            Self::Revoked => "REVOKED",
            Self::RevocationsUnavailable => "REVOCATIONS_UNAVAILABLE",
            Self::OrganizationNotAllowed => "ORGANIZATION_NOT_ALLOWED",
            Self::ScopedTokenUnsupported { .. } => "SCOPED_TOKEN_UNSUPPORTED",
            Self::ActorMismatch => "ACTOR_MISMATCH",
            Self::ArgsMismatch => "ARGS_MISMATCH",
        }
    }
}

/// How a token is malformed. For the log: it says where to look and repeats nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// There are not exactly three non-empty segments.
    #[error("it has not three non-empty segments")]
    Segments,
    /// A segment is not base64url without padding and spare bits (RFC 7515 §2).
    #[error("a segment is not strict base64url")]
    Base64,
    /// The header or the payload is not one strict JSON object.
    #[error("{0}")]
    Json(JsonError),
    /// The header or the payload is JSON, but no object.
    #[error("a segment is JSON, but no object")]
    NotAnObject,
    /// The header has `crit`, a `b64` other than true, or a `typ` that is no string.
    #[error("the header asks for what is not understood")]
    Header,
}

/// Why a verifier or a key set cannot be built. It happens at start and is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The audience is empty or blank.
    #[error(
        "the audience is blank: give the name by which tokens address this service, such as \"lab\""
    )]
    BlankAudience,
    /// The audience begins or ends with a blank: it is compared byte for byte, and would never match.
    #[error(
        "the audience {0:?} begins or ends with a blank: give the exact `aud` of tokens for this service"
    )]
    PaddedAudience(String),
    /// No issuer was given.
    #[error("no issuer is trusted: give at least one issuer and its keys")]
    NoIssuer,
    /// An issuer's name is empty or blank.
    #[error("an issuer's name is blank: give the exact `iss` of its tokens")]
    BlankIssuer,
    /// An issuer's name begins or ends with a blank: it is compared byte for byte, and would never match.
    #[error("the issuer {0:?} begins or ends with a blank: give the exact `iss` of its tokens")]
    PaddedIssuer(String),
    /// The same issuer was given twice; keys are never merged.
    #[error("the issuer \"{0}\" is given twice: put its keys into one key set")]
    DuplicateIssuer(String),
    /// The list of algorithms is empty.
    #[error("no algorithm is accepted: give \"Ed25519\", \"EdDSA\" or both")]
    NoAlgorithm,
    /// An algorithm that provenance tokens cannot have.
    #[error(
        "the algorithm {0:?} cannot sign provenance tokens: only \"Ed25519\" and \"EdDSA\" can"
    )]
    UnknownAlgorithm(String),
    /// More leeway than [`MAX_LEEWAY`](crate::token::MAX_LEEWAY).
    #[error("a leeway of {given:?} is too much: at most {limit:?}, and 0 where clocks agree")]
    TooMuchLeeway {
        /// What was asked for.
        given: Duration,
        /// The most there may be.
        limit: Duration,
    },
    /// A key file cannot be read.
    #[error("cannot read the file `{path}`: {problem}")]
    UnreadableFile {
        /// The file.
        path: String,
        /// What the system says, or what is wrong with it.
        problem: String,
    },
    /// A URL that no keys are fetched from.
    #[error("cannot fetch from {url:?}: {problem}")]
    UnusableUrl {
        /// The URL.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An interval that is too short or too long.
    #[error("an interval of {given:?} cannot be used: give {shortest:?} to {longest:?}")]
    UnusableInterval {
        /// What was asked for.
        given: Duration,
        /// The shortest there may be.
        shortest: Duration,
        /// The longest there may be.
        longest: Duration,
    },
    /// The text is no revocation list.
    #[error(
        "this is no revocation list: {0}; expected {{\"revoked\": [...]}} or a list, of token ids"
    )]
    NotARevocationList(String),
    /// The text is no JWKS (RFC 7517 §5).
    #[error("this is no JSON Web Key Set: {0}; expected {{\"keys\": [...]}}")]
    NotAKeySet(String),
}
