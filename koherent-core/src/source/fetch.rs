//! What fetches a document: a trait, because core knows no HTTP client.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// What [`Fetch::fetch`] returns.
pub type FetchFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchError>> + Send + 'a>>;

/// Fetches a document by HTTP `GET`.
///
/// `koherent-tower` has one with its feature `fetch`. Whoever writes another must keep to these rules, because a key server
/// is only as far trusted as its document:
///
/// - only status 200 is a document, and redirects are not followed;
/// - after `most_bytes` it stops reading;
/// - after two seconds or so it gives up, also when bytes keep dripping in;
/// - it sends no cookies and no credentials.
///
/// The URL has been checked: `https`, or plain `http` where [`KeySource`](crate::KeySource) allowed it.
///
/// ```
/// use koherent_core::source::{Fetch, FetchError, FetchFuture};
///
/// #[derive(Debug)]
/// struct Broken;
///
/// impl Fetch for Broken {
///     fn fetch<'a>(&'a self, _url: &'a str, _most_bytes: usize) -> FetchFuture<'a> {
///         Box::pin(async { Err(FetchError::TimedOut) })
///     }
/// }
/// # let source = koherent_core::KeySource::url("https://login.example/jwks.json", Broken)?;
/// # Ok::<(), koherent_core::SetupError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fetch documents",
    label = "expected a fetcher, such as `koherent_tower::HttpFetcher`",
    note = "turn on the feature `fetch` of koherent-tower, or implement `koherent_core::source::Fetch`"
)]
pub trait Fetch: fmt::Debug + Send + Sync + 'static {
    /// Fetches the document at that URL, if it has at most so many bytes.
    ///
    /// # Errors
    ///
    /// [`FetchError`]; it is logged, never shown to clients.
    fn fetch<'a>(&'a self, url: &'a str, most_bytes: usize) -> FetchFuture<'a>;
}

impl<F: Fetch + ?Sized> Fetch for Arc<F> {
    fn fetch<'a>(&'a self, url: &'a str, most_bytes: usize) -> FetchFuture<'a> {
        (**self).fetch(url, most_bytes)
    }
}

/// Why a document could not be fetched.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// It took too long.
    #[error("it did not answer in time")]
    TimedOut,
    /// The answer was no document: the status is not 200. A redirect is one of these.
    #[error("it answered with status {0}")]
    Status(u16),
    /// The document has more bytes than it may.
    #[error("its document is too long")]
    TooLarge,
    /// No connection, or it broke off.
    #[error("it cannot be reached: {0}")]
    Transport(#[source] Arc<dyn StdError + Send + Sync>),
}

impl FetchError {
    /// An error of the HTTP client.
    pub fn transport(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Transport(Arc::from(error.into()))
    }
}
