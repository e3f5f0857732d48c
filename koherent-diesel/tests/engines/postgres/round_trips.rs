//! How often an audited write crosses the wire, and how many statements it is: counted by a proxy that sees each message
//! of the client's (PostgreSQL frontend/backend protocol 3, §53.7).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use koherent_diesel::AuditedConnection;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::engine::{Conn, Database};
use crate::tables::*;

/// What went through a proxy.
#[derive(Debug, Default)]
struct Traffic {
    /// Messages after which the client waits: `Sync` and `Query`.
    round_trips: AtomicUsize,
    /// `Execute` and `Query`.
    statements: AtomicUsize,
    /// How often the client spoke after the server had.
    turns: AtomicUsize,
    server_spoke: AtomicBool,
}

impl Traffic {
    /// What has gone through since it was asked last.
    fn take(&self) -> (usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::SeqCst);
        (take(&self.round_trips), take(&self.statements))
    }
}

/// Forwards one connection to the server, and counts.
async fn proxy(address: &str) -> (String, Arc<Traffic>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (before, rest) = address.split_once('@').unwrap();
    let (host, database) = rest.split_once('/').unwrap();
    let host = host.replace("%2F", "/");
    let traffic = Arc::new(Traffic::default());
    let counted = Arc::clone(&traffic);
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from_server, mut to_server) = dial(&host).await;
        let (mut from_client, mut to_client) = client.into_split();
        let spoke = Arc::clone(&counted);
        tokio::spawn(async move {
            let mut bytes = [0; 8192];
            while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
                spoke.server_spoke.store(true, Ordering::SeqCst);
                to_client.write_all(&bytes[..length]).await.unwrap();
            }
        });
        // The first message has no type.
        let mut message = with_length(&mut from_client, Vec::new()).await;
        while let Some(bytes) = message {
            to_server.write_all(&bytes).await.unwrap();
            let Ok(kind) = from_client.read_u8().await else {
                break;
            };
            if counted.server_spoke.swap(false, Ordering::SeqCst) {
                counted.turns.fetch_add(1, Ordering::SeqCst);
            }
            match kind {
                b'S' => drop(counted.round_trips.fetch_add(1, Ordering::SeqCst)),
                b'E' => drop(counted.statements.fetch_add(1, Ordering::SeqCst)),
                b'Q' => {
                    counted.round_trips.fetch_add(1, Ordering::SeqCst);
                    counted.statements.fetch_add(1, Ordering::SeqCst);
                }
                _ => {}
            }
            message = with_length(&mut from_client, vec![kind]).await;
        }
    });
    (format!("{before}@127.0.0.1:{port}/{database}"), traffic)
}

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A socket in a folder, or a host with a port.
async fn dial(host: &str) -> (Reader, Writer) {
    if host.starts_with('/') {
        let socket = format!("{host}/.s.PGSQL.5432");
        let (reader, writer) = UnixStream::connect(socket).await.unwrap().into_split();
        return (Box::new(reader), Box::new(writer));
    }
    let host = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:5432")
    };
    let (reader, writer) = TcpStream::connect(host).await.unwrap().into_split();
    (Box::new(reader), Box::new(writer))
}

/// A message with its length in front.
async fn with_length(from: &mut (impl AsyncRead + Unpin), mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let length = from.read_u32().await.ok()?;
    bytes.extend(length.to_be_bytes());
    let start = bytes.len();
    bytes.resize(start + length as usize - 4, 0);
    from.read_exact(&mut bytes[start..]).await.ok()?;
    Some(bytes)
}

async fn counted() -> (AuditedConnection<Conn>, Arc<Traffic>) {
    let database = Database::new().await;
    let (address, traffic) = proxy(&database.address()).await;
    let bare = Conn::establish(&address).await.unwrap();
    let mut conn = AuditedConnection::new(bare, under_task("task-a"));
    // What the connection was set up with is done when this is answered.
    conn.batch_execute("SELECT 1").await.unwrap();
    traffic.take();
    (conn, traffic)
}

const ONE: (usize, usize) = (1, 1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_audited_write_is_one_statement_and_one_round_trip() {
    let (mut conn, traffic) = counted().await;
    // The first of its kind is prepared: one round trip more, and no statement.
    let first: i64 = conn
        .audited_insert(samples::table, named("first"))
        .returning(samples::id)
        .get_result()
        .await
        .unwrap();
    assert_eq!(traffic.take(), (2, 1), "with the task's row, and prepared");
    // Now the task is known: another text, prepared once more.
    conn.audited_insert(samples::table, named("second"))
        .returning(samples::id)
        .get_result::<i64>()
        .await
        .unwrap();
    assert_eq!(traffic.take(), (2, 1));
    conn.audited_insert(samples::table, named("third"))
        .returning(samples::id)
        .get_result::<i64>()
        .await
        .unwrap();
    assert_eq!(traffic.take(), ONE);
    for round in 0..2 {
        conn.audited_update(
            samples::table.find(first),
            samples::mass.eq(f64::from(round)),
        )
        .get_result::<Sample>()
        .await
        .unwrap();
        let update = traffic.take();
        conn.audited_update(
            samples::table.find(first),
            samples::mass.eq(f64::from(round)),
        )
        .execute()
        .await
        .unwrap();
        let unchanged = traffic.take();
        let upsert = diesel::insert_into(samples::table)
            .values((samples::id.eq(1), samples::name.eq("first")))
            .on_conflict(samples::id)
            .do_update()
            .set(samples::mass.eq(7.0));
        conn.audited_upsert(upsert).execute().await.unwrap();
        let upsert = traffic.take();
        let gone =
            samples::table.filter(samples::name.eq(if round == 0 { "second" } else { "third" }));
        conn.audited_delete(gone).execute().await.unwrap();
        let delete = traffic.take();
        let expected = if round == 0 { (2, 1) } else { ONE };
        assert_eq!([update, unchanged, upsert, delete], [expected; 4]);
    }
}

/// On a connection whose statements are prepared, a task's first write is one round trip as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_write_of_a_task_is_one_round_trip() {
    let (mut conn, traffic) = counted().await;
    // As tuples: of structs that can leave out columns, a bare connection keeps no prepared statement.
    conn.audited_insert(samples::table, samples::name.eq("prepares"))
        .execute()
        .await
        .unwrap();
    traffic.take();
    for task in ["task-b", "task-c"] {
        let mut bare = conn.into_inner();
        koherent_diesel::audited_insert(samples::table, samples::name.eq(task))
            .by(&under_task(task))
            .execute(&mut bare)
            .await
            .unwrap();
        assert_eq!(traffic.take(), ONE);
        conn = AuditedConnection::new(bare, ann());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_rows_are_at_most_three_statements() {
    let (mut conn, traffic) = counted().await;
    let rows: Vec<_> = (0..10_000)
        .map(|n| NewSample {
            name: format!("row {n}"),
            note: Some("many".to_owned()),
            mass: Some(1.0),
        })
        .collect();
    conn.audited_insert(samples::table, &rows)
        .execute()
        .await
        .unwrap();
    assert_eq!(traffic.take().1, 1);
    let updated: Vec<Sample> = conn
        .audited_update(samples::table, samples::mass.eq(2.0))
        .get_results()
        .await
        .unwrap();
    assert_eq!((updated.len(), traffic.take().1), (10_000, 1));
    conn.audited_delete(samples::table).execute().await.unwrap();
    assert_eq!(traffic.take().1, 1);
    // More values than one statement binds: `BEGIN`, two statements, `COMMIT`.
    let more = |n| NewSample {
        name: format!("row {n}"),
        note: Some("more".to_owned()),
        mass: Some(1.0),
    };
    let twice: Vec<_> = (0..30_000).map(more).collect();
    conn.audited_insert(samples::table, &twice)
        .execute()
        .await
        .unwrap();
    assert_eq!(traffic.take().1, 4);
}

/// Nothing waits between the statements of a batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_pipelined() {
    let (mut conn, traffic) = counted().await;
    let turns = |traffic: &Traffic| traffic.turns.swap(0, Ordering::SeqCst);
    for round in 0..3 {
        let mut batch = conn.audited_batch();
        for n in 0..100 {
            batch.insert(samples::table, named(&format!("{round}/{n}")));
        }
        batch.execute().await.unwrap();
        let (_, statements) = traffic.take();
        assert_eq!(statements, 102, "`BEGIN`, one for each, `COMMIT`");
        let turns = turns(&traffic);
        // Prepared once, they are sent while the first answers come in.
        assert!(round == 0 || turns < 50, "{turns} turns");
    }
    // One by one, each waits for its answer: the proxy sees it.
    for n in 0..100 {
        conn.audited_insert(samples::table, named(&format!("alone/{n}")))
            .execute()
            .await
            .unwrap();
    }
    assert!(turns(&traffic) >= 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_a_row_are_one_statement() {
    let (mut conn, traffic) = counted().await;
    conn.audited_insert(samples::table, named("n"))
        .execute()
        .await
        .unwrap();
    for n in 0..20 {
        conn.audited_update(samples::table.find(1), samples::mass.eq(f64::from(n)))
            .execute()
            .await
            .unwrap();
    }
    traffic.take();
    let entries = koherent_diesel::entries_of(samples::table, 1)
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!((entries.len(), traffic.take().1), (21, 1));
}
