//! Reads what is left of a body, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{CONNECTION, EXPECT};
use http::{HeaderMap, HeaderValue, Response, Version};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};

/// How much of a body is read and dropped, unless a layer says otherwise.
pub(super) const MOST_BYTES: u64 = 2 * 1024 * 1024;

/// How long it is waited for, unless a layer says otherwise.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How much is read, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) bytes: u64,
    pub(super) wait: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bytes: MOST_BYTES,
            wait: LONGEST_WAIT,
        }
    }
}

/// What the head of a request says about the connection it came on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// Whether the next request follows on the same connection, behind the body: HTTP/2 has streams instead.
    pub(super) is_in_line: bool,
    /// Whether the client sends its body only when it is asked to (RFC 9110 §10.1.1).
    pub(super) waits: bool,
}

impl Head {
    pub(super) fn of(version: Version, headers: &HeaderMap) -> Self {
        let waits = headers
            .get(EXPECT)
            .is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        Self {
            is_in_line: version <= Version::HTTP_11,
            waits,
        }
    }
}

pin_project! {
    /// The rest of a body, while it is read; says in the end whether the connection must close.
    pub(crate) struct Rest<B> {
        #[pin]
        body: Option<B>,
        must_close: bool,
        left: u64,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<B: Body> Rest<B> {
    pub(super) fn new(head: Head, body: B, bounds: Bounds) -> Self {
        let is_left = head.is_in_line && !body.is_end_stream();
        let must_close = is_left && (head.waits || body.size_hint().lower() > bounds.bytes);
        let is_read = is_left && !must_close;
        // Outside of a runtime nobody can wait for a time: then whoever serves limits it.
        let has_timer = is_read && Handle::try_current().is_ok();
        Self {
            body: is_read.then_some(body),
            must_close,
            left: bounds.bytes,
            timer: has_timer.then(|| Box::pin(sleep(bounds.wait))),
        }
    }
}

impl<B> Rest<B> {
    /// Of a body that cannot be read: only whether the connection must close.
    pub(super) const fn unread(must_close: bool) -> Self {
        Self {
            body: None,
            must_close,
            left: 0,
            timer: None,
        }
    }
}

impl<B: Body> Future for Rest<B> {
    /// Whether the connection must close.
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let mut this = self.project();
        if *this.must_close {
            return Poll::Ready(true);
        }
        loop {
            let Some(body) = this.body.as_mut().as_pin_mut() else {
                return Poll::Ready(false);
            };
            let frame = match body.poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    let Some(timer) = this.timer else {
                        return Poll::Pending;
                    };
                    ready!(timer.as_mut().poll(cx));
                    return Poll::Ready(true);
                }
            };
            match frame {
                None => return Poll::Ready(false),
                // A body that cannot be read ends the connection by itself.
                Some(Err(_)) => return Poll::Ready(true),
                Some(Ok(frame)) => {
                    let read = frame.data_ref().map_or(0, bytes::Buf::remaining);
                    match this.left.checked_sub(read as u64) {
                        Some(left) => *this.left = left,
                        None => return Poll::Ready(true),
                    }
                }
            }
        }
    }
}

/// Says in the answer that the connection closes behind it (RFC 9112 §9.6).
pub(crate) fn close<B>(response: &mut Response<B>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
}
