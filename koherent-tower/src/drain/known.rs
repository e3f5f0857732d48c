//! The rest of a request that a layer refuses, whatever its body is.
//!
//! The layers wrap services of any body, also of those that are none of `http_body`, so the body is looked for among the types that
//! servers have. Where it is none of them, the refusal says that the connection closes, if the head announces a body.

use std::any::Any;
use std::error::Error;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http_body::Body;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;

use super::layer::Drains;
use super::rest::{Bounds, Head, Rest};

/// A body of a type that is known.
pub(crate) type KnownBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// What is to be done about the body of a refused request: nothing where a [`DrainLayer`](super::DrainLayer) is around.
pub(crate) fn rest_of<B: 'static>(parts: &Parts, body: B) -> Rest<KnownBody> {
    if parts.extensions.get::<Drains>().is_some() {
        return Rest::unread(false);
    }
    let head = Head::of(parts.version, &parts.headers);
    match known(body) {
        Some(body) => Rest::new(head, body, Bounds::default()),
        None => Rest::unread(head.is_in_line && announces_body(&parts.headers)),
    }
}

/// Whether a body follows the head (RFC 9112 §6.3).
fn announces_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

fn known<B: 'static>(body: B) -> Option<KnownBody> {
    let mut body = Some(body);
    let mut is = Kinds(&mut body);
    is.one::<KnownBody>()
        .or_else(|| is.axum())
        .or_else(|| is.served())
}

/// A body that may be of several types.
struct Kinds<'b>(&'b mut dyn Any);

impl Kinds<'_> {
    fn one<K>(&mut self) -> Option<KnownBody>
    where
        K: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let body = self.0.downcast_mut::<Option<K>>()?.take()?;
        Some(body.map_err(Into::into).boxed_unsync())
    }

    #[cfg(feature = "axum")]
    fn axum(&mut self) -> Option<KnownBody> {
        self.one::<axum_core::body::Body>()
    }

    #[cfg(not(feature = "axum"))]
    fn axum(&mut self) -> Option<KnownBody> {
        None
    }

    #[cfg(feature = "serve")]
    fn served(&mut self) -> Option<KnownBody> {
        self.one::<hyper::body::Incoming>()
            .or_else(|| self.one::<crate::serve::RequestBody>())
    }

    #[cfg(not(feature = "serve"))]
    fn served(&mut self) -> Option<KnownBody> {
        None
    }
}
