//! Where a document comes from, and how often it may be asked for.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use super::fetch::Fetch;
use crate::error::SetupError;

/// The least time between two fetches, unless the source says otherwise.
const INTERVAL: Duration = Duration::from_secs(10);

/// How old a document may be before it is fetched again beside a request; at twice that age, before it.
const MAX_AGE: Duration = Duration::from_secs(60);

/// How old keys may be that are used because no newer ones can be had.
const STALE_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The most bytes a key set may have: some hundred keys.
pub const MAX_KEY_SET_BYTES: usize = 256 * 1024;

/// The most bytes a revocation list may have: some hundred thousand ids.
pub const MAX_REVOCATION_LIST_BYTES: usize = 4 * 1024 * 1024;

/// Where the keys of an issuer come from: a JWKS document (RFC 7517 §5), given inline, in a file, or at a URL.
///
/// ```
/// use std::time::Duration;
/// use koherent_core::{KeySource, TrustedIssuer};
/// # let http = koherent_core::testing::TestFetcher::serving("");
///
/// let inline = KeySource::inline(r#"{"keys": []}"#);
/// let file = KeySource::file("rekuest-jwks.json");
/// let url = KeySource::url("https://rekuest.example/jwks.json", http)?.with_interval(Duration::from_secs(30))?;
/// let rekuest = TrustedIssuer::new("rekuest", url)?;
/// # Ok::<(), koherent_core::SetupError>(())
/// ```
#[derive(Clone)]
pub struct KeySource {
    pub(super) origin: Origin,
    pub(super) interval: Duration,
    max_age: Option<Duration>,
    pub(super) stale_limit: Option<Duration>,
    pub(super) most_bytes: usize,
}

#[derive(Clone)]
pub(super) enum Origin {
    Inline(Arc<str>),
    File(Arc<Path>),
    Url {
        url: Arc<str>,
        fetcher: Arc<dyn Fetch>,
    },
}

impl KeySource {
    /// The document itself. It never changes.
    pub fn inline(document: impl Into<String>) -> Self {
        Self::new(Origin::Inline(document.into().into()))
    }

    /// A file. It must be there and readable when the issuer is set up; later it is read again, at most once a second,
    /// and what it says then counts. If it is gone or spoiled, the keys it had stay.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::new(Origin::File(path.into().into()))
    }

    /// A URL: `https`, or `http` to this very machine (`localhost`, `127.0.0.0/8`, `[::1]`).
    ///
    /// Nothing is fetched yet. The [module](crate::source) says when it is.
    ///
    /// # Errors
    ///
    /// [`SetupError::UnusableUrl`]: plain `http` over the network, where anybody between could put in keys of their own,
    /// or a text that is no such URL.
    pub fn url(url: impl AsRef<str>, fetcher: impl Fetch) -> Result<Self, SetupError> {
        Self::checked_url(url.as_ref(), Arc::new(fetcher), Plain::ToLoopback)
    }

    /// A URL, plain `http` over the network included: whoever stands between this service and the key server can then make
    /// any token pass. Only for networks where nobody can.
    ///
    /// # Errors
    ///
    /// [`SetupError::UnusableUrl`].
    pub fn insecure_url(url: impl AsRef<str>, fetcher: impl Fetch) -> Result<Self, SetupError> {
        let url = url.as_ref();
        let source = Self::checked_url(url, Arc::new(fetcher), Plain::Anywhere)?;
        if check_url(url, Plain::ToLoopback).is_err() {
            tracing::warn!(
                ?source,
                "keys are fetched without TLS: whoever stands between can make any token pass"
            );
        }
        Ok(source)
    }

    /// The same source, fetched at most once in that time. The default is 10 seconds.
    ///
    /// # Errors
    ///
    /// [`SetupError::UnusableInterval`] below one second, above one hour, or above the maximum age that was given.
    pub fn with_interval(mut self, interval: Duration) -> Result<Self, SetupError> {
        let longest = Duration::from_secs(3600);
        let longest = self.max_age.map_or(longest, |max_age| max_age.min(longest));
        self.interval = within(interval, Duration::from_secs(1), longest)?;
        Ok(self)
    }

    /// The same source, fetched again when the document is older than that, although it knows every key that is asked for;
    /// at twice that age, before the request that asks. The default is one minute, or the interval where that is longer.
    ///
    /// # Errors
    ///
    /// [`SetupError::UnusableInterval`] below the interval or above 24 hours.
    pub fn with_max_age(mut self, max_age: Duration) -> Result<Self, SetupError> {
        self.max_age = Some(within(max_age, self.interval, STALE_LIMIT)?);
        Ok(self)
    }

    /// The same source for a revocation list: as fresh as the interval allows, and an old one rather than none.
    pub(crate) const fn for_revocations(mut self) -> Self {
        self.max_age = Some(self.interval);
        self.stale_limit = None;
        self.most_bytes = MAX_REVOCATION_LIST_BYTES;
        self
    }

    pub(super) fn max_age(&self) -> Duration {
        self.max_age.unwrap_or_else(|| MAX_AGE.max(self.interval))
    }

    const fn new(origin: Origin) -> Self {
        Self {
            origin,
            interval: INTERVAL,
            max_age: None,
            stale_limit: Some(STALE_LIMIT),
            most_bytes: MAX_KEY_SET_BYTES,
        }
    }

    fn checked_url(url: &str, fetcher: Arc<dyn Fetch>, plain: Plain) -> Result<Self, SetupError> {
        check_url(url, plain).map_err(|problem| SetupError::UnusableUrl {
            url: shown(url).to_string(),
            problem,
        })?;
        Ok(Self::new(Origin::Url {
            url: url.into(),
            fetcher,
        }))
    }
}

/// Where keys may be fetched from without TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plain {
    ToLoopback,
    Anywhere,
}

fn check_url(url: &str, plain: Plain) -> Result<(), &'static str> {
    // Parsers disagree about these; credentials would end up in logs.
    if url.contains(|c: char| !c.is_ascii_graphic() || matches!(c, '\\' | '@' | '#')) {
        return Err(
            "it has a character that is not expected there: `@`, `#`, `\\`, a blank, or one beyond ASCII",
        );
    }
    let uri: Uri = url.parse().map_err(|_| "it is no URL")?;
    let host = uri.host().filter(|host| !host.is_empty());
    let host =
        host.ok_or("it names no host: give a whole URL, such as https://login.example/jwks.json")?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.len() > host.len() && uri.port_u16().is_none_or(|port| port == 0) {
        return Err("its port is no number from 1 to 65535");
    }
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if plain == Plain::Anywhere || is_loopback(host) => Ok(()),
        Some("http") => Err(
            "plain http is only for this very machine: use https, or allow it in so many words (`insecure_http = true`, \
             `KeySource::insecure_url`)",
        ),
        _ => Err("it is neither https nor http"),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn within(given: Duration, shortest: Duration, longest: Duration) -> Result<Duration, SetupError> {
    if (shortest..=longest).contains(&given) {
        Ok(given)
    } else {
        Err(SetupError::UnusableInterval {
            given,
            shortest,
            longest,
        })
    }
}

/// A URL for logs and errors: without what may be a secret in it, credentials and query.
fn shown(url: &str) -> impl fmt::Display {
    let (url, query) = url
        .split_once('?')
        .map_or((url, ""), |(url, _)| (url, "?…"));
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(_, rest)| {
        (&url[..url.len() - rest.len()], rest)
    });
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}{rest}{query}")
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Inline(_) => f.write_str("KeySource::inline(..)"),
            Origin::File(path) => write!(f, "KeySource::file({path:?})"),
            Origin::Url { url, .. } => write!(f, "KeySource::url(\"{}\")", shown(url)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for url in [
            "https://login.example/jwks.json",
            "https://login.example:8443/jwks?v=1",
            "http://127.0.0.1:9000/jwks.json",
            "http://127.8.9.1/jwks.json",
            "http://localhost:9000/",
            "http://[::1]:9000/jwks.json",
        ] {
            assert_eq!(check_url(url, Plain::ToLoopback), Ok(()), "{url}");
        }
        for url in [
            "http://login.example/jwks.json",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
            "http://0.0.0.0/",
            "http://10.0.0.1/",
            "http://[::ffff:8.8.8.8]/",
            "http://127.0.0.1@login.example/",
            "http://login.example\\@127.0.0.1/",
            "https://user:secret@login.example/",
            "https://login.example/#keys",
            "https://löwe.example/",
            "https:///jwks.json",
            "ftp://127.0.0.1/jwks.json",
            "file:///etc/passwd",
            "/jwks.json",
            "jwks.json",
            "https:// login.example/",
            "https://login.example:90000/",
            "https://login.example:8443x/",
            "https://login.example:0/",
            "https://login.example:/",
            "http://127.0.0.1:90000/",
            "",
        ] {
            assert!(check_url(url, Plain::ToLoopback).is_err(), "{url}");
        }
        assert!(check_url("http://login.example/jwks.json", Plain::Anywhere).is_ok());
        assert!(check_url("ftp://login.example/jwks.json", Plain::Anywhere).is_err());
    }

    #[test]
    fn secrets_in_a_url_are_not_shown() {
        for (url, expected) in [
            ("https://login.example/jwks", "https://login.example/jwks"),
            (
                "https://login.example/jwks?code=SECRET",
                "https://login.example/jwks?…",
            ),
            (
                "https://ann:SECRET@login.example/?SECRET",
                "https://login.example/?…",
            ),
            ("ann:SECRET@login.example", "login.example"),
            ("https://ann:SEC@RET@login.example", "https://login.example"),
        ] {
            assert_eq!(shown(url).to_string(), expected);
        }
    }
}
