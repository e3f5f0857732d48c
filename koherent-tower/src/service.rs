//! The service that both layers put around the user's: look at the request, then pass it on, or read the rest of it and answer it.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::check::{Check, Decision, answer};
use crate::future::{Deferred, ResponseBody, ResponseFuture};

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
    ReqBody: 'static,
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
            Decision::Refuse(rejection, retry) => {
                let response = answer(self.check.responder(), rejection, &parts.headers, retry);
                ResponseFuture::refused(response, &parts, body)
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
