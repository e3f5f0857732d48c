//! HTTP/1.1 by hand, over a connection that is kept: the body of a request comes in later packets than its head.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "tests use what they need of it, and fail by panicking"
)]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Long enough for any answer that comes at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client(BufReader<TcpStream>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether it says `Connection: close`.
    pub(crate) closes: bool,
    pub(crate) body: String,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes).await
    }

    /// Sends the head, and then the body, in later packets.
    pub(crate) async fn send_apart(&mut self, head: &str, body: &[u8]) -> io::Result<()> {
        let head = format!("{head}Host: lab\r\nContent-Length: {}\r\n\r\n", body.len());
        self.send(head.as_bytes()).await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.send(body).await
    }

    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        tokio::time::timeout(PATIENCE, self.read()).await?
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_ascii_lowercase()),
        }
    }

    async fn read(&mut self) -> io::Result<Answer> {
        let first = self.line().await?;
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        let (mut closes, mut length) = (false, 0);
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                None => break,
                Some(("connection", value)) => closes = value == "close",
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        let body = String::from_utf8(body).unwrap();
        Ok(Answer {
            status,
            closes,
            body,
        })
    }

    /// Whether the server closes the connection, in whatever way.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest))
            .await
            .is_ok()
    }
}

/// What became of requests whose answers came early.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Outcomes {
    /// The connection was used for the next request.
    pub(crate) kept: usize,
    /// The answer said that the connection closes.
    pub(crate) closed: usize,
    /// Neither: the connection broke.
    pub(crate) broken: usize,
}

/// Sends so many requests over one connection, each with a body of its own size in later packets, and reads each answer; where one
/// breaks or closes the connection, the next request has a new one.
pub(crate) async fn send_early(
    address: SocketAddr,
    head: &str,
    status: u16,
    requests: usize,
    seed: usize,
) -> Outcomes {
    const SIZES: [usize; 8] = [1, 17, 1_000, 1_460, 20_000, 65_537, 300_000, 1_000_000];
    let body = vec![b'x'; 1_000_000];
    let mut outcomes = Outcomes::default();
    let mut client = Client::connect(address).await;
    for request in 0..requests {
        let body = &body[..SIZES[(request + seed) % SIZES.len()]];
        let sent = client.send_apart(head, body).await;
        let answer = match (sent, client.answer().await) {
            (_, Ok(answer)) => Some(answer),
            (_, Err(_)) => None,
        };
        match &answer {
            Some(answer) => assert_eq!(answer.status, status, "{answer:?}"),
            None => outcomes.broken += 1,
        }
        match answer {
            Some(answer) if !answer.closes => outcomes.kept += 1,
            answer => {
                outcomes.closed += usize::from(answer.is_some());
                client = Client::connect(address).await;
            }
        }
    }
    outcomes
}
