//! What tests need: issuers with known keys, a clock that moves when told, a key server that fails when told.
//!
//! The keys are derived from names and protect nothing.

use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::mint::TokenIssuer;
use crate::source::{Fetch, FetchError, FetchFuture};

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

/// A fetcher whose server says what the test wants, and counts how often it is asked.
///
/// ```
/// use koherent_core::testing::{TestFetcher, test_issuer};
/// use koherent_core::{KeySource, TrustedIssuer};
///
/// let server = TestFetcher::serving(test_issuer("rekuest").jwks());
/// let keys = KeySource::url("https://rekuest.example/jwks.json", server.clone())?;
/// let rekuest = TrustedIssuer::new("rekuest", keys)?;
/// assert_eq!(server.fetches(), 0, "nothing is fetched before it is needed");
/// # Ok::<(), koherent_core::SetupError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TestFetcher(Arc<Mutex<Server>>);

#[derive(Debug)]
struct Server {
    answer: Result<Vec<u8>, FetchError>,
    fetches: usize,
    hanging: bool,
    waiting: Vec<Waker>,
}

impl TestFetcher {
    /// A server that serves this document.
    pub fn serving(document: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(Mutex::new(Server {
            answer: Ok(document.into()),
            fetches: 0,
            hanging: false,
            waiting: Vec::new(),
        })))
    }

    /// From now on it serves this document.
    pub fn serve(&self, document: impl Into<Vec<u8>>) {
        self.lock().answer = Ok(document.into());
    }

    /// From now on every fetch fails like this.
    pub fn fail(&self, error: FetchError) {
        self.lock().answer = Err(error);
    }

    /// From now on no fetch ends, until it is set to false again.
    pub fn hang(&self, hanging: bool) {
        let mut server = self.lock();
        server.hanging = hanging;
        server.waiting.drain(..).for_each(Waker::wake);
    }

    /// How many fetches were begun.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.lock().fetches
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Server> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Fetch for TestFetcher {
    fn fetch<'a>(&'a self, _url: &'a str, _most_bytes: usize) -> FetchFuture<'a> {
        Box::pin(async {
            self.lock().fetches += 1;
            std::future::poll_fn(|cx| {
                let mut server = self.lock();
                if server.hanging {
                    server.waiting.push(cx.waker().clone());
                    Poll::Pending
                } else {
                    Poll::Ready(server.answer.clone())
                }
            })
            .await
        })
    }
}
