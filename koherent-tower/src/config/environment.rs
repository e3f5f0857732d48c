//! Reading a configuration from environment variables.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::blocks::Config;
use super::error::ConfigError;
use super::read::{deserialize, fault};

impl Config {
    /// Reads the environment variables that begin with `{prefix}_AUTH_` and `{prefix}_PROVENANCE_`; `None` where there is
    /// none. The [module](crate::config) shows them.
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
            let Some(path) = name
                .strip_prefix(prefix)
                .and_then(|rest| rest.strip_prefix('_'))
            else {
                continue;
            };
            let is_of = |block: &str| {
                path.strip_prefix(block)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            };
            if !is_of("AUTH") && !is_of("PROVENANCE") {
                continue;
            }
            let path: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
            if path[0] != "auth" && path[0] != "provenance" {
                let problem =
                    format!("put two underscores between the parts, as in {prefix}_AUTH__AUDIENCE");
                return Err(ConfigError::new(name, problem));
            }
            tree.insert(&path, &name, value)?;
        }
        if tree.children.is_empty() {
            return Ok(None);
        }
        let value = tree.into_value("")?;
        deserialize(value).map(Some).map_err(|(key, error)| {
            let variable = variable(prefix, &key);
            fault(key, &error.to_string()).from(format!("environment, {variable}"))
        })
    }
}

/// The variable that gives a key, or the beginning of those that give parts of it.
fn variable(prefix: &str, key: &str) -> String {
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
        "algorithms" | "organizations" => {
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
