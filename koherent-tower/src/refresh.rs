//! Who drives a load of keys: whoever waits for it, and the runtime when nobody does any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use koherent_core::source::Refresh;
use tokio::runtime::Handle;

/// Waits for the load. If whoever waits is gone before its end, the load goes on without.
pub(crate) const fn drive(load: Refresh) -> Driven {
    Driven(Some(load))
}

/// Lets the load run beside. Without a runtime it does not; then somebody waits for it when it is due.
pub(crate) fn begin(load: Refresh) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(load);
    }
}

/// A load that somebody waits for.
#[derive(Debug)]
pub(crate) struct Driven(Option<Refresh>);

impl Future for Driven {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(load) = &mut self.0 {
            std::task::ready!(Pin::new(load).poll(cx));
            self.0 = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        if let Some(load) = self.0.take() {
            begin(load);
        }
    }
}
