//! Who drives a load of keys: the runtime, so that it is finished even when the request that needed it is gone.

use koherent_core::source::Refresh;
use tokio::runtime::Handle;

/// Waits for the load, which goes on without whoever waits.
pub(crate) async fn drive(refresh: Refresh) {
    begin(refresh.clone());
    refresh.await;
}

/// Lets the load run beside. Without a runtime, whoever waits for it next drives it.
pub(crate) fn begin(refresh: Refresh) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(refresh);
    }
}
