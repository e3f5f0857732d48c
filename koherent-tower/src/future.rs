//! The two states of a response: the inner service works on it, or it has been refused.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body_util::{Either, Full};
use koherent_core::Attribution;
use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;
use tracing::Span;

use crate::context::{CURRENT, current};
use crate::service::ResponseBody;

pin_project! {
    /// The response of a [`Gate`](crate::Gate).
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        PassedOn {
            #[pin]
            inner: TaskLocalFuture<Option<Attribution>, F>,
            span: Span,
        },
        Rejected {
            response: Option<Response<Bytes>>,
        },
    }
}

impl<F: Future> ResponseFuture<F> {
    /// Calls the inner service, and later polls it, within the scope of the attribution: this one, or that of an outer
    /// layer.
    pub(crate) fn passed_on(attribution: Option<Attribution>, call: impl FnOnce() -> F) -> Self {
        let span = match attribution.as_ref().and_then(Attribution::task) {
            Some(task) => {
                tracing::info_span!("task", task_id = %task.task_id, issuer = %task.issuer)
            }
            None => Span::none(),
        };
        let attribution = attribution.or_else(current);
        let inner = CURRENT.sync_scope(attribution.clone(), || span.in_scope(call));
        let inner = CURRENT.scope(attribution, inner);
        Self {
            state: State::PassedOn { inner, span },
        }
    }

    pub(crate) const fn rejected(response: Response<Bytes>) -> Self {
        Self {
            state: State::Rejected {
                response: Some(response),
            },
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::PassedOn { inner, span } => {
                let _entered = span.enter();
                let response = ready!(inner.poll(cx))?;
                Poll::Ready(Ok(response.map(Either::Left)))
            }
            StateProjection::Rejected { response } => {
                let response = response
                    .take()
                    .expect("a future is not polled after it is ready");
                Poll::Ready(Ok(response.map(|body| Either::Right(Full::new(body)))))
            }
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
