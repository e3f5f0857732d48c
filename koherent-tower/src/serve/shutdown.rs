//! Who says when a server ends.

use std::io;

use tokio_util::sync::CancellationToken;

/// The end of a server: begun once, and seen by all who hold a clone of it.
///
/// ```
/// use koherent_tower::serve::Shutdown;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let shutdown = Shutdown::new();
/// let seen_elsewhere = shutdown.clone();
/// shutdown.begin();
/// seen_elsewhere.begun().await;
/// assert!(seen_elsewhere.has_begun());
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    ending: CancellationToken,
    ended: CancellationToken,
}

impl Shutdown {
    /// An end that only [`Self::begin`] begins.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An end that begins with the first `SIGTERM` or `SIGINT` (Ctrl-C), and comes at once with the second.
    ///
    /// # Errors
    ///
    /// Where the process cannot listen to signals.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
    /// let shutdown = koherent_tower::serve::Shutdown::on_signals()?;
    /// assert!(!shutdown.has_begun());
    /// # Ok(()) }
    /// ```
    pub fn on_signals() -> io::Result<Self> {
        let mut signals = Signals::new()?;
        let shutdown = Self::new();
        let told = shutdown.clone();
        tokio::spawn(async move {
            signals.next().await;
            told.begin();
            signals.next().await;
            told.end_at_once();
        });
        Ok(shutdown)
    }

    /// Begins the end: what is under way is finished, within the limit.
    pub fn begin(&self) {
        self.ending.cancel();
    }

    /// Ends at once: what is under way is cut.
    pub fn end_at_once(&self) {
        self.ending.cancel();
        self.ended.cancel();
    }

    /// Whether the end has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.ending.is_cancelled()
    }

    /// Waits until the end begins.
    pub async fn begun(&self) {
        self.ending.cancelled().await;
    }

    pub(super) async fn at_once(&self) {
        self.ended.cancelled().await;
    }
}

#[cfg(unix)]
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self(
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        ))
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.0.recv() => {}, _ = self.1.recv() => {} }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
