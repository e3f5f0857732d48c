//! Random sequences of changes, transactions, savepoints and rollbacks: history is always what happened.

use std::collections::BTreeMap;

use diesel::result::Error as DieselError;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use futures_util::future::BoxFuture;
use koherent_core::{ChangeKind, HistoryEntry};
use koherent_diesel::{AuditedConnection, Error, entries_of};

use super::engine::{Conn, Database, SEQUENCES, SURVIVES_FAILURES, upsert};
use crate::tables::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_image_equals_the_row_and_the_chain_replays_to_it() {
    for seed in 0..SEQUENCES {
        let database = Database::new().await;
        let mut conn = database.audited(under_task("task-a")).await;
        let mut random = fastrand::Rng::with_seed(seed);
        let mut names = 0;
        for _ in 0..20 {
            steps(&mut conn, &mut random, &mut names, 2).await;
        }
        verify(&mut conn, seed).await;
    }
}

/// Some changes; some of them in a transaction of their own, which may be rolled back.
fn steps<'s>(
    conn: &'s mut AuditedConnection<Conn>,
    random: &'s mut fastrand::Rng,
    names: &'s mut u32,
    depth: u32,
) -> BoxFuture<'s, ()> {
    Box::pin(some_steps(conn, random, names, depth))
}

async fn some_steps(
    conn: &mut AuditedConnection<Conn>,
    random: &mut fastrand::Rng,
    names: &mut u32,
    depth: u32,
) {
    for _ in 0..random.u32(1..5) {
        if depth > 0 && random.u32(0..3) == 0 {
            let keep = random.bool();
            let (random, names) = (&mut *random, &mut *names);
            let result = conn
                .transaction(async |conn| {
                    steps(conn, random, names, depth - 1).await;
                    if keep {
                        Ok::<_, Error>(())
                    } else {
                        Err(DieselError::RollbackTransaction.into())
                    }
                })
                .await;
            assert_eq!(result.is_ok(), keep);
        } else {
            change(conn, random, names).await;
        }
    }
}

async fn change(conn: &mut AuditedConnection<Conn>, random: &mut fastrand::Rng, names: &mut u32) {
    let id = i64::from(random.u32(1..12));
    let name = match random.u32(0..8) {
        0 if SURVIVES_FAILURES => "collides".to_owned(),
        _ => {
            *names += 1;
            format!("name {names}")
        }
    };
    let mass = f64::from(random.u32(0..3));
    let result = match random.u32(0..7) {
        0 | 1 => {
            let rows: Vec<_> = (0..random.u32(1..4))
                .map(|n| NewSample {
                    name: format!("{name}/{n}"),
                    note: random.bool().then(|| "noted".to_owned()),
                    mass: Some(mass),
                })
                .collect();
            conn.audited_insert(samples::table, &rows).execute().await
        }
        2 => {
            conn.audited_update(samples::table.find(id), samples::name.eq(&name))
                .execute()
                .await
        }
        3 => {
            let some = samples::table.filter(samples::id.gt(id));
            conn.audited_update(some, samples::mass.eq(mass))
                .execute()
                .await
        }
        4 => conn.audited_delete(samples::table.find(id)).execute().await,
        5 => {
            let row = (samples::id.eq(id + 100), samples::name.eq(&name));
            conn.audited_upsert(upsert!(row, samples::mass.eq(mass)))
                .execute()
                .await
        }
        _ => {
            conn.audited_update(samples::table, samples::note.eq(format!("note {mass}")))
                .execute()
                .await
        }
    };
    if let Err(error) = result {
        assert_eq!(error.reason(), "CONSTRAINT_VIOLATED", "{error:?}");
    }
}

type Image = BTreeMap<&'static str, String>;

async fn verify(conn: &mut AuditedConnection<Conn>, seed: u64) {
    let live: Vec<Sample> = samples::table.load(conn).await.unwrap();
    let live: BTreeMap<i64, Image> = live.iter().map(|row| (row.id, image(row))).collect();
    let ids: Vec<i64> = samples_history::table
        .select(samples_history::id)
        .distinct()
        .load(conn)
        .await
        .unwrap();
    for id in live.keys() {
        assert!(ids.contains(id), "seed {seed}: row {id} has no history");
    }
    for id in ids {
        let entries = entries_of(samples::table, id).load(conn).await.unwrap();
        let replayed = replay(&entries, seed);
        assert_eq!(replayed.as_ref(), live.get(&id), "seed {seed}: row {id}");
    }
}

/// What the entries of one row come to, from the first to the last.
fn replay(entries: &[HistoryEntry], seed: u64) -> Option<Image> {
    let mut image: Option<Image> = None;
    let mut date = None;
    for entry in entries.iter().rev() {
        assert!(date <= Some(entry.date), "seed {seed}: dates run backwards");
        date = Some(entry.date);
        match entry.kind {
            ChangeKind::Create => {
                assert_eq!(image, None, "seed {seed}: created twice");
                image = Some(Image::new());
            }
            ChangeKind::Update | ChangeKind::Delete => {
                assert!(image.is_some(), "seed {seed}: a change of nothing");
            }
        }
        let current = image.as_mut().unwrap();
        for change in &entry.changes {
            let old = change.old.as_ref().map(koherent_core::FieldValue::text);
            assert_eq!(current.remove(change.field), old, "seed {seed}: {entry:?}");
            if let Some(new) = &change.new {
                current.insert(change.field, new.text());
            }
        }
        if entry.kind == ChangeKind::Delete {
            assert_eq!(current.len(), 0, "seed {seed}: a delete that keeps values");
            image = None;
        }
    }
    image
}

fn image(row: &Sample) -> Image {
    let mut image = Image::new();
    image.insert("id", row.id.to_string());
    image.insert("name", row.name.clone());
    image.insert("active", row.active.to_string());
    if let Some(note) = &row.note {
        image.insert("note", note.clone());
    }
    if let Some(mass) = row.mass {
        image.insert("mass", serde_json::json!(mass).to_string());
    }
    image
}
