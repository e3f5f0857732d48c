//! Reading histories: every answer is compared with one that is worked out entry by entry.

mod extremes;
mod fields;
mod filters;
mod logic;
mod pages;
mod past;
mod values;

use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _};
use diesel_async::SimpleAsyncConnection as _;
use koherent_core::{Attribution, HistoryEntry};
use koherent_diesel::{Audited as _, AuditedConnection, HistoryOrder, history};

use super::super::engine::{Backend, Conn, Database, MEASUREMENTS};
use crate::tables::*;

/// Connections of different people and tasks, and the table `measurements` beside `samples`.
struct World {
    connections: Vec<AuditedConnection<Conn>>,
    names: u32,
    _database: Database,
}

/// Who changes things. `task-b` was caused by `task-a`, `task-c` by `task-b`; `task-x` is the child of one that changed
/// nothing itself.
fn people() -> Vec<Attribution> {
    vec![
        user("ann"),
        user("Ann"),
        Attribution::system("nightly-import"),
        under_task("task-a"),
        under_token("rekuest", "bio", "task-b", |token| {
            token.parent("task-a", "task-a")
        }),
        under_token("rekuest", "bio", "task-c", |token| {
            token.parent("task-b", "task-a")
        }),
        under_token("other", "geo", "task-d", |token| token),
        under_token("rekuest", "geo", "task-x", |token| {
            token.parent("silent", "silent-root")
        }),
        under_token("rekuest", "geo ", "task-A", |token| token),
    ]
}

impl World {
    async fn new() -> Self {
        let database = Database::new().await;
        let mut connections = Vec::new();
        for attribution in people() {
            connections.push(database.audited(attribution).await);
        }
        let conn = &mut connections[0];
        conn.batch_execute(MEASUREMENTS).await.unwrap();
        let ddl = measurements::table::history_ddl::<Backend>();
        conn.batch_execute(&ddl).await.unwrap();
        Self {
            connections,
            names: 0,
            _database: database,
        }
    }

    fn reader(&mut self) -> &mut AuditedConnection<Conn> {
        &mut self.connections[0]
    }

    /// One change by somebody, with a moment of its own.
    async fn change(&mut self, random: &mut fastrand::Rng) {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        let at = random.usize(..self.connections.len());
        let conn = &mut self.connections[at];
        self.names += 1;
        let name = format!("name {}", self.names);
        let id = random.i64(1..8);
        let reason = ["histology", "Histology", "it's a \"test\""][random.usize(..3)];
        let result = match random.u32(..9) {
            0..=2 => {
                let rows: Vec<_> = (0..random.u32(1..3))
                    .map(|n| NewSample {
                        name: format!("{name}/{n}"),
                        note: random.bool().then(|| "noted".to_owned()),
                        mass: random.bool().then_some(1.5),
                    })
                    .collect();
                conn.audited_insert(samples::table, &rows).execute().await
            }
            3 | 4 => {
                let find = samples::table.find(id);
                let update = conn.audited_update(find, samples::name.eq(name));
                update.reason(reason).execute().await
            }
            5 => {
                let note = random.bool().then_some("noted");
                let some = samples::table.filter(samples::id.gt(id));
                conn.audited_update(some, samples::note.eq(note))
                    .execute()
                    .await
            }
            6 => {
                let find = samples::table.find(id);
                let mass = [None, Some(1.5), Some(2.5)][random.usize(..3)];
                conn.audited_update(find, samples::mass.eq(mass))
                    .execute()
                    .await
            }
            7 => {
                conn.audited_delete(samples::table.find(id))
                    .reason(reason)
                    .execute()
                    .await
            }
            _ => {
                // Of a sample that is there, so that the two can be joined.
                let any: Option<i64> = {
                    use diesel_async::RunQueryDsl as _;
                    let ids = samples::table.select(samples::id).order(samples::id);
                    ids.first(conn).await.optional().unwrap()
                };
                let Some(sample) = any else { return };
                let row = (
                    measurements::id.eq(i64::from(self.names)),
                    measurements::sample_id.eq(sample),
                    measurements::value.eq(random.f64()),
                );
                conn.audited_insert(measurements::table, row)
                    .execute()
                    .await
            }
        };
        match result {
            Ok(_) => {}
            // A sample with measurements stays.
            Err(error) => assert_eq!(error.reason(), "CONSTRAINT_VIOLATED", "{error:?}"),
        }
    }

    async fn grown(changes: u32, random: &mut fastrand::Rng) -> Self {
        let mut world = Self::new().await;
        for _ in 0..changes {
            world.change(random).await;
        }
        world
    }

    /// All there is of the history of `samples`, the oldest first.
    async fn everything(&mut self) -> Vec<HistoryEntry> {
        let query = history(samples::table).order(HistoryOrder::OldestFirst);
        query.load(self.reader()).await.unwrap()
    }
}

/// The number that the row's key is.
fn id_of(entry: &HistoryEntry) -> i64 {
    entry.key.to_string().parse().unwrap()
}
