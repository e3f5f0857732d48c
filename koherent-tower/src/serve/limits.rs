//! The limits.

use std::time::Duration;

/// What connections may do, and for how long.
///
/// ```
/// use std::time::Duration;
/// use koherent_tower::serve::ServeLimits;
///
/// let limits = ServeLimits { shutdown: Duration::from_secs(25), ..ServeLimits::default() };
/// assert_eq!((limits.connections, limits.head), (1000, Duration::from_secs(30)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "`..ServeLimits::default()` says the rest"
)]
pub struct ServeLimits {
    /// How many connections there may be: 1,000. Keep it below the number of files that the system lets the process open.
    pub connections: usize,
    /// How long it may take until the whole head of a request is there, from the connection or from the answer before: 30 s.
    pub head: Duration,
    /// How long it may be waited for a client that sends a body or takes an answer: 30 s in all, and a second more for each
    /// 500 bytes, so that one byte now and then does not help.
    pub stall: Duration,
    /// How long what is under way may take when a shutdown has begun: 10 s.
    pub shutdown: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 1000,
            head: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            shutdown: Duration::from_secs(10),
        }
    }
}
