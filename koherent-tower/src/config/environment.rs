//! Reading a configuration from environment variables.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::blocks::{Config, Origin};
use super::error::ConfigError;
use super::read::{deserialize, fault};

impl Config {
    /// Reads the environment variables that begin with `{prefix}_AUTH__` and `{prefix}_PROVENANCE__`; `None` where there is
    /// none. Others are somebody else's, unless they are nearly settings. The [module](crate::config) shows them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the key; a variable of that beginning that is not understood is one.
    pub fn from_env(prefix: &str) -> Result<Option<Self>, ConfigError> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((
                name.into_string().ok()?,
                value.to_string_lossy().into_owned(),
            ))
        });
        Self::from_variables(prefix, variables)
    }

    /// Reads such variables from anywhere.
    ///
    /// # Errors
    ///
    /// As [`Self::from_env`].
    ///
    /// ```
    /// use koherent_tower::config::Config;
    ///
    /// let variables = [
    ///     ("LAB_AUTH__AUDIENCE", "lab"),
    ///     ("LAB_AUTH__LEEWAY_SECONDS", "5"),
    ///     ("LAB_AUTH__ISSUERS__0__ISS", "https://login.example"),
    ///     ("LAB_AUTH__ISSUERS__0__JWKS_URI", "https://login.example/jwks.json"),
    ///     ("LAB_AUTH__ISSUERS__0__ALGORITHMS", "RS256, ES256"),
    ///     ("LAB_PROVENANCE__AUDIENCE", "lab"),
    ///     ("LAB_PROVENANCE__ISSUERS__0__ISS", "rekuest"),
    ///     ("LAB_PROVENANCE__ISSUERS__0__JWKS", r#"{"keys": []}"#),
    ///     ("PATH", "/bin"),
    /// ];
    /// let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    /// let config = Config::from_variables("LAB", variables)?.expect("some variables");
    /// assert_eq!(config.auth.issuers[0].algorithms, ["RS256", "ES256"]);
    /// # Ok::<(), koherent_tower::config::ConfigError>(())
    /// ```
    pub fn from_variables(
        prefix: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Option<Self>, ConfigError> {
        let mut tree = Tree::default();
        for (name, value) in variables {
            match Name::of(&name, prefix) {
                Name::Foreign => {}
                Name::Ours(path) => tree.insert(&path, &name, value)?,
                Name::NearMiss => {
                    let problem = format!(
                        "it looks like a setting and is none: write it as {prefix}_AUTH__AUDIENCE or \
                         {prefix}_PROVENANCE__ISSUERS__0__ISS is written"
                    );
                    return Err(ConfigError::new(name, problem));
                }
            }
        }
        if tree.children.is_empty() {
            return Ok(None);
        }
        let value = tree.into_value("")?;
        let mut config = deserialize(value).map_err(|(key, error)| {
            let variable = variable(prefix, &key);
            fault(key, &error.to_string()).from(format!("environment, {variable}"))
        })?;
        config.origin = Origin::Environment(prefix.to_owned());
        Ok(Some(config))
    }
}

/// Whether a variable is a setting.
enum Name {
    /// It is, at these levels.
    Ours(Vec<String>),
    /// Somebody thinks that it is.
    NearMiss,
    /// It is somebody else's: other programs have variables of that beginning.
    Foreign,
}

/// The keys of both blocks: behind a single underscore they are taken for a mistake.
const KEYS: [&str; 14] = [
    "AUDIENCE",
    "ISSUERS",
    "ALGORITHMS",
    "LEEWAY_SECONDS",
    "ORGANIZATIONS",
    "REVOCATIONS_URI",
    "REFRESH_INTERVAL_SECONDS",
    "MAX_KEY_AGE_SECONDS",
    "INSECURE_HTTP",
    "CACHED_TOKENS",
    "UNDERSTOOD_CLAIMS",
    "NARROWING_CLAIMS",
    "IMPERSONATOR_CLAIM",
    "UNKNOWN_ARGS_HASH",
];

impl Name {
    fn of(name: &str, prefix: &str) -> Self {
        let Some(rest) = name.strip_prefix(prefix) else {
            return Self::Foreign;
        };
        let bare = rest.trim_start_matches('_');
        let upper = bare.to_ascii_uppercase();
        for block in ["AUTH", "PROVENANCE"] {
            let Some(behind) = upper.strip_prefix(block) else {
                continue;
            };
            let is_exact = rest.len() == bare.len() + 1 && bare.starts_with(block);
            if behind.is_empty() || behind.starts_with("__") {
                if !is_exact {
                    return Self::NearMiss;
                }
                let path = bare.split("__").map(str::to_ascii_lowercase);
                return Self::Ours(path.collect());
            }
            let key = behind.strip_prefix('_').unwrap_or_default();
            if KEYS.iter().any(|known| key.starts_with(known)) {
                return Self::NearMiss;
            }
        }
        Self::Foreign
    }
}

/// The variable that gives a key, or the beginning of those that give parts of it.
pub(super) fn variable(prefix: &str, key: &str) -> String {
    let path = key.replace(['.', '['], "__").replace(']', "");
    format!("{prefix}_{}", path.to_ascii_uppercase())
}

/// Variables, by the levels of their names.
#[derive(Default)]
struct Tree {
    children: BTreeMap<String, Tree>,
    leaf: Option<Value>,
}

impl Tree {
    fn insert(&mut self, path: &[String], name: &str, text: String) -> Result<(), ConfigError> {
        let Some((first, rest)) = path.split_first() else {
            if !self.children.is_empty() || self.leaf.is_some() {
                return Err(clash(name));
            }
            let key = name.rsplit("__").next().unwrap_or_default();
            self.leaf = Some(leaf(key, text).map_err(|why| ConfigError::new(name, why))?);
            return Ok(());
        };
        if self.leaf.is_some() {
            return Err(clash(name));
        }
        self.children
            .entry(first.clone())
            .or_default()
            .insert(rest, name, text)
    }

    fn into_value(self, key: &str) -> Result<Value, ConfigError> {
        if let Some(leaf) = self.leaf {
            return Ok(leaf);
        }
        let is_number =
            |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
        if !self.children.keys().any(is_number) {
            let mut object = Map::new();
            for (name, child) in self.children {
                let key = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                object.insert(name, child.into_value(&key)?);
            }
            return Ok(Value::Object(object));
        }
        let mut items: Vec<(usize, Self)> = Vec::with_capacity(self.children.len());
        for (name, child) in self.children {
            let at = name.parse().map_err(|_| counted(key))?;
            items.push((at, child));
        }
        items.sort_by_key(|(at, _)| *at);
        if items
            .iter()
            .enumerate()
            .any(|(expected, (at, _))| expected != *at)
        {
            return Err(counted(key));
        }
        let items = items
            .into_iter()
            .map(|(at, child)| child.into_value(&format!("{key}[{at}]")));
        items.collect::<Result<_, _>>().map(Value::Array)
    }
}

fn clash(name: &str) -> ConfigError {
    ConfigError::new(name, "another variable gives a part of it, or all of it")
}

fn counted(key: &str) -> ConfigError {
    ConfigError::new(key, "count its entries 0, 1, 2, … without a gap").from("environment")
}

/// A variable's value: the environment has text alone, so the key decides.
fn leaf(key: &str, text: String) -> Result<Value, String> {
    let key = key.to_ascii_lowercase();
    if text.starts_with('{') || text.starts_with('[') {
        return serde_json::from_str(&text).map_err(|error| format!("it is not JSON: {error}"));
    }
    match key.as_str() {
        "algorithms" | "organizations" | "understood_claims" | "narrowing_claims" => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Ok(items.map(Value::from).collect())
        }
        "insecure_http" => match text.as_str() {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => Err("give true or false".to_owned()),
        },
        "cached_tokens" => number(&text),
        _ if key.ends_with("_seconds") => number(&text),
        _ => Ok(text.into()),
    }
}

fn number(text: &str) -> Result<Value, String> {
    let number: u64 = text
        .parse()
        .map_err(|_| "give a whole number, 0 or more".to_owned())?;
    Ok(number.into())
}
