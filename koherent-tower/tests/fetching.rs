//! Fetching over real sockets, from servers that misbehave in each way a key server can.
#![cfg(feature = "fetch")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use koherent_core::source::{Fetch as _, FetchError, MAX_KEY_SET_BYTES};
use koherent_tower::HttpFetcher;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server on this machine that answers each connection with what `answer` writes; it counts requests and the bytes that
/// a client took.
struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl Server {
    async fn answering<F>(answer: impl Fn(Connection) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let (requests, sent) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let server = Self {
            url,
            requests: Arc::clone(&requests),
            sent: Arc::clone(&sent),
        };
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
                let sent = Arc::clone(&sent);
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let length = stream.read(&mut request).await.unwrap();
                    let request = String::from_utf8_lossy(&request[..length]).into_owned();
                    if !request.starts_with("GET /") {
                        return;
                    }
                    for header in ["cookie", "authorization", "referer"] {
                        assert!(
                            !request
                                .to_ascii_lowercase()
                                .contains(&format!("\n{header}:"))
                        );
                    }
                    requests.fetch_add(1, Ordering::SeqCst);
                    answer(Connection { stream, sent }).await;
                });
            }
        });
        server
    }

    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        fetch(&self.url).await
    }
}

async fn fetch(url: &str) -> Result<Vec<u8>, FetchError> {
    HttpFetcher::new().fetch(url, MAX_KEY_SET_BYTES).await
}

struct Connection {
    stream: TcpStream,
    sent: Arc<AtomicUsize>,
}

impl Connection {
    /// Whether the client still takes bytes.
    async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        let taken = self.stream.write_all(bytes).await.is_ok();
        self.sent
            .fetch_add(if taken { bytes.len() } else { 0 }, Ordering::SeqCst);
        taken
    }
}

async fn with_status(mut connection: Connection, head: &str, body: &str) {
    let length = body.len();
    let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n{body}");
    connection.send(answer).await;
}

#[tokio::test]
async fn document_is_fetched() {
    let server = Server::answering(|c| with_status(c, "200 OK", "{\"keys\": []}")).await;
    assert_eq!(server.fetch().await.unwrap(), b"{\"keys\": []}");
    let chunked = Server::answering(async |mut c: Connection| {
        c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"k\r\n0\r\n\r\n")
            .await;
    });
    assert_eq!(chunked.await.fetch().await.unwrap(), b"{\"k");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Server::answering(|c| with_status(c, "200 OK", "{\"keys\": []}")).await;
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let head = format!("{status}\r\nLocation: {}", target.url);
        let server = Server::answering(move |c| {
            let head = head.clone();
            async move { with_status(c, &head, "").await }
        });
        let answer = server.await.fetch().await;
        assert!(
            matches!(answer, Err(FetchError::Status(300..=308))),
            "{answer:?}"
        );
    }
    assert_eq!(target.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn only_status_200_is_a_document() {
    for status in [
        "204 No Content",
        "206 Partial",
        "401 Unauthorized",
        "404 Not Found",
        "500 Oops",
    ] {
        let server = Server::answering(move |c| with_status(c, status, "{\"keys\": []}"));
        let answer = server.await.fetch().await;
        let expected: u16 = status[..3].parse().unwrap();
        assert!(
            matches!(answer, Err(FetchError::Status(got)) if got == expected),
            "{answer:?}"
        );
    }
}

/// Ten MiB, announced or not: reading stops soon after the limit.
#[tokio::test]
async fn too_long_documents_are_not_read_to_their_end() {
    const TEN_MIB: usize = 10 << 20;
    for head in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {TEN_MIB}\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(),
    ] {
        let server = Server::answering(move |mut c| {
            let head = head.clone();
            async move {
                c.send(head).await;
                let piece = [b' '; 16 * 1024];
                for _ in 0..TEN_MIB / piece.len() {
                    if !c.send(piece).await {
                        break;
                    }
                }
            }
        });
        let server = server.await;
        let answer = server.fetch().await;
        assert!(matches!(answer, Err(FetchError::TooLarge)), "{answer:?}");
        // What the sockets' buffers took has been sent, and never read.
        let sent = server.sent.load(Ordering::SeqCst);
        assert!(sent < TEN_MIB, "{sent} bytes were taken");
    }
    let longest = "x".repeat(MAX_KEY_SET_BYTES);
    let server = Server::answering(move |c| {
        let longest = longest.clone();
        async move { with_status(c, "200 OK", &longest).await }
    });
    assert_eq!(server.await.fetch().await.unwrap().len(), MAX_KEY_SET_BYTES);
}

/// The time limit is over the whole: silence, a byte now and then, and headers without end.
#[tokio::test(start_paused = true)]
async fn slow_servers_are_given_up() {
    let silent = Server::answering(async |_: Connection| std::future::pending().await);
    let dripping = Server::answering(async |mut c: Connection| {
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            .await;
        while c.send("x").await {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let endless_head = Server::answering(async |mut c: Connection| {
        c.send("HTTP/1.1 200 OK\r\n").await;
        while c.send("X-Header: x\r\n").await {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    for server in [silent.await, dripping.await, endless_head.await] {
        let answer = server.fetch().await;
        assert!(matches!(answer, Err(FetchError::TimedOut)), "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_an_error_and_not_a_panic() {
    for answer in [
        "",
        "\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 999999 OK\r\n\r\n",
    ] {
        let server = Server::answering(move |mut c| async move {
            c.send(answer).await;
        });
        let got = server.await.fetch().await;
        assert!(
            matches!(got, Err(FetchError::Transport(_))),
            "{answer:?}: {got:?}"
        );
    }
    // Nobody listens.
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let answer = fetch(&format!("http://127.0.0.1:{port}/")).await;
    let error = answer.unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
}

/// Whom nobody vouches for is not believed, though the connection is encrypted; nor is a server without TLS.
#[tokio::test]
async fn https_needs_a_certificate_that_the_system_trusts() {
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.map(drop)
    });
    let error = fetch(&format!("https://localhost:{port}/"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    let refused = server.await.unwrap().unwrap_err().to_string();
    assert!(
        refused.contains("alert"),
        "the client ended the handshake: {refused}"
    );

    let plain = Server::answering(|c| with_status(c, "200 OK", "{\"keys\": []}")).await;
    let answer = fetch(&plain.url.replace("http:", "https:")).await;
    assert!(
        matches!(answer, Err(FetchError::Transport(_))),
        "{answer:?}"
    );
    assert_eq!(plain.requests.load(Ordering::SeqCst), 0);
}
