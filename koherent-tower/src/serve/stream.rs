//! A connection's bytes: what is not taken in time ends it, and it ends so that its last answer can be read.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::allowance::Allowance;
use super::connection::State;
use super::register::Phase;

/// How long what a client still sends is read when the connection closes: a connection that is closed with bytes unread is
/// reset, which can take the last answer from the client (RFC 9112 §9.6).
const LINGERED: Duration = Duration::from_secs(1);

/// The stream of a connection.
pub(super) struct Stream {
    tcp: TcpStream,
    state: Arc<State>,
    taking: Allowance,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, state: Arc<State>, stall: Duration) -> Self {
        let cut = Box::pin(state.place.cut().clone().cancelled_owned());
        Self {
            tcp,
            state,
            taking: Allowance::new(stall),
            cut,
            lingering: None,
        }
    }

    /// An error where the connection is cut: nobody but this sees it behind an upgrade.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.cut.as_mut().poll(cx));
        Poll::Ready(io::Error::new(
            ErrorKind::ConnectionAborted,
            "the server ends",
        ))
    }

    /// Reads what still comes, for a while.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self
            .lingering
            .get_or_insert_with(|| Box::pin(sleep(LINGERED)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut dropped = [0; 8192];
        loop {
            let mut dropped = ReadBuf::new(&mut dropped);
            match ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut dropped)) {
                Ok(()) if !dropped.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        match Pin::new(&mut self.tcp).poll_read(cx, into) {
            Poll::Ready(read) => {
                if into.filled().len() > before {
                    self.state.heard();
                }
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_cut(cx).map(Err),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let renamed = with_known_names(bytes);
        let bytes = renamed.as_deref().unwrap_or(bytes);
        match Pin::new(&mut self.tcp).poll_write(cx, bytes) {
            Poll::Ready(written) => {
                self.taking.moved(*written.as_ref().unwrap_or(&0));
                Poll::Ready(written)
            }
            Poll::Pending => {
                if let Poll::Ready(error) = self.poll_cut(cx) {
                    return Poll::Ready(Err(error));
                }
                ready!(self.taking.poll_used_up(cx));
                tracing::info!("a client that does not take its answer was cut off");
                Poll::Ready(Err(ErrorKind::TimedOut.into()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
        }
        let is_unread = self.state.is_unread() || self.state.place.phase() == Phase::Head;
        if is_unread {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

/// The names of the header of an upgrade, as some clients of websockets look for them, case and all. Names have no case
/// (RFC 9110 §5.1); those of hyper are lower case.
const KNOWN_NAMES: [&str; 4] = [
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Protocol",
    "Connection",
    "Upgrade",
];

/// The head of an upgrade with the names that clients know.
fn with_known_names(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(b"HTTP/1.1 101 ") {
        return None;
    }
    let mut bytes = bytes.to_vec();
    for line in bytes.split_mut(|byte| *byte == b'\n') {
        for name in KNOWN_NAMES {
            let (name, length) = (name.as_bytes(), name.len());
            if line.len() > length
                && line[length] == b':'
                && line[..length].eq_ignore_ascii_case(name)
            {
                line[..length].copy_from_slice(name);
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_has_the_names_that_clients_look_for() {
        let sent = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-protocol: graphql-transport-ws\r\nsec-websocket-accept: x\r\nvia: upgrade:\r\n\r\n";
        let renamed = with_known_names(sent).unwrap();
        let expected = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Accept: x\r\nvia: upgrade:\r\n\r\n";
        assert_eq!(renamed, expected);
        assert_eq!(
            with_known_names(b"HTTP/1.1 200 OK\r\nupgrade: x\r\n\r\n"),
            None
        );
    }
}
