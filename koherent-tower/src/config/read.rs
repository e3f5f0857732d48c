//! Reading a configuration from a file or a text.

use std::path::Path;

use super::blocks::{Config, Origin};
use super::error::ConfigError;

impl Config {
    /// Reads a file: TOML, or JSON where its name ends in `.json`. Paths in it are relative to its folder.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with file, line and key.
    ///
    /// ```no_run
    /// let config = koherent_tower::config::Config::read("lab.toml")?;
    /// # Ok::<(), koherent_tower::config::ConfigError>(())
    /// ```
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let name = format!("`{}`", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError::new("", format!("cannot read the configuration {name}: {error}"))
        })?;
        let is_json = path
            .extension()
            .is_some_and(|extension| extension == "json");
        let read = if is_json { json(&text) } else { toml(&text) };
        let mut config = read.map_err(|(error, line)| {
            error.from(line.map_or(name.clone(), |line| format!("{name}, line {line}")))
        })?;
        config.folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        config.origin = Origin::File(path.display().to_string());
        Ok(config)
    }

    /// Reads TOML. Paths in it are relative to the working directory, unless [`Config::folder`] is set.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with line and key.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        toml(text).map_err(with_line)
    }

    /// Reads JSON, of the same form as the TOML.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with line and key.
    ///
    /// ```
    /// use koherent_tower::config::Config;
    /// let config = Config::from_json(r#"{
    ///     "auth": {"audience": "lab", "issuers": [
    ///         {"iss": "https://login.example", "jwks": {"keys": []}, "algorithms": ["RS256"]}
    ///     ]},
    ///     "provenance": {"audience": "lab", "issuers": [{"iss": "rekuest", "jwks": {"keys": []}}]}
    /// }"#)?;
    /// assert_eq!(config.auth.audience, "lab");
    /// # Ok::<(), koherent_tower::config::ConfigError>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        json(text).map_err(with_line)
    }
}

type Fault = (ConfigError, Option<usize>);

fn with_line((error, line): Fault) -> ConfigError {
    match line {
        Some(line) => error.from(format!("line {line}")),
        None => error,
    }
}

fn json(text: &str) -> Result<Config, Fault> {
    let mut json = serde_json::Deserializer::from_str(text);
    let config = deserialize(&mut json).map_err(|(key, error)| {
        let line = (error.line() > 0).then(|| error.line());
        // The place stands in the message as well.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        (fault(key, message), line)
    })?;
    json.end()
        .map_err(|error| (ConfigError::new("", &error), Some(error.line())))?;
    Ok(config)
}

fn toml(text: &str) -> Result<Config, Fault> {
    let line_of = |error: &toml::de::Error| {
        let start = error.span()?.start;
        // For an unknown key the parser points at its table; the key itself stands behind that.
        let unknown = error.message().strip_prefix("unknown field `");
        let unknown = unknown.and_then(|rest| rest.split('`').next());
        let behind = unknown.and_then(|key| text.get(start..)?.find(key));
        let end = start + behind.unwrap_or(0);
        Some(text.get(..end)?.matches('\n').count() + 1)
    };
    let toml = toml::Deserializer::parse(text)
        .map_err(|error| (ConfigError::new("", error.message()), line_of(&error)))?;
    deserialize(toml).map_err(|(key, error)| (fault(key, error.message()), line_of(&error)))
}

pub(super) fn deserialize<'de, D>(from: D) -> Result<Config, (String, D::Error)>
where
    D: serde::Deserializer<'de>,
{
    serde_path_to_error::deserialize(from).map_err(|error| {
        let key = error.path().to_string();
        let key = if key == "." { String::new() } else { key };
        (key, error.into_inner())
    })
}

/// What the parser says, in the words of the configuration.
pub(super) fn fault(key: String, message: &str) -> ConfigError {
    let hint = if key.ends_with("issuers") && message.contains("expected a sequence") {
        format!(" (write `[[{key}]]`, with two brackets, once per issuer)")
    } else {
        String::new()
    };
    ConfigError::new(key, format!("{message}{hint}"))
}
