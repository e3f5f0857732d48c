//! `lab.toml`: the issuers whose tokens are believed.
//!
//! ```toml
//! [auth]
//! audience = "lab"
//! [[auth.issuers]]
//! iss = "https://login.example"
//! jwks = "auth-jwks.json"            # relative to this file
//! algorithms = ["RS256"]
//!
//! [provenance]
//! audience = "lab"
//! algorithms = ["Ed25519", "EdDSA"]  # the default
//! [[provenance.issuers]]
//! iss = "rekuest"
//! jwks = "rekuest-jwks.json"
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who may sign in.
    pub auth: Auth,
    /// Which tasks are believed.
    pub provenance: Provenance,
    #[serde(skip)]
    folder: PathBuf,
}

/// Who may sign in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The name by which access tokens address this service.
    pub audience: String,
    /// The identity providers.
    pub issuers: Vec<AuthIssuer>,
}

/// An identity provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthIssuer {
    /// The exact `iss` of its tokens.
    pub iss: String,
    /// A file with its key set.
    pub jwks: Option<PathBuf>,
    /// The URL of its key set.
    pub jwks_uri: Option<String>,
    /// The algorithms it signs with.
    pub algorithms: Vec<String>,
}

/// Which tasks are believed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The name by which provenance tokens address this service.
    pub audience: String,
    /// The algorithms that tokens may have.
    #[serde(default = "both_algorithms")]
    pub algorithms: Vec<String>,
    /// The servers that hand out tasks.
    pub issuers: Vec<ProvenanceIssuer>,
}

/// A server that hands out tasks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenanceIssuer {
    /// The exact `iss` of its tokens.
    pub iss: String,
    /// A file with its key set.
    pub jwks: Option<PathBuf>,
    /// The URL of its key set.
    pub jwks_uri: Option<String>,
}

fn both_algorithms() -> Vec<String> {
    vec!["Ed25519".to_owned(), "EdDSA".to_owned()]
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// Where it cannot be read or says what is not understood; the message names the key and the line.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration `{name}`"))?;
        let mut config: Self = toml::from_str(&text).map_err(|error| {
            let place = line_of(&text, &error).map(|line| format!(", line {line}"));
            let place = place.unwrap_or_default();
            anyhow!("`{name}`{place}: {}", error.message().replace('\n', " "))
        })?;
        config.folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(config)
    }

    /// The key set of an issuer.
    ///
    /// # Errors
    ///
    /// Where no file is named, or it cannot be read.
    pub fn key_set(
        &self,
        iss: &str,
        jwks: Option<&Path>,
        jwks_uri: Option<&str>,
    ) -> Result<String> {
        let Some(file) = jwks else {
            match jwks_uri {
                Some(uri) => bail!(
                    "the issuer `{iss}` has `jwks_uri = \"{uri}\"`, but this version reads key sets from files only: \
                     save that document beside the configuration and give `jwks = \"FILE\"`"
                ),
                None => bail!("the issuer `{iss}` has no keys: give `jwks = \"FILE\"`"),
            }
        };
        if jwks_uri.is_some() {
            bail!("the issuer `{iss}` has both `jwks` and `jwks_uri`: give one of them");
        }
        let file = self.folder.join(file);
        std::fs::read_to_string(&file).with_context(|| {
            format!(
                "cannot read the key file `{}` of the issuer `{iss}`",
                file.display()
            )
        })
    }
}

/// The line of a fault. For an unknown key the parser points at its table; the key itself stands behind that.
fn line_of(text: &str, error: &toml::de::Error) -> Option<usize> {
    let start = error.span()?.start;
    let key = error
        .message()
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split('`').next());
    let offset = key.and_then(|key| text[start..].find(key)).unwrap_or(0);
    Some(text[..start + offset].matches('\n').count() + 1)
}
