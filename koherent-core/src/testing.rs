//! What tests need: issuers with known keys and a clock that moves when told.
//!
//! The keys are derived from names and protect nothing.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::mint::TokenIssuer;

/// An issuer of that name, with a key that is the same in every run.
///
/// ```
/// use koherent_core::testing::test_issuer;
/// let token = test_issuer("rekuest").task("task-a").mint();
/// assert!(test_issuer("rekuest").verifier("lab").verify(&token).is_ok());
/// ```
#[must_use]
pub fn test_issuer(name: &str) -> TokenIssuer {
    TokenIssuer::new(name, "test-1", &Sha256::digest(name).into())
}

/// A clock that stands still until it is moved.
///
/// ```
/// use std::time::Duration;
/// use koherent_core::{Clock, testing::TestClock};
///
/// let clock = TestClock::at(1_790_000_000);
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(clock.since_epoch().as_secs(), 1_790_000_002);
/// ```
#[derive(Debug)]
pub struct TestClock(Mutex<Moment>);

#[derive(Debug)]
struct Moment {
    now: SystemTime,
    monotonic: Duration,
}

impl TestClock {
    /// A clock that shows that second since 1970.
    #[must_use]
    pub fn at(seconds: u64) -> Self {
        Self(Mutex::new(Moment {
            now: UNIX_EPOCH + Duration::from_secs(seconds),
            monotonic: Duration::ZERO,
        }))
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let mut moment = self.lock();
        moment.now += by;
        moment.monotonic += by;
    }

    /// Sets the clock back, as an operator does: no time passes.
    pub fn set_back(&self, by: Duration) {
        self.lock().now -= by;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Moment> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        self.lock().now
    }

    fn monotonic(&self) -> Duration {
        self.lock().monotonic
    }
}
