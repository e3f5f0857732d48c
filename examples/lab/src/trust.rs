//! Whose tokens are believed: the issuers of a configuration, or a development key of the lab's own.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use koherent_core::Verifier;
use koherent_core::mint::TokenIssuer;
use koherent_tower::access::DEVELOPMENT_ISSUER;
use koherent_tower::config::Config;
use koherent_tower::{AccessVerifier, HttpFetcher};
use serde_json::{Value, json};

/// The audience of development tokens.
pub const AUDIENCE: &str = "lab";

/// The issuer of development task tokens.
const TASK_ISSUER: &str = "lab-development";

/// The verifiers of both kinds of token.
#[derive(Debug)]
pub struct Trust {
    /// Of access tokens: who is calling.
    pub access: AccessVerifier,
    /// Of provenance tokens: under which task.
    pub provenance: Verifier,
}

impl Trust {
    /// Trusts the issuers of a configuration, and nobody else.
    ///
    /// # Errors
    ///
    /// Where a key set cannot be read or a setting cannot be used; the message says which.
    pub fn configured(config: &Config) -> Result<Self> {
        let http = HttpFetcher::new();
        Ok(Self {
            access: config.access_verifier(&http)?,
            provenance: config.provenance_verifier(&http)?,
        })
    }

    /// Loads the keys that come from URLs, beside everything else: a key server that is down stops no start.
    pub fn load_keys(&self) {
        let (access, provenance) = (self.access.clone(), self.provenance.clone());
        tokio::spawn(async move {
            access.load_keys().await;
            provenance.load_keys().await;
        });
    }

    /// Trusts tokens signed with the development key.
    ///
    /// # Errors
    ///
    /// Where the key set cannot be used.
    pub fn development(key: &DevelopmentKey) -> Result<Self> {
        let access = AccessVerifier::development(AUDIENCE, &key.logins.jwks())?;
        let provenance = Verifier::new(AUDIENCE, [key.tasks.trusted()])?;
        Ok(Self { access, provenance })
    }
}

/// A key that signs tokens for development: whoever can read its file is anybody.
#[derive(Debug)]
pub struct DevelopmentKey {
    /// The file it is kept in.
    pub path: PathBuf,
    logins: TokenIssuer,
    tasks: TokenIssuer,
}

impl DevelopmentKey {
    /// Where the key of a database is kept: beside its file, or in the folder that the lab is started in.
    #[must_use]
    pub fn path_for(database: &str) -> PathBuf {
        PathBuf::from(format!("{database}.dev-key.json"))
    }

    /// Reads the key of a database, or makes it (file mode 0600).
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or written, is no key, or others may read it.
    pub fn open_or_create(database: &str) -> Result<Self> {
        let path = Self::path_for(database);
        match Self::open(database) {
            Ok(Some(key)) => Ok(key),
            Ok(None) => {
                let secret = new_secret()?;
                write_private(&path, &jwk(&secret))?;
                Ok(Self::from_secret(path, &secret))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the key of a database; `None` where there is none yet.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, is no key, or others may read it.
    pub fn open(database: &str) -> Result<Option<Self>> {
        let path = Self::path_for(database);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("cannot read the development key `{}`", path.display())
                });
            }
        };
        refuse_if_readable_by_others(&path)?;
        let secret = secret_of(&text).with_context(|| {
            format!(
                "`{}` is no development key: delete it, and a new one is made",
                path.display()
            )
        })?;
        Ok(Some(Self::from_secret(path, &secret)))
    }

    fn from_secret(path: PathBuf, secret: &[u8; 32]) -> Self {
        let logins = TokenIssuer::new(DEVELOPMENT_ISSUER, "lab-dev", secret);
        let tasks = TokenIssuer::new(TASK_ISSUER, "lab-dev", secret);
        Self {
            path,
            logins,
            tasks,
        }
    }

    /// An access token: who is calling, through which client, in which organization.
    #[must_use]
    pub fn access_token(
        &self,
        sub: &str,
        client: &str,
        org: Option<&str>,
        valid: Validity,
    ) -> String {
        let Validity { from, until } = valid;
        let mut claims = json!({
            "iss": DEVELOPMENT_ISSUER, "aud": AUDIENCE, "sub": sub, "client_id": client,
            "preferred_username": sub, "iat": from, "exp": until,
        });
        if let Some(org) = org {
            claims["org"] = org.into();
        }
        let header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "lab-dev"});
        self.logins.sign(&header, &claims)
    }

    /// A provenance token: under which task an agent acts.
    #[must_use]
    pub fn task_token(&self, task: &TaskClaims<'_>, valid: Validity) -> String {
        let mut token = self
            .tasks
            .task(task.task_id)
            .audience(AUDIENCE)
            .actor(task.agent, task.client)
            .caused_by(task.caller, task.caller)
            .valid(valid.from, valid.until);
        if let Some(parent) = task.parent {
            token = token.parent(parent, task.root.unwrap_or(parent));
        }
        token.mint()
    }
}

/// What a task token says.
#[derive(Debug, Clone, Copy)]
pub struct TaskClaims<'t> {
    /// The task.
    pub task_id: &'t str,
    /// The task that caused it.
    pub parent: Option<&'t str>,
    /// The root of its causal tree; the parent where it is not given.
    pub root: Option<&'t str>,
    /// Who caused it.
    pub caller: &'t str,
    /// The agent that executes it.
    pub agent: &'t str,
    /// The agent's OAuth client.
    pub client: &'t str,
}

/// From when until when a token holds, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    from: u64,
    until: u64,
}

impl Validity {
    /// From now on, for that long.
    #[must_use]
    pub fn hours(hours: u32) -> Self {
        use koherent_core::{Clock as _, SystemClock};
        let from = SystemClock.since_epoch().as_secs();
        Self {
            from,
            until: from + u64::from(hours) * 3600,
        }
    }
}

fn new_secret() -> Result<[u8; 32]> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).context("cannot make a development key: no randomness")?;
    Ok(secret)
}

fn jwk(secret: &[u8; 32]) -> String {
    let d = URL_SAFE_NO_PAD.encode(secret);
    let warning = "development only: whoever can read this file is anybody";
    json!({"kty": "OKP", "crv": "Ed25519", "kid": "lab-dev", "d": d, "comment": warning})
        .to_string()
}

fn secret_of(jwk: &str) -> Result<[u8; 32]> {
    let jwk: Value = serde_json::from_str(jwk).context("it is not JSON")?;
    let d = jwk
        .get("d")
        .and_then(Value::as_str)
        .context("it has no member `d`")?;
    let secret = URL_SAFE_NO_PAD
        .decode(d)
        .context("its `d` is not base64url")?;
    secret.try_into().ok().context("its `d` has not 32 bytes")
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write the development key `{}`", path.display()))
}

#[cfg(unix)]
fn refuse_if_readable_by_others(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!(
            "others may read the development key `{0}` (mode {1:o}): run `chmod 600 {0}`",
            path.display(),
            mode & 0o777
        );
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_if_readable_by_others(_: &Path) -> Result<()> {
    Ok(())
}
