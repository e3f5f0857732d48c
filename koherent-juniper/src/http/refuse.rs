//! Refusals, as GraphQL says them.

use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use juniper::IntoFieldError as _;
use koherent_core::ErrorCode;
use serde_json::{Value, json};

use super::media::Media;
use crate::error::Error;

/// Says the refusal of a request as GraphQL does: `errors` with `extensions { code reason }`, by what the client accepts.
///
/// Clients of GraphQL look for the reason in `errors`, and renew a login when its code is `UNAUTHENTICATED`; a problem
/// document is a malformed answer to them. `refused` is the refusal as HTTP alone says it: `application/graphql-response+json`
/// gets its status. `application/json`, which clients without a better word get, says 200 where the client is refused, as GraphQL
/// over HTTP wants it ("Status Codes"); a service at fault (5xx) keeps its status. `WWW-Authenticate` and `Retry-After` stay.
///
/// It makes a responder for the layers of `koherent-tower`, which this crate does not know:
///
/// ```ignore
/// let responder = Responder::by_request(|rejection: &Rejection, headers: &HeaderMap| {
///     let (code, reason) = (rejection.specific_code(), rejection.reason());
///     refuse(headers, &rejection.response(), code, reason, rejection.public_text()).map(Bytes::from)
/// });
/// ```
///
/// ```
/// use http::{HeaderMap, HeaderValue, Response, header::ACCEPT};
/// use koherent_core::ErrorCode;
/// use koherent_juniper::refuse;
///
/// let mut headers = HeaderMap::new();
/// let mut unauthorized = Response::new(());
/// *unauthorized.status_mut() = http::StatusCode::UNAUTHORIZED;
/// let say = |headers: &HeaderMap| refuse(headers, &unauthorized, ErrorCode::Unauthenticated, "EXPIRED", "Sign in again.");
///
/// let refused = say(&headers);
/// assert_eq!(refused.status(), 200);
/// assert!(refused.body().contains(r#""extensions":{"code":"UNAUTHENTICATED","reason":"EXPIRED"}"#));
///
/// headers.insert(ACCEPT, HeaderValue::from_static("application/graphql-response+json"));
/// assert_eq!(say(&headers).status(), 401);
/// ```
pub fn refuse<T>(
    headers: &HeaderMap,
    refused: &Response<T>,
    code: ErrorCode,
    reason: &str,
    text: &str,
) -> Response<String> {
    let media = Media::accepted(headers);
    let status = match media {
        Media::Json if refused.status().is_client_error() => StatusCode::OK,
        _ => refused.status(),
    };
    let extensions = json!({ "code": code.as_str(), "reason": reason });
    let error = json!({ "message": text, "extensions": extensions });
    let mut response = respond(media, status, json!({ "errors": [error] }).to_string());
    for name in [WWW_AUTHENTICATE, RETRY_AFTER] {
        if let Some(value) = refused.headers().get(&name)
            && status == refused.status()
        {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// An answer with one error, and nothing else.
pub(super) fn refusal(error: Error) -> String {
    json!({ "errors": [error_object(error)] }).to_string()
}

/// An error as clients see it.
pub(crate) fn error_object(error: Error) -> Value {
    let error: juniper::FieldError = error.into_field_error();
    json!({ "message": error.message(), "extensions": error.extensions() })
}

/// The errors of an operation that Juniper does not execute, each with its code.
pub(crate) fn with_codes(mut errors: Value) -> Value {
    for error in errors.as_array_mut().into_iter().flatten() {
        if let Some(error) = error.as_object_mut()
            && !error.contains_key("extensions")
        {
            let code = ErrorCode::BadRequest.as_str();
            let extensions = json!({ "code": code, "reason": "GRAPHQL_VALIDATION_FAILED" });
            error.insert("extensions".to_owned(), extensions);
        }
    }
    errors
}

pub(super) fn respond(media: Media, status: StatusCode, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let media = HeaderValue::from_static(media.as_str());
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}
