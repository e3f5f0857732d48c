//! A document that changes while the service runs: what is known of it, and when it is loaded again.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::Shared;
use sha2::{Digest as _, Sha256};

use super::fetch::{Fetch, FetchError, MAX_DOCUMENT_BYTES};
use super::origin::{KeySource, Origin};
use crate::clock::Clock;
use crate::error::{Error, SetupError};

/// How often a file is looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(1);

/// A document of a [`KeySource`], read as a `T`: for verifiers, which ask it for every token.
///
/// Cloning it shares it. See the [module](crate::source) for when it is loaded.
///
/// ```
/// use koherent_core::source::{Live, Need};
/// use koherent_core::{KeySource, SystemClock};
///
/// let lines = Live::new("lines", "docs", KeySource::inline("a\nb"), |text| Ok(text.lines().count()))?;
/// let (view, need) = lines.look(&SystemClock, |_| true);
/// assert_eq!(view.value.as_deref(), Some(&2));
/// assert!(matches!(need, Need::Nothing));
/// # Ok::<(), koherent_core::SetupError>(())
/// ```
pub struct Live<T>(Arc<Inner<T>>);

struct Inner<T> {
    what: &'static str,
    of: Box<str>,
    source: KeySource,
    read: Box<Read<T>>,
    state: RwLock<State<T>>,
}

type Read<T> = dyn Fn(&str) -> Result<T, SetupError> + Send + Sync;

struct State<T> {
    current: Option<Current<T>>,
    /// When the last load began.
    asked: Option<Duration>,
    /// Whether the last load failed.
    failed: bool,
    running: Option<Refresh>,
}

struct Current<T> {
    value: Arc<T>,
    generation: u64,
    digest: [u8; 32],
    /// When the load began that found this, or found it again.
    confirmed: Duration,
}

/// Whether a document can be loaded now.
enum Load {
    Begun(Refresh),
    UnderWay(Refresh),
    TooSoon,
}

/// What is known of a document.
pub struct View<T> {
    /// The document; none where it was never loaded, or is too old to be used.
    pub value: Option<Arc<T>>,
    /// Counts the documents that differed: what was concluded from one generation may not hold in another.
    pub generation: u64,
    /// Whether the last load failed: what is not in the document may be in a newer one.
    pub failed: bool,
}

/// What to do about an answer that was given from what is known.
#[derive(Debug, Clone)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "callers must decide each case")]
pub enum Need {
    /// It stands.
    Nothing,
    /// It stands; beside, the document should be loaded again.
    Beside(Refresh),
    /// It is preliminary: load first, then ask again.
    First(Refresh),
}

/// A load under way. All that wait for it share one, and it runs only while it is polled or spawned.
#[derive(Clone)]
#[must_use = "a future does nothing unless it is polled"]
pub struct Refresh(Shared<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl<T: Send + Sync + 'static> Live<T> {
    /// A document of that source. `what` and `of` name it in logs and metrics ("access keys", and the issuer); `read` turns
    /// the text into a value.
    ///
    /// # Errors
    ///
    /// What `read` says of a document that is there already (inline, file), and [`SetupError::UnreadableFile`].
    pub fn new(
        what: &'static str,
        of: impl Into<Box<str>>,
        source: KeySource,
        read: impl Fn(&str) -> Result<T, SetupError> + Send + Sync + 'static,
    ) -> Result<Self, SetupError> {
        let text = match &source.origin {
            Origin::Inline(text) => Some(text.to_string()),
            Origin::File(path) => Some(read_file(path)?),
            Origin::Url { .. } => None,
        };
        let current = match &text {
            Some(text) => Some(Current {
                value: Arc::new(read(text)?),
                generation: 1,
                digest: Sha256::digest(text).into(),
                confirmed: Duration::ZERO,
            }),
            None => None,
        };
        let state = State {
            current,
            asked: None,
            failed: false,
            running: None,
        };
        Ok(Self(Arc::new(Inner {
            what,
            of: of.into(),
            source,
            read: Box::new(read),
            state: RwLock::new(state),
        })))
    }

    /// What is known now, without waiting, and what to do about it. `satisfies` says whether the document has what is
    /// looked for, such as a key.
    pub fn look(&self, clock: &dyn Clock, satisfies: impl FnOnce(&T) -> bool) -> (View<T>, Need) {
        let now = match self.0.source.origin {
            Origin::Inline(_) => Duration::ZERO,
            Origin::File(_) | Origin::Url { .. } => clock.monotonic(),
        };
        if let Origin::File(path) = &self.0.source.origin {
            self.0.read_again(path, now);
        }
        let state = self.0.state();
        let view = self.0.view(&state, now);
        let Origin::Url { url, fetcher } = &self.0.source.origin else {
            return (view, Need::Nothing);
        };
        let age = state
            .current
            .as_ref()
            .map(|current| now.saturating_sub(current.confirmed));
        let max_age = self.0.source.max_age;
        let missing = view.value.as_deref().is_none_or(|value| !satisfies(value));
        if !missing && age.is_some_and(|age| age < max_age) {
            return (view, Need::Nothing);
        }
        // Nobody is made to wait for a server that has just failed to confirm keys that are known.
        let overdue = !state.failed && age.is_some_and(|age| age >= max_age * 2);
        drop(state);
        let need = match Inner::refresh(&self.0, url, fetcher, now) {
            Load::Begun(refresh) | Load::UnderWay(refresh) if missing || overdue => {
                Need::First(refresh)
            }
            Load::Begun(refresh) => Need::Beside(refresh),
            Load::UnderWay(_) | Load::TooSoon => Need::Nothing,
        };
        (view, need)
    }
}

impl<T: Send + Sync + 'static> Live<T> {
    /// Loads the document now, if it never was; otherwise does nothing.
    pub async fn load(&self, clock: &dyn Clock) {
        if let (_, Need::First(refresh)) = self.look(clock, |_| true) {
            refresh.await;
        }
    }
}

impl<T> View<T> {
    /// Why a key that is not in this view is refused: there is none of that id, or that cannot be said.
    #[must_use]
    pub const fn unknown_key(&self) -> Error {
        if self.value.is_none() || self.failed {
            Error::KeysUnavailable
        } else {
            Error::UnknownKey
        }
    }
}

impl<T: Send + Sync + 'static> Inner<T> {
    fn view(&self, state: &State<T>, now: Duration) -> View<T> {
        let usable = |current: &&Current<T>| match (&self.source.origin, self.source.stale_limit) {
            (Origin::Url { .. }, Some(limit)) => now.saturating_sub(current.confirmed) < limit,
            _ => true,
        };
        let current = state.current.as_ref().filter(usable);
        View {
            value: current.map(|current| Arc::clone(&current.value)),
            generation: current.map_or(0, |current| current.generation),
            failed: state.failed,
        }
    }

    /// The load under way, or a new one if the interval is over.
    fn refresh(this: &Arc<Self>, url: &Arc<str>, fetcher: &Arc<dyn Fetch>, now: Duration) -> Load {
        let mut state = this.state_mut();
        if let Some(running) = &state.running {
            return Load::UnderWay(running.clone());
        }
        let interval = this.source.interval;
        if state
            .asked
            .is_some_and(|asked| now.saturating_sub(asked) < interval)
        {
            return Load::TooSoon;
        }
        state.asked = Some(now);
        // Weak: the load stands in the state that it will change.
        let (weak, url, fetcher) = (Arc::downgrade(this), Arc::clone(url), Arc::clone(fetcher));
        let load = async move {
            let fetched = AssertUnwindSafe(async { fetcher.fetch(&url).await }).catch_unwind();
            let fetched = fetched
                .await
                .unwrap_or_else(|_| Err(FetchError::transport("the fetcher panicked")));
            if let Some(inner) = weak.upgrade() {
                inner.arrived(fetched, now);
            }
        };
        let refresh = Refresh(load.boxed().shared());
        state.running = Some(refresh.clone());
        Load::Begun(refresh)
    }

    fn arrived(&self, fetched: Result<Vec<u8>, FetchError>, asked: Duration) {
        let text = fetched
            .and_then(|bytes| {
                if bytes.len() > MAX_DOCUMENT_BYTES {
                    Err(FetchError::TooLarge)
                } else {
                    Ok(bytes)
                }
            })
            .map_err(|error| error.to_string())
            .and_then(|bytes| {
                String::from_utf8(bytes).map_err(|_| "its document is not UTF-8".to_owned())
            });
        self.settle(text, asked);
    }

    /// Reads a file again, if nobody has within the interval. Its text is compared, not its date: an editor may write
    /// twice within the grain of a file system's clock.
    fn read_again(&self, path: &Path, now: Duration) {
        let is_due = |state: &State<T>| {
            state
                .asked
                .is_none_or(|asked| now.saturating_sub(asked) >= FILE_INTERVAL)
        };
        if !is_due(&self.state()) {
            return;
        }
        {
            let mut state = self.state_mut();
            if !is_due(&state) {
                return;
            }
            state.asked = Some(now);
        }
        self.settle(read_file(path).map_err(|error| error.to_string()), now);
    }

    /// Takes over what a load found. The document is read outside of the lock.
    fn settle(&self, text: Result<String, String>, asked: Duration) {
        let digest = text.as_ref().ok().map(|text| Sha256::digest(text).into());
        let known = self.state().current.as_ref().map(|current| current.digest);
        let found = match text {
            Ok(_) if digest == known => Ok(None),
            Ok(text) => (self.read)(&text)
                .map(|value| Some(Arc::new(value)))
                .map_err(|error| error.to_string()),
            Err(problem) => Err(problem),
        };
        let mut state = self.state_mut();
        state.running = None;
        let failed_before = std::mem::replace(&mut state.failed, found.is_err());
        let outcome = match found {
            Ok(None) => {
                if let Some(current) = &mut state.current {
                    current.confirmed = asked;
                }
                "unchanged"
            }
            Ok(Some(value)) => {
                let generation = state.current.as_ref().map_or(1, |old| old.generation + 1);
                state.current = Some(Current {
                    value,
                    generation,
                    digest: digest.unwrap_or_default(),
                    confirmed: asked,
                });
                tracing::info!(of = %self.of, generation, "{} loaded", self.what);
                "changed"
            }
            Err(problem) => {
                let is_url = matches!(self.source.origin, Origin::Url { .. });
                // A file is looked at every second; saying so once is enough.
                if is_url || !failed_before {
                    let kept = state.current.is_some();
                    tracing::warn!(of = %self.of, source = ?self.source, kept, "{} not loaded: {problem}", self.what);
                }
                "failed"
            }
        };
        drop(state);
        let of = self.of.to_string();
        ::metrics::counter!("koherent_refreshes_total", "document" => self.what, "of" => of, "outcome" => outcome)
            .increment(1);
    }

    fn state(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_file(path: &Path) -> Result<String, SetupError> {
    use std::io::Read as _;
    let unreadable = |problem: String| SetupError::UnreadableFile {
        path: path.display().to_string(),
        problem,
    };
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut text = String::new();
    let read = file
        .take(MAX_DOCUMENT_BYTES as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(error.to_string()))?;
    if read > MAX_DOCUMENT_BYTES {
        let problem = format!("it is longer than {MAX_DOCUMENT_BYTES} bytes");
        return Err(unreadable(problem));
    }
    Ok(text)
}

impl Future for Refresh {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refresh(..)")
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("what", &self.0.what)
            .field("of", &self.0.of)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for View<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("known", &self.value.is_some())
            .field("generation", &self.generation)
            .field("failed", &self.failed)
            .finish()
    }
}
