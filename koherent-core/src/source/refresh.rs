//! A load, from whoever needs it to whoever drives it.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::Shared;

/// What to do about an answer that was given from what is known.
#[derive(Debug, Clone)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "callers must decide each case")]
pub enum Need {
    /// It stands.
    Nothing,
    /// It stands, for want of something that may not be loaded again before that time has passed.
    Later(Duration),
    /// It stands; beside, the document should be loaded again. Who has no runtime to do that in drops it.
    Beside(Refresh),
    /// It is preliminary: load first, then ask again.
    First(Refresh),
}

impl Need {
    /// Both needs in one, as urgent as the more urgent of them.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, need) | (need, Self::Nothing) => need,
            (Self::Later(one), Self::Later(other)) => Self::Later(one.max(other)),
            (Self::Later(_), need) | (need, Self::Later(_)) => need,
            (Self::Beside(one), Self::Beside(other)) => Self::Beside(one.and(other)),
            (Self::First(one) | Self::Beside(one), Self::First(other) | Self::Beside(other)) => {
                Self::First(one.and(other))
            }
        }
    }
}

/// Documents to be loaded. The load begins, or is joined, when this is polled first; dropping it before does nothing. All
/// that wait for a document share one load.
///
/// It runs only while it is polled. Spawned, it is finished also when the request that needed it is gone.
#[derive(Clone)]
#[must_use = "a future does nothing unless it is polled"]
pub struct Refresh(Vec<Step>);

#[derive(Clone)]
enum Step {
    Wanted(Arc<dyn Fn() -> Option<Loading> + Send + Sync>),
    UnderWay(Loading),
}

impl Refresh {
    /// A load that `begin` begins, or joins; none where it is too soon for another.
    pub(super) fn new(begin: impl Fn() -> Option<Loading> + Send + Sync + 'static) -> Self {
        Self(vec![Step::Wanted(Arc::new(begin))])
    }

    fn and(mut self, mut other: Self) -> Self {
        self.0.append(&mut other.0);
        self
    }
}

impl Future for Refresh {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.retain_mut(|step| {
            if let Step::Wanted(begin) = step {
                match begin() {
                    Some(loading) => *step = Step::UnderWay(loading),
                    None => return false,
                }
            }
            match step {
                Step::UnderWay(loading) => loading.0.poll_unpin(cx).is_pending(),
                Step::Wanted(_) => false,
            }
        });
        if self.0.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refresh(..)")
    }
}

/// A load under way.
#[derive(Clone)]
pub(super) struct Loading(Shared<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Loading {
    /// Shares that load. Where it panics, `panicked` is called instead of its end.
    pub(super) fn new(
        load: impl Future<Output = ()> + Send + 'static,
        panicked: impl FnOnce() + Send + 'static,
    ) -> Self {
        let load = AssertUnwindSafe(load)
            .catch_unwind()
            .map(|ended| ended.unwrap_or_else(|_| panicked()));
        Self(load.boxed().shared())
    }

    /// Whether nobody but the state that keeps it has it, so that nobody polls it.
    pub(super) fn is_abandoned(&self) -> bool {
        self.0.strong_count() == Some(1)
    }
}
