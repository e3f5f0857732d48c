//! What is counted: `/metrics`, in the text form of Prometheus.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// The numbers of this process. Koherent's crates count into whatever recorder there is; this installs one, once.
///
/// # Errors
///
/// Where the process has another recorder already.
pub fn recorder() -> Result<PrometheusHandle> {
    static RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    // Held while it is installed: two apps in one process share it.
    let mut installed = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(recorder) = &*installed {
        return Ok(recorder.clone());
    }
    let recorder = PrometheusBuilder::new()
        .install_recorder()
        .context("cannot count: another recorder of metrics is installed")?;
    koherent_core::metrics::describe();
    *installed = Some(recorder.clone());
    Ok(recorder)
}
