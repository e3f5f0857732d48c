//! The conformance vectors in `tests/vectors`: what the original Python library does, and what we must do.
//!
//! Each file has a list `cases`. A case passes when the answer is its `expect` or one of its `also_ok`.

use std::path::Path;
use std::sync::Arc;

use koherent_core::testing::TestClock;
use koherent_core::{KeySource, TrustedIssuer, Verifier};
use serde::Deserialize;
use serde_json::Value;

/// A vector file that could be read.
#[derive(Debug, Deserialize)]
pub struct Vectors<C> {
    /// The verifier's settings, where the file has any.
    pub config: Option<Config>,
    /// Further settings, by the name that cases use.
    #[serde(default)]
    pub alt_configs: std::collections::BTreeMap<String, Config>,
    /// The arguments whose hash tokens carry by default.
    pub default_args: Option<String>,
    /// The cases.
    pub cases: Vec<C>,
}

/// The settings of a verifier.
#[derive(Debug, Deserialize)]
pub struct Config {
    issuers: Vec<ConfigIssuer>,
    audience: String,
    algorithms: Vec<String>,
    leeway_seconds: u64,
    /// Where the clock stands, in seconds since 1970.
    pub now: u64,
    max_token_bytes: usize,
}

#[derive(Debug, Deserialize)]
struct ConfigIssuer {
    iss: String,
    jwks: Value,
}

/// What every case has.
#[derive(Debug, Deserialize)]
pub struct Verdict {
    /// `kind/name`, unique within the file.
    pub name: String,
    /// The strict answer.
    pub expect: String,
    /// Answers that a test must let pass.
    #[serde(default)]
    pub also_ok: Vec<String>,
}

impl Verdict {
    /// Nothing where the answer passes, else a line that says what was expected.
    #[must_use]
    pub fn complaint(&self, answer: &str) -> Option<String> {
        let passes = self.expect == answer || self.also_ok.iter().any(|ok| ok == answer);
        (!passes).then(|| format!("{}: expected {}, got {answer}", self.name, self.expect))
    }
}

/// Reads a vector file.
///
/// # Panics
///
/// Where the file is missing or has another shape: the tests cannot run then.
#[must_use]
pub fn read<C: for<'de> Deserialize<'de>>(file: &str) -> Vectors<C> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Config {
    /// A verifier with these settings and its clock at `now`.
    ///
    /// # Panics
    ///
    /// Where the public API cannot express the settings: the vectors do not apply then.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        assert_eq!(self.max_token_bytes, koherent_core::token::MAX_TOKEN_BYTES);
        let issuers = self.issuers.iter().map(|issuer| {
            let keys = KeySource::inline(issuer.jwks.to_string());
            TrustedIssuer::new(issuer.iss.as_str(), keys).expect("a key set")
        });
        let algorithms = self
            .algorithms
            .iter()
            .map(|name| name.parse().expect("an algorithm"));
        Verifier::new(self.audience.as_str(), issuers)
            .and_then(|verifier| verifier.with_algorithms(algorithms))
            .and_then(|verifier| {
                verifier.with_leeway(std::time::Duration::from_secs(self.leeway_seconds))
            })
            .expect("settings that a verifier takes")
            .with_clock(Arc::new(TestClock::at(self.now)))
    }
}
