//! A running lab that trusts test issuers, and what a client says to it over HTTP.

use std::net::SocketAddr;

use koherent_core::mint::{TokenBuilder, TokenIssuer};
use koherent_core::testing::test_issuer;
use koherent_tower::config::Config;
use lab::server::Settings;
use lab::trust::Trust;
use lab::{database, server};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The identity provider that the lab trusts.
pub const LOGIN: &str = "https://login.example";

/// The server of tasks that the lab trusts.
pub const TASKS: &str = "rekuest";

/// A lab on a free port of this machine, with a database of its own.
#[derive(Debug)]
pub struct Lab {
    address: SocketAddr,
    directory: TempDir,
    http: reqwest::Client,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type`.
    pub content_type: String,
    /// The body, which must be JSON.
    pub body: Value,
}

impl Answer {
    /// Why a request was refused; empty where it was not.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.extension("reason")
    }

    /// What the client should do.
    #[must_use]
    pub fn code(&self) -> &str {
        self.extension("code")
    }

    fn extension(&self, name: &str) -> &str {
        let value = &self.body["errors"][0]["extensions"][name];
        value.as_str().unwrap_or_default()
    }
}

impl Lab {
    /// Starts a lab with a `lab.toml` that names the test issuers.
    ///
    /// # Panics
    ///
    /// Where it cannot start.
    pub async fn start() -> Self {
        Self::start_with(&own_config()).await
    }

    /// Starts a lab with that `lab.toml`. Beside it lie the keys of the test issuers, `auth-jwks.json` and
    /// `rekuest-jwks.json`.
    ///
    /// # Panics
    ///
    /// Where it cannot start.
    pub async fn start_with(toml: &str) -> Self {
        Self::start_as(toml, Settings::default()).await
    }

    /// Starts a lab with the test issuers and these settings.
    ///
    /// # Panics
    ///
    /// Where it cannot start.
    pub async fn start_set(settings: Settings) -> Self {
        Self::start_as(&own_config(), settings).await
    }

    async fn start_as(toml: &str, settings: Settings) -> Self {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let config = write_config(&directory, toml);
        let trust = Trust::configured(&Config::read(&config).expect("a configuration"));
        let database = directory.path().join("lab.db").display().to_string();
        let pool = database::open(&database).await.expect("a database");
        let listener = server::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let trust = trust.expect("issuers that can be trusted");
        let app = server::app_with(trust, pool, settings.clone());
        let app = app.expect("an app");
        tokio::spawn(server::serve_with(listener, app, settings));
        Self {
            address,
            directory,
            http: client(),
        }
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> String {
        self.directory.path().join("lab.db").display().to_string()
    }

    /// The folder with `lab.toml` and what lies beside it.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// The address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Gets a path.
    ///
    /// # Panics
    ///
    /// Where no answer comes.
    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.http
            .get(self.url(path))
            .send()
            .await
            .expect("an answer")
    }

    /// Sends a query with these headers, and accepts answers whose status says what became of it, unless they name another
    /// `Accept`.
    ///
    /// # Panics
    ///
    /// Where no answer comes, or one that is not JSON.
    pub async fn post(&self, headers: &[(&str, &str)], query: &str) -> Answer {
        let mut request = self
            .http
            .post(self.url("/graphql"))
            .json(&json!({ "query": query }));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !headers.iter().any(|(name, _)| *name == "Accept") {
            request = request.header("Accept", "application/graphql-response+json");
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let content_type = response.headers().get("content-type");
        let content_type = content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let body = response.json().await.expect("JSON");
        Answer {
            status,
            content_type,
            body,
        }
    }

    /// Sends a query that must succeed, as the agent of [`task_token`], and returns its data.
    ///
    /// # Panics
    ///
    /// Where it fails.
    pub async fn data(&self, task: Option<&str>, query: &str) -> Value {
        let login = format!("Bearer {}", access_token("agent-7", "robot"));
        let mut headers = vec![("Authorization", login.as_str())];
        headers.extend(task.map(|task| ("Rekuest-Task", task)));
        let answer = self.post(&headers, query).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["errors"], Value::Null, "{}", answer.body);
        answer.body["data"].clone()
    }

    /// The provenance of a sample, as the README asks for it.
    ///
    /// # Panics
    ///
    /// Where there is none.
    pub async fn provenance(&self, id: &str) -> Vec<Value> {
        let query = format!(
            "{{ sample(id: {id}) {{ provenance {{ kind date user {{ sub }} client {{ clientId }} \
             task {{ taskId agentClientId }} effectiveChanges {{ field oldValue newValue }} }} }} }}"
        );
        let data = self.data(None, &query).await;
        data["sample"]["provenance"]
            .as_array()
            .expect("a list")
            .clone()
    }
}

/// A `lab.toml` that names the test issuers.
fn own_config() -> String {
    format!(
        "[auth]\naudience = \"lab\"\n[[auth.issuers]]\niss = \"{LOGIN}\"\njwks = \"auth-jwks.json\"\n\
         algorithms = [\"EdDSA\"]\n[provenance]\naudience = \"lab\"\n[[provenance.issuers]]\niss = \"{TASKS}\"\n\
         jwks = \"rekuest-jwks.json\"\n"
    )
}

/// The lab is on this machine: no proxy knows it.
fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
}

fn write_config(directory: &TempDir, toml: &str) -> std::path::PathBuf {
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("a file in a temporary folder");
        path
    };
    write("auth-jwks.json", &login_issuer().jwks());
    write("rekuest-jwks.json", &test_issuer(TASKS).jwks());
    write("lab.toml", toml)
}

fn login_issuer() -> TokenIssuer {
    test_issuer(LOGIN)
}

/// An access token of the identity provider.
#[must_use]
pub fn access_token(sub: &str, client: &str) -> String {
    access_token_until(sub, client, 4_102_444_800)
}

/// An access token that expires then, in seconds since 1970.
#[must_use]
pub fn access_token_until(sub: &str, client: &str, expires: u64) -> String {
    let claims = json!({
        "iss": LOGIN, "aud": "lab", "sub": sub, "client_id": client, "iat": 1_700_000_000, "exp": expires,
    });
    login_issuer().sign(&json!({"alg": "EdDSA", "kid": "test-1"}), &claims)
}

/// An access token of somebody who acts for an organization.
#[must_use]
pub fn access_token_for(sub: &str, client: &str, organization: &str) -> String {
    let claims = json!({
        "iss": LOGIN, "aud": "lab", "sub": sub, "client_id": client, "org": organization, "iat": 1_700_000_000,
        "exp": 4_102_444_800_u64,
    });
    login_issuer().sign(&json!({"alg": "EdDSA", "kid": "test-1"}), &claims)
}

/// A provenance token for the agent that [`Lab::data`] signs in.
#[must_use]
pub fn task_token(task: &str) -> String {
    altered_task_token(task, |token| token)
}

/// A provenance token that differs from the usual one.
pub fn altered_task_token(
    task: &str,
    alter: impl FnOnce(TokenBuilder<'_>) -> TokenBuilder<'_>,
) -> String {
    let issuer = test_issuer(TASKS);
    alter(issuer.task(task).actor("agent-7", "robot")).mint()
}
