//! What is counted: `/metrics`, in the text form of Prometheus.

use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// The numbers of this process. Koherent's crates count into whatever recorder there is; this installs one, once.
///
/// # Errors
///
/// Where the process has another recorder already.
pub fn recorder() -> Result<PrometheusHandle> {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(recorder) = RECORDER.get() {
        return Ok(recorder.clone());
    }
    let recorder = PrometheusBuilder::new()
        .install_recorder()
        .context("cannot count: another recorder of metrics is installed")?;
    koherent_core::metrics::describe();
    Ok(RECORDER.get_or_init(|| recorder).clone())
}
