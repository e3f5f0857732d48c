//! The service that both layers put around the user's: look at the request, then pass it on or answer it.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{Either, Full};
use koherent_core::Attribution;
use koherent_core::source::Refresh;
use tower_service::Service;

use crate::future::{Deferred, ResponseFuture};
use crate::rejection::{Rejection, Responder};

/// The body of a response: the inner service's, or that of a rejection.
pub type ResponseBody<B> = Either<B, Full<Bytes>>;

/// What a layer decides about a request.
pub(crate) trait Check: Clone {
    /// Looks at headers and extensions, and puts what it verified into the extensions. It never waits. `may_wait` says
    /// whether it may ask to be called again when something has been loaded.
    fn check(&self, request: &mut http::request::Parts, may_wait: bool) -> Decision;

    fn responder(&self) -> &Responder;
}

/// What becomes of a request.
pub(crate) enum Decision {
    /// The inner service gets it, with its attribution, if it is this check that decides it.
    PassOn(Option<Attribution>),
    /// It is answered.
    Refuse(Rejection),
    /// It cannot be decided before this is loaded.
    LoadFirst(Refresh),
}

impl From<Rejection> for Decision {
    fn from(rejection: Rejection) -> Self {
        Self::Refuse(rejection)
    }
}

/// A service that lets a request through only if its check passes.
///
/// [`PrincipalService`](crate::PrincipalService) and [`ProvenanceService`](crate::ProvenanceService) are this with their
/// checks; both are made by their layers.
#[derive(Debug, Clone)]
pub struct Gate<S, C> {
    inner: S,
    check: C,
}

impl<S, C> Gate<S, C> {
    pub(crate) const fn new(inner: S, check: C) -> Self {
        Self { inner, check }
    }
}

impl<S, C, ReqBody, ResBody> Service<Request<ReqBody>> for Gate<S, C>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    C: Check,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, C, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        match self.check.check(&mut parts, true) {
            Decision::PassOn(attribution) => {
                let request = Request::from_parts(parts, body);
                ResponseFuture::passed_on(attribution, || self.inner.call(request))
            }
            Decision::Refuse(rejection) => {
                ResponseFuture::rejected(self.check.responder().respond(rejection))
            }
            Decision::LoadFirst(refresh) => {
                // The one that is ready waits; a clone of it may not be.
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                let check = self.check.clone();
                ResponseFuture::waiting(refresh, Deferred::new(inner, check, parts, body))
            }
        }
    }
}
