//! A key server on this machine, which publishes keys, or misbehaves in each way such a server can.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Mood {
    /// It serves this document.
    Serving(String),
    /// It closes the connection.
    Down,
    /// It says nothing.
    Hanging,
    /// It sends a byte a second.
    Dripping,
    /// It answers with this status and nothing else.
    Status(u16),
    /// It serves ten MiB.
    Flooding,
}

/// A running key server.
#[derive(Debug)]
pub struct KeyServer {
    address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    requests: Arc<AtomicUsize>,
}

impl KeyServer {
    /// Starts one on a free port.
    ///
    /// # Panics
    ///
    /// Where there is none.
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (mood, requests) = (Arc::new(Mutex::new(mood)), Arc::<AtomicUsize>::default());
        let server = Self {
            address,
            mood: Arc::clone(&mood),
            requests: Arc::clone(&requests),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                requests.fetch_add(1, Ordering::SeqCst);
                let mood = mood.lock().unwrap_or_else(PoisonError::into_inner).clone();
                tokio::spawn(answer(stream, mood));
            }
        });
        server
    }

    /// Where the key set is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// Changes what it does with further requests.
    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// How many connections it has taken.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Whoever fetches may leave at any time; a server does not mind.
async fn answer(mut stream: TcpStream, mood: Mood) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    match mood {
        Mood::Serving(document) => {
            let length = document.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all((head + &document).as_bytes()).await;
        }
        Mood::Down => {}
        Mood::Hanging => std::future::pending().await,
        Mood::Dripping => {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
            let mut sent = stream.write_all(head.as_bytes()).await;
            while sent.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                sent = stream.write_all(b" ").await;
            }
        }
        Mood::Status(status) => {
            let head = format!("HTTP/1.1 {status} Oops\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
        }
        Mood::Flooding => {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n";
            let mut sent = stream.write_all(head.as_bytes()).await;
            for _ in 0..640 {
                if sent.is_err() {
                    break;
                }
                sent = stream.write_all(&[b' '; 16 * 1024]).await;
            }
        }
    }
}
