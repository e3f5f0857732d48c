//! `DrainLayer`: whatever a service answers early, the connection stays usable, or the answer says that it closes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::{DrainedBody, Place};
use super::rest::{Bounds, Head, Rest, close};

/// Reads and drops what a service leaves of a request's body before the answer goes out, or says `Connection: close` in it.
///
/// It stands outside of everything that may answer without reading: body limits (413), unknown paths and methods (404,
/// 405), handlers that refuse. [`PrincipalLayer`](crate::PrincipalLayer) and [`ProvenanceLayer`](crate::ProvenanceLayer) do
/// the same for their refusals by themselves, where the body is one of axum or hyper; of another they say that the connection
/// closes. Why: RFC 9112 §9.3 and §9.6.
///
/// At most 2 MiB are read, for at most 5 s; a client that waits to be asked for its body (`Expect: 100-continue`) is not
/// asked.
///
/// ```
/// use axum::{Router, routing::post};
/// use koherent_tower::DrainLayer;
///
/// let app: Router = Router::new()
///     .route("/samples", post(async || "this handler reads no body"))
///     .layer(DrainLayer::new());
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a layer does nothing until a service is wrapped in it"]
pub struct DrainLayer {
    bounds: Bounds,
}

impl DrainLayer {
    /// A layer that reads at most 2 MiB for at most 5 s.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same layer, reading at most so many bytes: of a body that is longer nothing is read, if its length is known.
    ///
    /// ```
    /// use std::time::Duration;
    /// use koherent_tower::DrainLayer;
    ///
    /// let layer = DrainLayer::new().with_bytes(64 * 1024).with_wait(Duration::from_secs(1));
    /// assert!(format!("{layer:?}").contains("65536"));
    /// ```
    pub const fn with_bytes(mut self, bytes: u64) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// The same layer, waiting at most so long for the rest of a body.
    pub const fn with_wait(mut self, wait: Duration) -> Self {
        self.bounds.wait = wait;
        self
    }
}

impl<S> Layer<S> for DrainLayer {
    type Service = DrainService<S>;

    fn layer(&self, inner: S) -> DrainService<S> {
        let bounds = self.bounds;
        DrainService { inner, bounds }
    }
}

/// Left in the extensions of a request: what is left of its body is seen to outside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drains;

/// The service that [`DrainLayer`] makes.
#[derive(Debug, Clone)]
pub struct DrainService<S> {
    inner: S,
    bounds: Bounds,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for DrainService<S>
where
    S: Service<Request<DrainedBody<ReqBody>>, Response = Response<ResBody>>,
    ReqBody: Body,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = DrainFuture<S::Future, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let head = Head::of(request.version(), request.headers());
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(Drains);
        let (body, place) = DrainedBody::new(body);
        let inner = self.inner.call(Request::from_parts(parts, body));
        let bounds = self.bounds;
        DrainFuture {
            state: State::Answering { inner },
            place,
            head,
            bounds,
        }
    }
}

pin_project! {
    /// The response of a [`DrainService`].
    pub struct DrainFuture<F, B, R> {
        #[pin]
        state: State<F, B, R>,
        place: Arc<Place<B>>,
        head: Head,
        bounds: Bounds,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B, R> {
        Answering {
            #[pin]
            inner: F,
        },
        Draining {
            #[pin]
            rest: Rest<Pin<Box<B>>>,
            response: Option<Response<R>>,
        },
        Answered,
    }
}

impl<F, B, R, E> Future for DrainFuture<F, B, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    B: Body,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const POLLED_AGAIN: &str = "a future is not polled after it is ready";
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Answering { inner } => {
                    let response = ready!(inner.poll(cx))?;
                    // What the answering held of the body comes back with it.
                    this.state.set(State::Answered);
                    let Some(unread) = this.place.take() else {
                        return Poll::Ready(Ok(response));
                    };
                    let mut head = *this.head;
                    head.waits &= !unread.was_asked_for;
                    this.state.set(State::Draining {
                        rest: Rest::new(head, unread.body, *this.bounds),
                        response: Some(response),
                    });
                }
                StateProjection::Draining { rest, response } => {
                    let must_close = ready!(rest.poll(cx));
                    let mut response = response.take().expect(POLLED_AGAIN);
                    if must_close {
                        close(&mut response);
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Answered => unreachable!("{POLLED_AGAIN}"),
            }
        }
    }
}

impl<F, B, R> fmt::Debug for DrainFuture<F, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrainFuture").finish_non_exhaustive()
    }
}
