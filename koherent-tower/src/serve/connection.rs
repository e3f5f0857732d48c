//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tower_service::Service;

use super::body::{AnswerBody, Answering, RequestBody};
use super::limits::ServeLimits;
use super::register::{Phase, Place};
use super::shutdown::Shutdown;
use super::stream::Stream;
use crate::drain::close;

/// How long a connection that waits for a request stays open when a shutdown has begun: a request that is on its way gets its
/// answer.
const LATE: Duration = Duration::from_millis(500);

/// What the parts of a connection know of each other.
#[derive(Debug)]
pub(super) struct State {
    pub(super) place: Place,
    /// Whether the client sent something that nobody read.
    is_unread: AtomicBool,
}

impl State {
    pub(super) fn heard(&self) {
        self.place.heard();
    }

    pub(super) fn leave_unread(&self) {
        self.is_unread.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_unread(&self) -> bool {
        self.is_unread.load(Ordering::Relaxed)
    }
}

/// Serves a connection to its end.
pub(super) async fn serve<S, B>(
    tcp: TcpStream,
    place: Place,
    service: S,
    limits: ServeLimits,
    shutdown: Shutdown,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let _ = tcp.set_nodelay(true);
    let state = Arc::new(State {
        place,
        is_unread: AtomicBool::new(false),
    });
    let stream = Stream::new(tcp, Arc::clone(&state), limits.stall);
    let served = Served {
        service,
        state: Arc::clone(&state),
        stall: limits.stall,
        shutdown: shutdown.clone(),
    };
    let cut = state.place.cut().clone();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(TokioIo::new(stream), served)
        .with_upgrades();
    let mut connection = pin!(connection);
    let told_to_end = async {
        shutdown.begun().await;
        sleep(LATE.min(limits.shutdown / 4)).await;
    };
    tokio::select! {
        ended = connection.as_mut() => return say(ended),
        () = cut.cancelled() => return,
        () = told_to_end => {}
    }
    match state.place.phase() {
        Phase::New => return,
        // The answer says that it is the last one.
        Phase::Head => {}
        Phase::Idle | Phase::Busy => connection.as_mut().graceful_shutdown(),
    }
    // The place goes with the stream, which may be somebody else's by then.
    drop(state);
    tokio::select! {
        ended = connection => say(ended),
        () = cut.cancelled() => {}
    }
}

fn say(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}

/// The service of one connection.
struct Served<S> {
    service: S,
    state: Arc<State>,
    stall: Duration,
    shutdown: Shutdown,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Served<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<AnswerBody<B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (state, shutdown) = (Arc::clone(&self.state), self.shutdown.clone());
        let answering = Answering::begin(Arc::clone(&state));
        let stall = self.stall;
        let body = |body| RequestBody::new(body, stall, Arc::clone(&state));
        let request = request.map(body);
        let mut service = self.service.clone();
        Box::pin(async move {
            poll_fn(|cx| service.poll_ready(cx)).await?;
            let mut response = service.call(request).await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                answering.upgrade();
                return Ok(response.map(|body| AnswerBody::new(body, None)));
            }
            if shutdown.has_begun() || state.is_unread() {
                close(&mut response);
            }
            Ok(response.map(|body| AnswerBody::new(body, Some(answering))))
        })
    }
}
