//! What a connection may do, and for how long.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// The settings of all connections of an endpoint.
///
/// ```
/// use koherent_juniper::socket::{Origins, SocketSettings};
///
/// let origins = Origins::Listed(vec!["https://lab.example".into()]);
/// let settings = SocketSettings { origins, ..SocketSettings::default() };
/// assert_eq!(settings.operations, 16);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "`..SocketSettings::default()` says the rest"
)]
pub struct SocketSettings {
    /// The pages that may connect: those of the same origin, unless this says otherwise.
    pub origins: Origins,
    /// How long a connection may stay open before somebody signs in: 10 s.
    pub sign_in_within: Duration,
    /// How often it is asked whether the client is there: every 20 s. One that says nothing for three times as long is gone.
    /// It is also asked whether the login still holds: where it does not, the connection is closed with 4403.
    pub keep_alive: Duration,
    /// How many operations may be under way: 16.
    pub operations: usize,
    /// Whether a mutation needs the token of a task.
    pub mutations: Mutations,
}

impl Default for SocketSettings {
    fn default() -> Self {
        Self {
            origins: Origins::Same,
            sign_in_within: Duration::from_secs(10),
            keep_alive: Duration::from_secs(20),
            operations: 16,
            mutations: Mutations::NeedTask,
        }
    }
}

/// Whether a mutation needs the token of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mutations {
    /// Each brings one, in `extensions.rekuestTask`.
    #[default]
    NeedTask,
    /// Those that bring none are nobody's task.
    MayLackTask,
}

/// The pages that may connect. Clients that are no browsers name none, and always may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Origins {
    /// Pages of the same host and port, whichever scheme: behind a proxy, this service does not know its own. The proxy must
    /// pass `Host` on.
    #[default]
    Same,
    /// Pages of these origins, such as `https://lab.example`, and of the same host and port.
    Listed(Vec<String>),
    /// All pages.
    Any,
}

impl Origins {
    pub(super) fn allow(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let (Some(origin), None) = (origins.next(), origins.next()) else {
            return !headers.contains_key(ORIGIN);
        };
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let is_same = || {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            let origin = origin.split_once("://").map(|(_, host)| host);
            let is_host = |origin: &str| host.is_some_and(|host| origin.eq_ignore_ascii_case(host));
            origin.is_some_and(is_host)
        };
        match self {
            Self::Any => true,
            Self::Same => is_same(),
            Self::Listed(listed) => {
                listed
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(origin))
                    || is_same()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(origin: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("lab.example:8080"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        headers
    }

    #[test]
    fn pages_of_other_origins_are_not_allowed() {
        let listed = Origins::Listed(vec!["https://notebook.example".into()]);
        for (origin, same, is_listed) in [
            (None, true, true),
            (Some("http://lab.example:8080"), true, true),
            (Some("https://notebook.example"), false, true),
            (Some("https://notebook.example.evil.example"), false, false),
            (Some("http://lab.example"), false, false),
            (Some("http://lab.example:80801"), false, false),
            (Some("null"), false, false),
            (Some("lab.example:8080"), false, false),
        ] {
            assert_eq!(Origins::Same.allow(&headers(origin)), same, "{origin:?}");
            assert_eq!(listed.allow(&headers(origin)), is_listed, "{origin:?}");
            assert!(Origins::Any.allow(&headers(origin)));
        }
        let mut twice = headers(Some("http://lab.example:8080"));
        twice.append(ORIGIN, HeaderValue::from_static("http://evil.example"));
        assert!(!Origins::Same.allow(&twice));
    }
}
