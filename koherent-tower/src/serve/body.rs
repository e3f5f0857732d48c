//! The bodies of requests and answers: the first must come in time, the second says when it has ended.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::allowance::Allowance;
use super::connection::State;
use super::register::Phase;

/// The body of a request that is served.
pub struct RequestBody {
    body: Incoming,
    sending: Allowance,
    has_ended: bool,
    state: Arc<State>,
}

/// The client sends its body too slowly, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client does not send the body of its request")]
#[non_exhaustive]
pub struct TooSlow;

impl RequestBody {
    pub(super) fn new(body: Incoming, stall: Duration, state: Arc<State>) -> Self {
        Self {
            has_ended: body.is_end_stream(),
            body,
            sending: Allowance::new(stall),
            state,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok());
                let data = data.and_then(Frame::data_ref);
                self.sending.moved(data.map_or(0, |data| data.remaining()));
                self.has_ended = frame.is_none() || self.body.is_end_stream();
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                ready!(self.sending.poll_used_up(cx));
                tracing::info!("a client that does not send its body is answered");
                self.state.leave_unread();
                Poll::Ready(Some(Err(TooSlow.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.has_ended {
            self.state.leave_unread();
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

pin_project! {
    /// The body of an answer that is served.
    pub struct AnswerBody<B> {
        #[pin]
        body: B,
        answering: Option<Answering>,
    }
}

impl<B> AnswerBody<B> {
    pub(super) const fn new(body: B, answering: Option<Answering>) -> Self {
        Self { body, answering }
    }
}

impl<B: Body> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> fmt::Debug for AnswerBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBody").finish_non_exhaustive()
    }
}

/// A request that is answered: when it is gone, the connection waits for the next one.
pub(super) struct Answering(Option<Arc<State>>);

impl Answering {
    pub(super) fn begin(state: Arc<State>) -> Self {
        state.place.enter(Phase::Busy);
        Self(Some(state))
    }

    /// The connection is no HTTP any more: it stays busy.
    pub(super) fn upgrade(mut self) {
        self.0 = None;
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.place.enter(Phase::Idle);
        }
    }
}
