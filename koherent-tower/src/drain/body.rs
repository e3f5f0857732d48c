//! A body that comes back where it is dropped unread.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};

/// The body of a request behind a [`DrainLayer`](super::DrainLayer): what is left of it goes back to the layer when it is
/// dropped.
pub struct DrainedBody<B> {
    body: Option<Pin<Box<B>>>,
    was_asked_for: bool,
    place: Arc<Place<B>>,
}

/// Where the rest of a body is put, for the layer to find.
pub(super) struct Place<B>(Mutex<Option<Unread<B>>>);

/// What is left of a body.
pub(super) struct Unread<B> {
    pub(super) body: Pin<Box<B>>,
    /// Whether somebody has begun to read it: then the client has been asked to send it.
    pub(super) was_asked_for: bool,
}

impl<B> Place<B> {
    pub(super) fn take(&self) -> Option<Unread<B>> {
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Unread<B>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> DrainedBody<B> {
    /// The body, and where the rest of it will be.
    pub(super) fn new(body: B) -> (Self, Arc<Place<B>>) {
        let place = Arc::new(Place(Mutex::new(None)));
        let drained = Self {
            body: Some(Box::pin(body)),
            was_asked_for: false,
            place: Arc::clone(&place),
        };
        (drained, place)
    }
}

impl<B: Body> Body for DrainedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.was_asked_for = true;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(body.as_mut().poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.as_ref().map(|body| body.size_hint());
        hint.unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

impl<B> Drop for DrainedBody<B> {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            let was_asked_for = self.was_asked_for;
            *self.place.lock() = Some(Unread {
                body,
                was_asked_for,
            });
        }
    }
}

impl<B> fmt::Debug for DrainedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrainedBody").finish_non_exhaustive()
    }
}
