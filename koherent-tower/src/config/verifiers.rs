//! From the blocks to the verifiers they describe; each error names the key it is about.

use std::path::Path;
use std::time::Duration;

use koherent_core::source::Fetch;
use koherent_core::{Algorithm, KeySource, RevocationList, TrustedIssuer, Verifier};
use serde_json::Value;

use super::blocks::{Auth, Config, Jwks, Origin, Provenance};
use super::environment::variable;
use super::error::ConfigError;
use crate::access::{AccessIssuer, AccessVerifier};

impl Config {
    /// The verifier of access tokens that `[auth]` describes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the key that cannot be used.
    pub fn access_verifier(
        &self,
        fetcher: &(impl Fetch + Clone),
    ) -> Result<AccessVerifier, ConfigError> {
        let verifier = self.auth.verifier(&self.folder, fetcher);
        verifier.map_err(|error| self.told(error))
    }

    /// The verifier of provenance tokens that `[provenance]` describes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the key that cannot be used.
    pub fn provenance_verifier(
        &self,
        fetcher: &(impl Fetch + Clone),
    ) -> Result<Verifier, ConfigError> {
        let verifier = self.provenance.verifier(&self.folder, fetcher);
        verifier.map_err(|error| self.told(error))
    }

    fn told(&self, error: ConfigError) -> ConfigError {
        match &self.origin {
            Origin::Text => error,
            Origin::File(file) => error.from(format!("`{file}`")),
            Origin::Environment(prefix) => {
                let variable = variable(prefix, error.key());
                error.from(format!("environment, {variable}"))
            }
        }
    }
}

impl Auth {
    /// The verifier that this block describes, in a configuration of its own; paths are relative to `folder`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the key that cannot be used.
    pub fn verifier(
        &self,
        folder: &Path,
        fetcher: &(impl Fetch + Clone),
    ) -> Result<AccessVerifier, ConfigError> {
        let timing = Timing {
            block: "auth",
            interval: self.refresh_interval_seconds,
            max_age: self.max_key_age_seconds,
            insecure_http: self.insecure_http,
        };
        let mut issuers = Vec::with_capacity(self.issuers.len());
        for (at, issuer) in self.issuers.iter().enumerate() {
            let key = format!("auth.issuers[{at}]");
            let keys = Keys {
                key: &key,
                file: issuer.jwks.as_ref(),
                url: issuer.jwks_uri.as_deref(),
            };
            let source = keys.source(folder, fetcher, &timing)?;
            let algorithms = issuer.algorithms.iter().map(String::as_str);
            issuers.push(
                AccessIssuer::new(issuer.iss.as_str(), source, algorithms)
                    .map_err(|error| keys.fault(&issuer.iss, &error))?,
            );
        }
        let key_of = |error: &crate::access::SetupError| verifier_key("auth", error);
        let mut verifier = AccessVerifier::new(self.audience.as_str(), issuers)
            .and_then(|verifier| verifier.with_leeway(Duration::from_secs(self.leeway_seconds)))
            .map_err(|error| ConfigError::new(key_of(&error), error))?;
        if let Some(organizations) = &self.organizations {
            if let Some(at) = organizations.iter().position(|name| name.trim().is_empty()) {
                let key = format!("auth.organizations[{at}]");
                return Err(ConfigError::new(
                    key,
                    "it is blank: give the exact `org` of tokens",
                ));
            }
            verifier = verifier
                .with_organizations(organizations.iter().map(String::as_str))
                .map_err(|error| ConfigError::new("auth.organizations", error))?;
        }
        if let Some(url) = &self.revocations_uri {
            let source = timing.url("auth.revocations_uri", url, fetcher)?;
            let list = RevocationList::new(source)
                .map_err(|error| ConfigError::new("auth.revocations_uri", error))?;
            verifier = verifier.with_revocations(list);
        }
        for (key, claims) in [
            ("understood_claims", &self.understood_claims),
            ("narrowing_claims", &self.narrowing_claims),
        ] {
            if let Some(at) = claims.iter().position(|name| name.trim().is_empty()) {
                let key = format!("auth.{key}[{at}]");
                return Err(ConfigError::new(
                    key,
                    "it is blank: give the exact name of a claim",
                ));
            }
        }
        let narrowing = self.narrowing_claims.iter().map(String::as_str);
        let understood = self.understood_claims.iter().map(String::as_str);
        verifier = verifier
            .with_narrowing_claims(narrowing)
            .with_understood_claims(understood);
        if let Some(claim) = &self.impersonator_claim {
            verifier = verifier.with_impersonator_claim(claim);
        }
        Ok(match self.cached_tokens {
            Some(tokens) => verifier.with_cached_tokens(tokens),
            None => verifier,
        })
    }
}

impl Provenance {
    /// The verifier that this block describes, in a configuration of its own; paths are relative to `folder`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the key that cannot be used.
    pub fn verifier(
        &self,
        folder: &Path,
        fetcher: &(impl Fetch + Clone),
    ) -> Result<Verifier, ConfigError> {
        let timing = Timing {
            block: "provenance",
            interval: self.refresh_interval_seconds,
            max_age: self.max_key_age_seconds,
            insecure_http: self.insecure_http,
        };
        let mut issuers = Vec::with_capacity(self.issuers.len());
        for (at, issuer) in self.issuers.iter().enumerate() {
            let key = format!("provenance.issuers[{at}]");
            let keys = Keys {
                key: &key,
                file: issuer.jwks.as_ref(),
                url: issuer.jwks_uri.as_deref(),
            };
            let source = keys.source(folder, fetcher, &timing)?;
            issuers.push(
                TrustedIssuer::new(issuer.iss.as_str(), source)
                    .map_err(|error| keys.fault(&issuer.iss, &error.into()))?,
            );
        }
        let algorithms = self.algorithms.iter().map(|name| name.parse::<Algorithm>());
        let algorithms = algorithms
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ConfigError::new("provenance.algorithms", error))?;
        let verifier = Verifier::new(self.audience.as_str(), issuers)
            .and_then(|verifier| verifier.with_algorithms(algorithms))
            .and_then(|verifier| verifier.with_leeway(Duration::from_secs(self.leeway_seconds)))
            .map_err(|error| {
                let error = error.into();
                ConfigError::new(verifier_key("provenance", &error), error)
            })?
            .with_unknown_args_hash(self.unknown_args_hash.into());
        Ok(match self.cached_tokens {
            Some(tokens) => verifier.with_cached_tokens(tokens),
            None => verifier,
        })
    }
}

/// How often URLs of a block may be fetched, and by which protocol.
struct Timing {
    block: &'static str,
    interval: Option<u64>,
    max_age: Option<u64>,
    insecure_http: bool,
}

impl Timing {
    fn url(
        &self,
        key: &str,
        url: &str,
        fetcher: &(impl Fetch + Clone),
    ) -> Result<KeySource, ConfigError> {
        let source = if self.insecure_http {
            KeySource::insecure_url(url, fetcher.clone())
        } else {
            KeySource::url(url, fetcher.clone())
        };
        let mut source = source.map_err(|error| ConfigError::new(key, error))?;
        let block = self.block;
        if let Some(seconds) = self.interval {
            let key = format!("{block}.refresh_interval_seconds");
            let interval = Duration::from_secs(seconds);
            source = source
                .with_interval(interval)
                .map_err(|error| ConfigError::new(key, error))?;
        }
        if let Some(seconds) = self.max_age {
            let key = format!("{block}.max_key_age_seconds");
            let max_age = Duration::from_secs(seconds);
            source = source
                .with_max_age(max_age)
                .map_err(|error| ConfigError::new(key, error))?;
        }
        Ok(source)
    }
}

/// Where an issuer's keys are said to be.
struct Keys<'c> {
    key: &'c str,
    file: Option<&'c Jwks>,
    url: Option<&'c str>,
}

impl Keys<'_> {
    fn source(
        &self,
        folder: &Path,
        fetcher: &(impl Fetch + Clone),
        timing: &Timing,
    ) -> Result<KeySource, ConfigError> {
        match (self.file, self.url) {
            (Some(Jwks::File(file)), None) => Ok(KeySource::file(folder.join(file))),
            (Some(Jwks::Document(document)), None) => Ok(KeySource::inline(
                Value::Object(document.clone()).to_string(),
            )),
            (None, Some(url)) => timing.url(&format!("{}.jwks_uri", self.key), url, fetcher),
            (None, None) => Err(ConfigError::new(
                self.key,
                "it has no keys: give `jwks = \"FILE\"` or `jwks_uri = \"https://…\"`",
            )),
            (Some(_), Some(_)) => Err(ConfigError::new(
                self.key,
                "it has both `jwks` and `jwks_uri`: give one of them",
            )),
        }
    }

    /// An error of the issuer, with the key that it is about.
    fn fault(&self, iss: &str, error: &crate::access::SetupError) -> ConfigError {
        use crate::access::SetupError as Access;
        use koherent_core::SetupError as Common;
        let member = match error {
            Access::UnknownAlgorithm(_) | Access::NoAlgorithm => "algorithms",
            Access::Common(Common::NotAKeySet(_) | Common::UnreadableFile { .. }) => "jwks",
            _ => "iss",
        };
        let key = format!("{}.{member}", self.key);
        ConfigError::new(key, format!("issuer {iss:?}: {error}"))
    }
}

/// Which key of a block an error is about.
fn verifier_key(block: &str, error: &crate::access::SetupError) -> String {
    use crate::access::SetupError as Access;
    use koherent_core::SetupError as Common;
    let member = match error {
        Access::Common(Common::BlankAudience | Common::PaddedAudience(_)) => "audience",
        Access::Common(Common::NoAlgorithm | Common::UnknownAlgorithm(_)) => "algorithms",
        Access::Common(Common::TooMuchLeeway { .. }) => "leeway_seconds",
        _ => "issuers",
    };
    format!("{block}.{member}")
}
