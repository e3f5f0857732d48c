//! The three states of a response: keys are loaded, the inner service works on it, or it has been refused and the rest of
//! its request is read.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{Either, Full};
use koherent_core::Attribution;
use koherent_core::source::Refresh;
use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;
use tower_service::Service;
use tracing::Span;

use crate::check::{Check, Decision, answer};
use crate::context::{CURRENT, current};
use crate::drain::{KnownBody, Rest, close, rest_of};
use crate::refresh::{self, Driven};

/// The body of a response: the inner service's, or that of a rejection.
pub type ResponseBody<B> = Either<B, Full<Bytes>>;

/// How often one request waits for a load: for keys, and for revocations.
const MOST_LOADS: u8 = 2;

pin_project! {
    /// The response of a [`Gate`](crate::Gate).
    pub struct ResponseFuture<S, C, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S::Future, S, C, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, S, C, B> {
        Waiting {
            load: Driven,
            deferred: Option<Deferred<S, C, B>>,
        },
        PassedOn {
            #[pin]
            inner: TaskLocalFuture<Option<Attribution>, F>,
            span: Span,
        },
        Refused {
            #[pin]
            rest: Rest<KnownBody>,
            response: Option<Response<Bytes>>,
        },
    }
}

/// A request that waits, with everything it needs to go on.
pub(crate) struct Deferred<S, C, B> {
    inner: S,
    check: C,
    parts: Parts,
    body: B,
    loads: u8,
}

impl<S, C, B> Deferred<S, C, B> {
    pub(crate) const fn new(inner: S, check: C, parts: Parts, body: B) -> Self {
        Self {
            inner,
            check,
            parts,
            body,
            loads: 1,
        }
    }
}

impl<S: Service<Request<B>>, C: Check, B: 'static> Deferred<S, C, B> {
    /// Decides again, now that something has been loaded.
    fn resume(mut self) -> State<S::Future, S, C, B> {
        let may_wait = self.loads < MOST_LOADS;
        match self.check.check(&mut self.parts, may_wait) {
            Decision::PassOn(attribution) => {
                let request = Request::from_parts(self.parts, self.body);
                State::passed_on(attribution, || self.inner.call(request))
            }
            Decision::Refuse(rejection, retry) => {
                let headers = &self.parts.headers;
                let response = answer(self.check.responder(), rejection, headers, retry);
                State::refused(response, &self.parts, self.body)
            }
            Decision::LoadFirst(load) => {
                self.loads += 1;
                State::waiting(load, self)
            }
        }
    }
}

impl<F, S, C, B> State<F, S, C, B> {
    fn waiting(load: Refresh, deferred: Deferred<S, C, B>) -> Self {
        Self::Waiting {
            load: refresh::drive(load),
            deferred: Some(deferred),
        }
    }

    fn passed_on(attribution: Option<Attribution>, call: impl FnOnce() -> F) -> Self
    where
        F: Future,
    {
        let span = match attribution.as_ref().and_then(Attribution::task) {
            Some(task) => {
                tracing::info_span!("task", task_id = %task.task_id, issuer = %task.issuer)
            }
            None => Span::none(),
        };
        let attribution = attribution.or_else(current);
        let inner = CURRENT.sync_scope(attribution.clone(), || span.in_scope(call));
        let inner = CURRENT.scope(attribution, inner);
        Self::PassedOn { inner, span }
    }

    fn refused(response: Response<Bytes>, parts: &Parts, body: B) -> Self
    where
        B: 'static,
    {
        Self::Refused {
            rest: rest_of(parts, body),
            response: Some(response),
        }
    }
}

impl<S: Service<Request<B>>, C, B> ResponseFuture<S, C, B> {
    /// Waits for the load, and decides then.
    pub(crate) fn waiting(load: Refresh, deferred: Deferred<S, C, B>) -> Self {
        Self {
            state: State::waiting(load, deferred),
        }
    }

    /// Calls the inner service, and later polls it, within the scope of the attribution: this one, or that of an outer
    /// layer.
    pub(crate) fn passed_on(
        attribution: Option<Attribution>,
        call: impl FnOnce() -> S::Future,
    ) -> Self
    where
        S::Future: Future,
    {
        Self {
            state: State::passed_on(attribution, call),
        }
    }

    /// Answers, once the rest of the request is read.
    pub(crate) fn refused(response: Response<Bytes>, parts: &Parts, body: B) -> Self
    where
        B: 'static,
    {
        Self {
            state: State::refused(response, parts, body),
        }
    }
}

impl<S, C, ReqBody, ResBody> Future for ResponseFuture<S, C, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    C: Check,
    ReqBody: 'static,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const POLLED_AGAIN: &str = "a future is not polled after it is ready";
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Waiting { load, deferred } => {
                    ready!(Pin::new(load).poll(cx));
                    deferred.take().expect(POLLED_AGAIN).resume()
                }
                StateProjection::PassedOn { inner, span } => {
                    let _entered = span.enter();
                    let response = ready!(inner.poll(cx))?;
                    return Poll::Ready(Ok(response.map(Either::Left)));
                }
                StateProjection::Refused { rest, response } => {
                    let must_close = ready!(rest.poll(cx));
                    let mut response = response.take().expect(POLLED_AGAIN);
                    if must_close {
                        close(&mut response);
                    }
                    return Poll::Ready(Ok(response.map(|body| Either::Right(Full::new(body)))));
                }
            };
            state.set(next);
        }
    }
}

impl<S: Service<Request<B>>, C, B> fmt::Debug for ResponseFuture<S, C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
