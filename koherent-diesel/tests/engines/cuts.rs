//! Connections that are cut around a commit: whatever is answered is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use diesel::ExpressionMethods as _;
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use koherent_diesel::{Audited as _, AuditedConnection, Error, Outcome, outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};

use super::engine::{Conn, Database, proxied};
use crate::effort::effort;
use crate::tables::*;

/// What becomes of the next packet of the client.
const PASS: u8 = 0;
/// It never arrives.
const CUT_BEFORE: u8 = 1;
/// It arrives, and nobody waits for the answer.
const CUT_BEHIND: u8 = 2;
/// It arrives and is answered; the answer does not.
const CUT_ANSWER: u8 = 3;

/// A proxy on loopback in front of the server's socket.
struct Proxy {
    port: u16,
    next: Arc<AtomicU8>,
}

impl Proxy {
    async fn start(socket: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let next = Arc::new(AtomicU8::new(PASS));
        let shared = Arc::clone(&next);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(forward(client, server, Arc::clone(&shared)));
            }
        });
        Self { port, next }
    }

    fn cut(&self, how: u8) {
        self.next.store(how, Ordering::SeqCst);
    }
}

async fn forward(mut client: tokio::net::TcpStream, mut server: UnixStream, next: Arc<AtomicU8>) {
    let (mut from_client, mut from_server) = ([0; 65536], [0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let how = next.swap(PASS, Ordering::SeqCst);
                if how == CUT_BEFORE || server.write_all(&from_client[..length]).await.is_err() {
                    return;
                }
                if how == CUT_ANSWER {
                    let _ = server.read(&mut from_server).await;
                }
                if how != PASS {
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&from_server[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn rounds() -> usize {
    effort(12, 200)
}

#[derive(diesel::QueryableByName)]
struct Counted {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    n: i64,
}

async fn is_there(conn: &mut AuditedConnection<Conn>, name: &str) -> bool {
    let sql = format!("SELECT count(*) AS n FROM samples WHERE name = '{name}'");
    let counted: Counted = diesel::sql_query(sql).get_result(conn).await.unwrap();
    counted.n > 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_when_a_connection_is_cut_around_a_commit_is_right() {
    let database = Database::new().await;
    let (socket, address) = proxied(&database);
    let proxy = Proxy::start(socket).await;
    let mut direct = database.audited(ann()).await;
    let (mut unknown_done, mut unknown_not_done, mut not_done) = (0, 0, 0);
    for round in 0..rounds() {
        let how = [CUT_BEFORE, CUT_BEHIND, CUT_ANSWER][round % 3];
        let mut conn = AuditedConnection::new(address(proxy.port).await, ann());
        // The statement is prepared, so that the next one is one packet.
        let warm = samples::name.eq(format!("warm {round}"));
        conn.audited_insert(samples::table, warm)
            .execute()
            .await
            .unwrap();
        let name = format!("cut {round}");
        let insert = samples::name.eq(name.clone());
        let done = if round % 2 == 0 {
            proxy.cut(how);
            conn.audited_insert(samples::table, insert).execute().await
        } else {
            conn.transaction(async |conn| {
                let done = conn
                    .audited_insert(samples::table, insert)
                    .execute()
                    .await?;
                proxy.cut(how);
                Ok::<_, Error>(done)
            })
            .await
        };
        let error = done.unwrap_err();
        match error {
            Error::OutcomeUnknown { transaction, .. } => {
                let ask = outcome(transaction).within([samples::table::tracked()]);
                let told = ask.load(&mut direct).await.unwrap();
                let there = is_there(&mut direct, &name).await;
                assert_eq!(
                    told == Outcome::Committed,
                    there,
                    "round {round}, cut {how}"
                );
                match there {
                    true => unknown_done += 1,
                    false => unknown_not_done += 1,
                }
            }
            error => {
                assert_eq!(
                    error.reason(),
                    "CONNECTION_LOST",
                    "round {round}, cut {how}: {error:?}"
                );
                assert!(
                    !is_there(&mut direct, &name).await,
                    "round {round}, cut {how}"
                );
                not_done += 1;
            }
        }
    }
    // The control: who takes every lost connection for "not done" would have changed these twice.
    assert!(
        unknown_done > 0,
        "{unknown_done} {unknown_not_done} {not_done}"
    );
    assert!(
        unknown_not_done + not_done > 0,
        "{unknown_done} {unknown_not_done} {not_done}"
    );
}
