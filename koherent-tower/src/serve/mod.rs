//! A server that shows everybody the door: limits of time and of number for connections, and an end within a limit.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use koherent_tower::serve::{ServeLimits, Shutdown, serve};
//!
//! # async fn run() -> std::io::Result<()> {
//! let app = Router::new().route("/", get(async || "hello"));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! serve(listener, app, ServeLimits::default(), Shutdown::on_signals()?).await;
//! # Ok(()) }
//! ```
//!
//! | who | what becomes of them |
//! | --- | --- |
//! | say nothing, or send half a head | closed after [`ServeLimits::head`]; before that, where all places are taken and somebody else comes: the one who has kept silent for longest goes |
//! | send half a body, or one byte at a time | the handler gets an error after [`ServeLimits::stall`], the answer says `Connection: close` |
//! | do not read their answer | closed after [`ServeLimits::stall`] |
//! | are being answered when [`Shutdown`] begins | get their answer, if it comes within [`ServeLimits::shutdown`] |
//! | send a request after that | are answered, with `Connection: close` |
//! | hold a websocket | are told by the application, which waits for [`Shutdown::begun`] |
//!
//! It speaks HTTP/1.1 over TCP; TLS and HTTP/2 are for the proxy in front of it.
//!
//! | file | idea |
//! | --- | --- |
//! | `shutdown.rs` | who says when it ends |
//! | `limits.rs` | the limits |
//! | `allowance.rs` | how long a client may let us wait, by what it has sent or taken |
//! | `register.rs` | the connections there are, and who goes where there are too many |
//! | `stream.rs` | a connection's bytes |
//! | `body.rs` | the bodies of requests and answers |
//! | `connection.rs` | one connection, from its first byte to its last |

mod allowance;
mod body;
mod connection;
mod limits;
mod register;
mod shutdown;
mod stream;

use std::convert::Infallible;
use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tower_service::Service;

pub use body::{AnswerBody, RequestBody, TooSlow};
pub use limits::ServeLimits;
pub use shutdown::Shutdown;

use register::Register;

/// How long nobody is accepted where the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until the shutdown has begun and nothing is under way any more, or its limit is over.
///
/// Connections that are open then are cut. It never fails: where the system has no room for another connection, the one that
/// has kept silent for longest is closed.
///
/// ```
/// use axum::{Router, routing::get};
/// use koherent_tower::serve::{ServeLimits, Shutdown, serve};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let app: Router = Router::new().route("/", get(async || "hello"));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let shutdown = Shutdown::new();
/// let server = tokio::spawn(serve(listener, app, ServeLimits::default(), shutdown.clone()));
/// shutdown.begin();
/// server.await?;
/// # Ok(()) }
/// ```
pub async fn serve<S, B>(listener: TcpListener, service: S, limits: ServeLimits, shutdown: Shutdown)
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let register = Arc::new(Register::new());
    let accept_until_ended = async {
        loop {
            let stream = accept(&listener, &register, limits.connections).await;
            let place = Register::enter(&register);
            let (service, shutdown) = (service.clone(), shutdown.clone());
            tokio::spawn(connection::serve(stream, place, service, limits, shutdown));
        }
    };
    let end = async {
        shutdown.begun().await;
        tracing::info!("ending: what is under way is finished");
        tokio::select! {
            () = register.empty() => {}
            () = sleep(limits.shutdown) => {}
        }
    };
    tokio::select! {
        () = end => {}
        () = shutdown.at_once() => {}
        () = accept_until_ended => {}
    }
    let left = register.cut();
    if left > 0 {
        tracing::warn!(connections = left, "ended: connections were cut");
    }
}

/// The next connection, as soon as there is a place for it.
async fn accept(listener: &TcpListener, register: &Register, most: usize) -> TcpStream {
    loop {
        register.place(most).await;
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_the_client(error.kind()) => {}
            Err(error) => {
                tracing::error!("no connection can be accepted: {error}");
                register.close_longest_silent();
                sleep(PAUSE).await;
            }
        }
    }
}

/// Whether a client went before it was accepted.
const fn is_of_the_client(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}
