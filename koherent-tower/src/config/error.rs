//! What is wrong with a configuration, and where.

use std::fmt;

/// A configuration that cannot be used. For the operator: one line that names the key.
///
/// ```
/// use koherent_tower::config::Config;
/// let error = Config::from_toml("[auth]\naudience = 'lab'\nisuers = []").unwrap_err();
/// assert!(error.to_string().contains("isuers"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    source: Option<String>,
    key: String,
    problem: String,
}

impl ConfigError {
    pub(super) fn new(key: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self {
            source: None,
            key: one_line(&key.into()),
            problem: one_line(&problem.to_string()),
        }
    }

    /// The same error, saying where the configuration stands: a file, with its line.
    pub(super) fn from(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The key, such as `auth.issuers[0].algorithms`; empty where it is about no key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.problem)
    }
}

/// As [`Display`](fmt::Display): it is what a `main` that returns it shows.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}

/// Whatever a configuration says, its error is one line of a log.
fn one_line(text: &str) -> String {
    let text = text.replace('\n', " ");
    if text.contains(char::is_control) {
        text.escape_debug().to_string()
    } else {
        text
    }
}
