//! Keys of all sorts, and keys that change.

use diesel::prelude::*;
use koherent_diesel::{Error, entries_of};

use super::engine::{Database, MOVES_KEYS};
use super::{count, history_of};
use crate::tables::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn composite_keys_and_quoted_names() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let rows: Vec<_> = (0..100)
        .map(|shelf| {
            (
                places::room.eq("attic"),
                places::shelf.eq(shelf),
                places::content.eq("box"),
            )
        })
        .collect();
    let inserted = conn.audited_insert(places::table, rows).execute().await;
    assert_eq!(inserted.unwrap(), 100);
    let low = places::table.filter(places::shelf.lt(50));
    let updated = conn
        .audited_update(low, places::content.eq("crate"))
        .execute()
        .await;
    assert_eq!(updated.unwrap(), 50);
    let find = places::table.find(("attic", 3));
    let gone: (String, i32, String) = conn.audited_delete(find).get_result().await.unwrap();
    assert_eq!(gone, ("attic".into(), 3, "crate".into()));
    let entries = entries_of(places::table, ("attic", 3))
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!(kinds(&entries), "-~+");
    assert_eq!(entries[1].changes[0].field, "what's there");
    let entries = entries_of(places::table, ("attic", 99))
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!(kinds(&entries), "+");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_bytes() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let keys: [&[u8]; 3] = [&[0, 1, 255], &[0, 1], b"'\"\\"];
    for key in keys {
        let row = (digests::digest.eq(key), digests::size.eq(3));
        conn.audited_insert(digests::table, row)
            .execute()
            .await
            .unwrap();
    }
    let grown = digests::size.eq(digests::size + 1);
    let updated = conn.audited_update(digests::table, grown).execute().await;
    assert_eq!(updated.unwrap(), 3);
    for key in keys {
        let entries = entries_of(digests::table, key)
            .load(&mut conn)
            .await
            .unwrap();
        assert_eq!(kinds(&entries), "~+");
    }
}

/// History is that of a key: one that no row has any more is deleted, one that no row had is created.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_keys_are_deleted_and_created() {
    let database = Database::new().await;
    let mut conn = database.audited(under_task("task-a")).await;
    conn.audited_insert(samples::table, vec![named("a"), named("b")])
        .execute()
        .await
        .unwrap();
    let changes = (samples::id.eq(70), samples::note.eq("moved"));
    let moved = conn
        .audited_update(samples::table.find(1), changes)
        .get_result::<Sample>()
        .await;
    if !MOVES_KEYS {
        let error = moved.unwrap_err();
        assert!(
            matches!(error, Error::KeyChanged { table: "samples" }),
            "{error}"
        );
        assert_eq!(count(&mut conn, "samples WHERE id = 1").await, 1);
        assert_eq!(count(&mut conn, "samples_history").await, 2);
        return;
    }
    assert_eq!(moved.unwrap().id, 70);
    let gone = history_of(&mut conn, 1).await;
    assert_eq!(kinds(&gone), "-+");
    let name = |change: &koherent_core::FieldChange| change.field == "name";
    let last = gone[0].changes.iter().find(|change| name(change)).unwrap();
    assert_eq!(last.old.as_ref().unwrap().text(), "a");
    let came = history_of(&mut conn, 70).await;
    assert_eq!(kinds(&came), "+");
    assert_eq!(came[0].transaction, gone[0].transaction);
    assert!(came[0].id > gone[0].id);

    // A set: no key but the last is left, and what was 2 and 70 are 3 and 71.
    let updated = conn
        .audited_update(samples::table, samples::id.eq(samples::id + 1))
        .execute()
        .await;
    assert_eq!(updated.unwrap(), 2);
    for (id, expected) in [(2, "-+"), (3, "+"), (70, "-+"), (71, "+")] {
        assert_eq!(kinds(&history_of(&mut conn, id).await), expected, "{id}");
    }
    // A key that is left and taken by the same update is updated.
    let moved = conn
        .audited_update(samples::table, samples::id.eq(samples::id - 68))
        .execute()
        .await;
    assert_eq!(moved.unwrap(), 2);
    assert_eq!(kinds(&history_of(&mut conn, 3).await), "~+");
    assert_eq!(kinds(&history_of(&mut conn, 71).await), "-+");
    assert_eq!(kinds(&history_of(&mut conn, -65).await), "+");
    // An update that names the key and leaves it as it is.
    let same = (samples::id.eq(3), samples::note.eq("same"));
    conn.audited_update(samples::table.find(3), same)
        .execute()
        .await
        .unwrap();
    assert_eq!(kinds(&history_of(&mut conn, 3).await), "~~+");
}
