//! A document that changes while the service runs: what is known of it, and when it is loaded again.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::fetch::{Fetch, FetchError};
use super::origin::{KeySource, Origin};
use super::refresh::{Loading, Need, Refresh};
use crate::clock::Clock;
use crate::error::{Error, SetupError};

/// How often a file is looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(1);

/// A document of a [`KeySource`], read as a `T`: for verifiers, which ask it for every token.
///
/// Cloning it shares it. See the [module](crate::source) for when it is loaded.
///
/// ```
/// use std::sync::Arc;
/// use koherent_core::source::{Live, Need};
/// use koherent_core::{Clock, KeySource, SystemClock};
///
/// let clock: Arc<dyn Clock> = Arc::new(SystemClock);
/// let lines = Live::new("lines", "docs", KeySource::inline("a\nb"), |text| Ok(text.lines().count()))?;
/// let (view, need) = lines.look(&clock, |_| true);
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
    /// When the last load that ended began, if it failed.
    failed: Option<Duration>,
    /// Of a URL: the load under way.
    loading: Option<Loading>,
    /// Of a file: whether somebody reads it.
    reading: bool,
}

struct Current<T> {
    value: Arc<T>,
    generation: u64,
    digest: [u8; 32],
    /// When the load began that found this, or found it again.
    confirmed: Duration,
}

/// What the end of a load has changed.
struct Stored<T> {
    /// Whether the load before failed.
    failed_before: bool,
    /// Whether there is a document.
    kept: bool,
    /// The document that was there: large ones are not freed under the lock.
    replaced: Option<Current<T>>,
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
            Origin::File(path) => Some(read_file(path, source.most_bytes)?),
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
            failed: None,
            loading: None,
            reading: false,
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
    /// looked for, such as a key. Looking changes nothing: a need that is dropped is there again at the next look.
    pub fn look(
        &self,
        clock: &Arc<dyn Clock>,
        satisfies: impl FnOnce(&T) -> bool,
    ) -> (View<T>, Need) {
        let now = match self.0.source.origin {
            Origin::Inline(_) => Duration::ZERO,
            Origin::File(_) | Origin::Url { .. } => clock.monotonic(),
        };
        if let Origin::File(path) = &self.0.source.origin {
            self.0.read_again(path, now);
        }
        let state = self.0.state();
        let view = self.0.view(&state, now);
        if !matches!(self.0.source.origin, Origin::Url { .. }) {
            return (view, Need::Nothing);
        }
        let missing = view.value.as_deref().is_none_or(|value| !satisfies(value));
        let need = self.0.need(&state, now, missing);
        drop(state);
        let need = match need {
            Wanted::Nothing => Need::Nothing,
            Wanted::Later(wait) => Need::Later(wait),
            Wanted::Beside => Need::Beside(self.refresh(clock)),
            Wanted::First => Need::First(self.refresh(clock)),
        };
        (view, need)
    }

    /// Loads the document now, if it never was; otherwise does nothing.
    pub async fn load(&self, clock: &Arc<dyn Clock>) {
        if let (_, Need::First(refresh)) = self.look(clock, |_| true) {
            refresh.await;
        }
    }

    fn refresh(&self, clock: &Arc<dyn Clock>) -> Refresh {
        let (inner, clock) = (Arc::clone(&self.0), Arc::clone(clock));
        Refresh::new(move || Inner::begin(&inner, clock.monotonic()))
    }
}

/// How urgent a load is.
enum Wanted {
    Nothing,
    Later(Duration),
    Beside,
    First,
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
            failed: state.failed.is_some(),
        }
    }

    fn need(&self, state: &State<T>, now: Duration, missing: bool) -> Wanted {
        let since = |moment: Duration| now.saturating_sub(moment);
        let (interval, max_age) = (self.source.interval, self.source.max_age());
        let age = state
            .current
            .as_ref()
            .map(|current| since(current.confirmed));
        if !missing && age.is_some_and(|age| age < max_age) {
            return Wanted::Nothing;
        }
        // Nobody waits for a server that has just failed, to confirm keys that are known.
        let has_just_failed = state
            .failed
            .is_some_and(|asked| since(asked) < interval * 2);
        let overdue = age.is_none_or(|age| age >= max_age * 2) && !has_just_failed;
        let wait = state
            .asked
            .map(|asked| interval.saturating_sub(since(asked)));
        let wait = wait.filter(|wait| !wait.is_zero());
        match &state.loading {
            Some(_) if missing || overdue => Wanted::First,
            // Whoever began it has gone, and left it to the next.
            Some(loading) if loading.is_abandoned() => Wanted::Beside,
            Some(_) => Wanted::Nothing,
            None => match wait {
                Some(wait) if missing => Wanted::Later(wait),
                Some(_) => Wanted::Nothing,
                None if missing || overdue => Wanted::First,
                None => Wanted::Beside,
            },
        }
    }

    /// The load under way, or a new one if the interval is over. Nothing else begins one.
    fn begin(this: &Arc<Self>, now: Duration) -> Option<Loading> {
        let Origin::Url { url, fetcher } = &this.source.origin else {
            return None;
        };
        let mut state = this.state_mut();
        let asked = state.asked;
        let is_too_soon =
            asked.is_some_and(|asked| now.saturating_sub(asked) < this.source.interval);
        match &state.loading {
            // What nobody has driven for that long is not worth waiting for: its answer is old, or never comes.
            Some(loading) if !is_too_soon && loading.is_abandoned() => {}
            Some(loading) => return Some(loading.clone()),
            None if is_too_soon => return None,
            None => {}
        }
        state.asked = Some(now);
        // Weak: the load stands in the state that it will change.
        let weak = Arc::downgrade(this);
        let (url, fetcher) = (Arc::clone(url), Arc::<dyn Fetch>::clone(fetcher));
        let most_bytes = this.source.most_bytes;
        let load = {
            let weak = weak.clone();
            async move {
                let fetched = fetcher.fetch(&url, most_bytes).await;
                if let Some(inner) = weak.upgrade() {
                    inner.arrived(fetched, now);
                }
            }
        };
        let panicked = move || {
            if let Some(inner) = weak.upgrade() {
                inner.settle(Err("a panic while it was loaded".to_owned()), now);
            }
        };
        let loading = Loading::new(load, panicked);
        let abandoned = state.loading.replace(loading.clone());
        drop(state);
        drop(abandoned);
        Some(loading)
    }

    fn arrived(&self, fetched: Result<Vec<u8>, FetchError>, asked: Duration) {
        let most_bytes = self.source.most_bytes;
        let text = match fetched {
            Ok(bytes) if bytes.len() > most_bytes => Err(FetchError::TooLarge.to_string()),
            Ok(bytes) => {
                String::from_utf8(bytes).map_err(|_| "its document is not UTF-8".to_owned())
            }
            Err(error) => Err(error.to_string()),
        };
        self.settle(text, asked);
    }

    /// Reads a file again, if nobody has within the interval. Its text is compared, not its date: an editor may write
    /// twice within the grain of a file system's clock.
    fn read_again(&self, path: &Path, now: Duration) {
        let is_due = |state: &State<T>| {
            let asked = state.asked.map(|asked| now.saturating_sub(asked));
            !state.reading && asked.is_none_or(|since| since >= FILE_INTERVAL)
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
            state.reading = true;
        }
        let read = AssertUnwindSafe(|| {
            let text = read_file(path, self.source.most_bytes).map_err(|error| error.to_string());
            self.settle(text, now);
        });
        if catch_unwind(read).is_err() {
            self.settle(Err("a panic while it was read".to_owned()), now);
        }
    }

    /// Takes over what a load found. The document is read, and the log written, outside of the lock.
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
        let outcome = match &found {
            Ok(None) => "unchanged",
            Ok(Some(_)) => "changed",
            Err(_) => "failed",
        };
        let Stored {
            failed_before,
            kept,
            replaced: _replaced,
        } = self.store(found.as_ref().ok(), digest, asked);
        match found {
            Ok(None) => {}
            Ok(Some(_)) => tracing::info!(of = %self.of, "{} loaded", self.what),
            // A file is looked at every second; saying so once is enough.
            Err(_) if failed_before && matches!(self.source.origin, Origin::File(_)) => {}
            Err(problem) => {
                tracing::warn!(of = %self.of, source = ?self.source, kept, "{} not loaded: {problem}", self.what);
            }
        }
        let of = self.of.to_string();
        ::metrics::counter!("koherent_refreshes_total", "document" => self.what, "of" => of, "outcome" => outcome)
            .increment(1);
    }

    fn store(
        &self,
        found: Option<&Option<Arc<T>>>,
        digest: Option<[u8; 32]>,
        asked: Duration,
    ) -> Stored<T> {
        let mut state = self.state_mut();
        state.loading = None;
        state.reading = false;
        let failed = found.is_none().then_some(asked);
        let failed_before = std::mem::replace(&mut state.failed, failed).is_some();
        let mut replaced = None;
        match (found, &mut state.current) {
            (None, _) | (Some(None), None) => {}
            (Some(None), Some(current)) => current.confirmed = asked,
            (Some(Some(value)), current) => {
                replaced = current.replace(Current {
                    value: Arc::clone(value),
                    generation: current.as_ref().map_or(1, |old| old.generation + 1),
                    digest: digest.unwrap_or_default(),
                    confirmed: asked,
                });
            }
        }
        let kept = state.current.is_some();
        Stored {
            failed_before,
            kept,
            replaced,
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_file(path: &Path, most_bytes: usize) -> Result<String, SetupError> {
    use std::io::Read as _;
    let unreadable = |problem: String| SetupError::UnreadableFile {
        path: path.display().to_string(),
        problem,
    };
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut text = String::new();
    let read = file
        .take(most_bytes as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(error.to_string()))?;
    if read > most_bytes {
        return Err(unreadable(format!("it is longer than {most_bytes} bytes")));
    }
    Ok(text)
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
