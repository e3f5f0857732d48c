//! Fetching key sets and revocation lists by HTTP: as little as that needs, and nothing that a key server could abuse.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioExecutor;
use koherent_core::source::{Fetch, FetchError, FetchFuture};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls_platform_verifier::BuilderVerifierExt as _;

/// How long one fetch may take, from the first packet to the last byte: also where bytes keep dripping in.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// Fetches documents by `GET`: no redirects, no cookies, at most two seconds.
///
/// Certificates are checked as the operating system does, so a private certificate authority is trusted by adding it there.
/// `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are heeded for `https`, if they name `http` proxies; plain `http` asks none.
///
/// ```
/// use koherent_core::{KeySource, TrustedIssuer, Verifier};
/// use koherent_tower::HttpFetcher;
///
/// let keys = KeySource::url("https://rekuest.example/jwks.json", HttpFetcher::new())?;
/// let verifier = Verifier::new("lab", [TrustedIssuer::new("rekuest", keys)?])?;
/// # Ok::<(), koherent_core::SetupError>(())
/// ```
///
/// Fetching needs a Tokio runtime, with its I/O and time drivers.
#[derive(Clone)]
pub struct HttpFetcher {
    proxies: Arc<Matcher>,
}

impl HttpFetcher {
    /// A fetcher. It connects to nothing yet; a machine without certificates is found out when one is needed.
    #[must_use]
    pub fn new() -> Self {
        Self {
            proxies: Arc::new(Matcher::from_env()),
        }
    }

    async fn get(&self, url: &str, most_bytes: usize) -> Result<Vec<u8>, FetchError> {
        let url: Uri = url.parse().map_err(FetchError::transport)?;
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        if url.scheme_str() == Some("http") {
            return read(connector, url, most_bytes).await;
        }
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(tls_of_the_system()?)
            .https_only()
            .enable_http1();
        match self.proxies.intercept(&url) {
            None => read(tls.wrap_connector(connector), url, most_bytes).await,
            Some(proxy) if proxy.uri().scheme_str() != Some("http") => Err(FetchError::transport(
                "the proxy of HTTPS_PROXY or ALL_PROXY is no http proxy, and others are not supported: exclude the key \
                 server with NO_PROXY, or implement `Fetch`",
            )),
            Some(proxy) => {
                let connector = tunnel(&proxy, connector);
                read(tls.wrap_connector(connector), url, most_bytes).await
            }
        }
    }
}

impl Default for HttpFetcher {
    fn default() -> Self {
        Self::new()
    }
}

impl Fetch for HttpFetcher {
    fn fetch<'a>(&'a self, url: &'a str, most_bytes: usize) -> FetchFuture<'a> {
        Box::pin(async move {
            let document = tokio::time::timeout(TIME_LIMIT, self.get(url, most_bytes));
            document.await.unwrap_or(Err(FetchError::TimedOut))
        })
    }
}

impl fmt::Debug for HttpFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpFetcher")
    }
}

fn tunnel(proxy: &Intercept, connector: HttpConnector) -> Tunnel<HttpConnector> {
    let tunnel = Tunnel::new(proxy.uri().clone(), connector);
    match proxy.basic_auth() {
        Some(credentials) => tunnel.with_auth(credentials.clone()),
        None => tunnel,
    }
}

async fn read<C>(connector: C, url: Uri, most_bytes: usize) -> Result<Vec<u8>, FetchError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let request = Request::get(url)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(USER_AGENT, concat!("koherent/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(FetchError::transport)?;
    let response = client
        .request(request)
        .await
        .map_err(|error| FetchError::transport(whole_story(&error)))?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let body = Limited::new(response.into_body(), most_bytes);
    match body.collect().await {
        Ok(document) => Ok(document.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLarge),
        Err(error) => Err(FetchError::transport(whole_story(&*error))),
    }
}

/// The application's provider, where it installed one; rustls alone cannot choose where a build has two.
fn tls_of_the_system() -> Result<ClientConfig, FetchError> {
    #[cfg(feature = "fetch")]
    use rustls::crypto::aws_lc_rs::default_provider;
    #[cfg(not(feature = "fetch"))]
    use rustls::crypto::ring::default_provider;

    let installed = CryptoProvider::get_default().cloned();
    let provider = installed.unwrap_or_else(|| Arc::new(default_provider()));
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|tls| tls.with_platform_verifier());
    tls.map(|tls| tls.with_no_client_auth()).map_err(|error| {
        FetchError::transport(format!(
            "TLS cannot be set up ({error}): are root certificates installed?"
        ))
    })
}

/// An error with its causes: the outermost says "client error" alone.
fn whole_story(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
