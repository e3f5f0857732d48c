//! Inserts, updates, deletes and upserts, and what their history says.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};
use koherent_core::ChangeKind;
use koherent_diesel::{OptionalExtension as _, audited_insert, audited_update, audited_upsert};

use super::engine::{Backend, Database, SKIPS_UNCHANGED_UPSERTS, leave, upsert};
use super::{count, history_of};
use crate::tables::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_rename_and_delete_leave_three_entries() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let liver: Sample = conn
        .audited_insert(samples::table, named("liver"))
        .get_result()
        .await
        .unwrap();
    assert_eq!((liver.id, liver.storage_code.as_str()), (1, "secret"));
    let heart: Sample = conn
        .audited_update(&liver, samples::name.eq("heart"))
        .reason("mislabelled")
        .get_result()
        .await
        .unwrap();
    assert_eq!(heart.name, "heart");
    let deleted = conn.audited_delete(samples::table.find(1)).execute().await;
    assert_eq!(deleted.unwrap(), 1);
    assert_eq!(count(&mut conn, "samples").await, 0);

    let entries = history_of(&mut conn, 1).await;
    assert_eq!(kinds(&entries), "-~+");
    for entry in &entries {
        assert_eq!(entry.user.as_ref().unwrap(), "ann");
        assert_eq!(entry.client.as_ref().unwrap(), "lab-ui");
        assert_eq!(entry.organization.as_ref().unwrap(), "bio");
        assert_eq!(entry.task, None);
        let context = entry.context.as_ref().unwrap();
        assert_eq!(context["issuer"], "https://login.example");
        assert_eq!(entry.transaction.get_version_num(), 7);
    }
    assert!(entries[0].date >= entries[1].date && entries[1].date >= entries[2].date);
    let age = now() - entries[0].date;
    assert!(age.num_seconds().abs() < 60, "the date is in UTC: {age}");
    assert_ne!(entries[0].transaction, entries[1].transaction);
    assert_eq!(entries[1].reason.as_deref(), Some("mislabelled"));
    let [name] = &entries[1].changes[..] else {
        panic!("one change: {:?}", entries[1].changes)
    };
    assert_eq!(name.field, "name");
    assert_eq!(name.old.as_ref().unwrap().text(), "liver");
    assert_eq!(name.new.as_ref().unwrap().text(), "heart");
    let fields: Vec<_> = entries[2].changes.iter().map(|c| c.field).collect();
    assert_eq!(fields, ["id", "name", "active"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_that_change_nothing_audited_leave_no_entry() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.audited_insert(samples::table, &[named("liver"), named("heart")])
        .execute()
        .await
        .unwrap();
    let touched = conn
        .audited_update(samples::table.find(1), samples::name.eq("liver"))
        .execute()
        .await;
    assert_eq!(touched.unwrap(), 1, "touched, as Diesel counts");
    let touched = conn
        .audited_update(samples::table.find(1), samples::storage_code.eq("B7"))
        .execute()
        .await;
    assert_eq!(touched.unwrap(), 1, "an excluded column");
    assert_eq!(kinds(&history_of(&mut conn, 1).await), "+");

    // Of a set, only the rows that change get an entry.
    conn.audited_update(samples::table.find(2), samples::mass.eq(2.0))
        .execute()
        .await
        .unwrap();
    let rows: Vec<Sample> = conn
        .audited_update(samples::table, samples::mass.eq(2.0))
        .get_results()
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(kinds(&history_of(&mut conn, 1).await), "~+");
    assert_eq!(kinds(&history_of(&mut conn, 2).await), "~+");

    conn.audited_update(samples::table.find(1), samples::mass.eq(2.0))
        .record_unchanged()
        .execute()
        .await
        .unwrap();
    let entries = history_of(&mut conn, 1).await;
    assert_eq!(kinds(&entries), "~~+");
    assert_eq!(entries[0].changes, []);
}

/// What is compared is what is stored: capitals, blanks and the sign of zero count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_only_look_alike_are_changes() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let row = (samples::name.eq("liver"), samples::note.eq("a"));
    conn.audited_insert(samples::table, row)
        .execute()
        .await
        .unwrap();
    for note in ["A", "A ", "Ä"] {
        conn.audited_update(samples::table.find(1), samples::note.eq(note))
            .execute()
            .await
            .unwrap();
    }
    assert_eq!(kinds(&history_of(&mut conn, 1).await), "~~~+");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_forms_of_targets_and_changes_are_taken() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let vector = vec![named("a"), named("b")];
    let rows = |n: Result<usize, koherent_diesel::Error>| n.unwrap();
    assert_eq!(
        rows(conn.audited_insert(samples::table, &vector).execute().await),
        2
    );
    let owned = vec![named("c"), named("d")];
    assert_eq!(
        rows(conn.audited_insert(samples::table, owned).execute().await),
        2
    );
    let slice = &[named("e")][..];
    assert_eq!(
        rows(conn.audited_insert(samples::table, slice).execute().await),
        1
    );
    let tuple = (samples::name.eq("f"), samples::mass.eq(1.5));
    assert_eq!(
        rows(conn.audited_insert(samples::table, tuple).execute().await),
        1
    );
    let tuples = vec![samples::name.eq("g"), samples::name.eq("h")];
    let inserted: Vec<Sample> = conn
        .audited_insert(samples::table, tuples)
        .get_results()
        .await
        .unwrap();
    let names: Vec<_> = inserted.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["g", "h"]);

    let changes = SampleChanges {
        name: Some("A".to_owned()),
        note: None,
    };
    let row: Sample = conn
        .audited_update(samples::table.find(1), &changes)
        .get_result()
        .await
        .unwrap();
    assert_eq!((row.name.as_str(), row.note.as_deref()), ("A", None));
    // As `save_changes` does: the whole row is the change, and the row is found by its key.
    let mut whole = row.clone();
    whole.mass = Some(9.5);
    let saved: Sample = conn
        .audited_update(&whole, &whole)
        .get_result()
        .await
        .unwrap();
    assert_eq!(saved, whole);
    let entry = &history_of(&mut conn, 1).await[0];
    assert_eq!((entry.changes.len(), entry.changes[0].field), (1, "mass"));
    let back = conn.audited_update(samples::table.find(1), samples::mass.eq(None::<f64>));
    back.execute().await.unwrap();
    let boxed: Box<dyn BoxableExpression<samples::table, Backend, SqlType = Bool>> =
        Box::new(samples::name.eq("b"));
    let changes = (samples::note.eq("x"), samples::mass.eq(2.0));
    let update = conn.audited_update(samples::table.filter(boxed), changes);
    assert_eq!(rows(update.execute().await), 1);
    let computed = samples::mass.eq(samples::mass + 1.0);
    let update = conn.audited_update(samples::table.filter(samples::mass.is_not_null()), computed);
    let masses: Vec<Option<f64>> = update.returning(samples::mass).get_results().await.unwrap();
    assert_eq!(masses.len(), 2);
    let changed = samples_history::table
        .select(samples_history::id)
        .filter(samples_history::history_kind.eq("~"));
    let delete = conn.audited_delete(samples::table.filter(samples::id.eq_any(changed)));
    assert_eq!(rows(delete.execute().await), 3);
    let rest: Vec<Sample> = conn
        .audited_delete(samples::table)
        .get_results()
        .await
        .unwrap();
    assert_eq!(rest.len(), 5);
    assert_eq!(count(&mut conn, "samples").await, 0);
    assert_eq!(count(&mut conn, "samples_history").await, 8 + 3 + 1 + 2 + 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_rows_are_no_statement_and_no_entry() {
    let database = Database::new().await;
    let mut conn = database.audited(under_task("task-a")).await;
    let nothing: Vec<NewSample> = Vec::new();
    let inserted = conn
        .audited_insert(samples::table, &nothing)
        .execute()
        .await;
    assert_eq!(inserted.unwrap(), 0);
    let none: Vec<Sample> = conn
        .audited_insert(samples::table, &nothing)
        .get_results()
        .await
        .unwrap();
    assert_eq!(none, []);
    let nobody = conn
        .audited_update(samples::table.find(7), samples::name.eq("x"))
        .get_result::<Sample>()
        .await;
    assert_eq!(nobody.optional().unwrap(), None);
    let deleted = conn.audited_delete(samples::table).execute().await;
    assert_eq!(deleted.unwrap(), 0);
    let error = conn
        .audited_update(samples::table.find(1), SampleChanges::default())
        .execute()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no changes to save"), "{error}");
    assert_eq!(count(&mut conn, "samples_history").await, 0);
    assert_eq!(count(&mut conn, "koherent_task").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chosen_columns_are_returned() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let ids: Vec<i64> = conn
        .audited_insert(samples::table, vec![named("a"), named("b"), named("c")])
        .returning(samples::id)
        .get_results()
        .await
        .unwrap();
    assert_eq!(ids, [1, 2, 3]);
    let mut rows: Vec<(String, String, i64)> = conn
        .audited_update(
            samples::table.filter(samples::id.le(2)),
            samples::mass.eq(2.5),
        )
        .returning((samples::name, samples::storage_code, samples::id + 100))
        .reason("weighed")
        .get_results()
        .await
        .unwrap();
    rows.sort();
    let expected = [("a", "secret", 101), ("b", "secret", 102)];
    assert_eq!(
        rows,
        expected.map(|(name, code, id)| (name.to_owned(), code.to_owned(), id))
    );
    assert_eq!(
        history_of(&mut conn, 1).await[0].reason.as_deref(),
        Some("weighed")
    );
    let gone: (i64, Option<f64>) = conn
        .audited_delete(samples::table.find(2))
        .returning((samples::id, samples::mass))
        .get_result()
        .await
        .unwrap();
    assert_eq!(gone, (2, Some(2.5)));
    let mut bare = conn.into_inner();
    let selected: Sample = audited_update(samples::table.find(1), samples::name.eq("A"))
        .by(&ann())
        .returning(Sample::as_select())
        .get_result(&mut bare)
        .await
        .unwrap();
    assert_eq!(selected.name, "A");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upserts_tell_created_from_updated() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap();
    for (id, name) in [(1, "liver"), (7, "lung")] {
        let row = (samples::id.eq(id), samples::name.eq(name));
        let upsert = upsert!(row, samples::note.eq("seen"));
        let touched = conn.audited_upsert(upsert).execute().await.unwrap();
        assert_eq!(touched, 1);
    }
    assert_eq!(kinds(&history_of(&mut conn, 1).await), "~+");
    assert_eq!(kinds(&history_of(&mut conn, 7).await), "+");
    let entries = history_of(&mut conn, 1).await;
    assert_eq!(entries[0].changes.len(), 1);
    assert_eq!(entries[0].changes[0].field, "note");

    // The same again changes nothing.
    let again = (samples::id.eq(1), samples::name.eq("liver"));
    let again = upsert!(again, samples::note.eq("seen"));
    let row: Sample = audited_upsert(again)
        .by(&ann())
        .get_result(&mut conn)
        .await
        .unwrap();
    assert_eq!(row.note.as_deref(), Some("seen"));
    let expected = if SKIPS_UNCHANGED_UPSERTS { "~+" } else { "~~+" };
    assert_eq!(kinds(&history_of(&mut conn, 1).await), expected);
    assert_eq!(count(&mut conn, "samples").await, 2);
}

/// Called an insert, it is an upsert still; and it cannot move a row to another key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upserts_are_known_by_what_they_do() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap();
    let row = (samples::id.eq(1), samples::name.eq("liver"));
    let upsert = upsert!(row, samples::mass.eq(2.0));
    conn.audited_insert_select(upsert).execute().await.unwrap();
    assert_eq!(kinds(&history_of(&mut conn, 1).await), "~+");
    let moves = upsert!(row, (samples::mass.eq(3.0), samples::id.eq(9)));
    let error = conn.audited_upsert(moves).execute().await.unwrap_err();
    assert_eq!(error.reason(), "KEY_CHANGED");
    assert_eq!(kinds(&history_of(&mut conn, 1).await), "~+");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_an_upsert_leaves_alone_have_no_entry() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap();
    for (id, name) in [(1, "other"), (7, "lung")] {
        let row = (samples::id.eq(id), samples::name.eq(name));
        conn.audited_upsert(leave!(row)).execute().await.unwrap();
    }
    let entries = history_of(&mut conn, 7).await;
    assert_eq!(kinds(&entries), "+");
    assert_eq!(kinds(&history_of(&mut conn, 1).await), "+");
    assert_eq!(count(&mut conn, "samples").await, 2);
    assert_eq!(count(&mut conn, "samples WHERE name = 'liver'").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn selected_rows_are_inserted_and_recorded() {
    let database = Database::new().await;
    let mut conn = database.audited(under_task("task-a")).await;
    conn.audited_insert(samples::table, vec![named("a"), named("b")])
        .execute()
        .await
        .unwrap();
    let marked = diesel::dsl::sql::<Text>("CONCAT(name, '-copy')");
    let copies = samples::table
        .select((marked, samples::mass))
        .insert_into(samples::table)
        .into_columns((samples::name, samples::mass));
    let rows: Vec<(i64, String)> = conn
        .audited_insert_select(copies)
        .returning((samples::id, samples::name))
        .get_results()
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    for (id, name) in rows {
        assert!(name.ends_with("-copy"), "{name}");
        let entries = history_of(&mut conn, id).await;
        assert_eq!(kinds(&entries), "+");
        assert_eq!(entries[0].task.as_ref().unwrap().task.task_id, "task-a");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_come_back_typed() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let row = (
        samples::name.eq("liver \"12\""),
        samples::mass.eq(3.5),
        samples::active.eq(false),
        samples::scan.eq(vec![0u8, 255, 1]),
        samples::metadata.eq(serde_json::json!({"stain": ["HE", 1, null]})),
    );
    conn.audited_insert(samples::table, row)
        .execute()
        .await
        .unwrap();
    let created = &history_of(&mut conn, 1).await[0].changes;
    let json = |field: &str| {
        let change = created.iter().find(|change| change.field == field);
        let value = change.and_then(|change| change.new.as_ref()).unwrap();
        value.json().clone()
    };
    assert_eq!(json("id"), 1);
    assert_eq!(json("name"), "liver \"12\"");
    assert_eq!(json("mass"), 3.5);
    assert_eq!(json("active"), false);
    assert_eq!(json("scan"), "AP8B");
    assert_eq!(
        json("metadata"),
        serde_json::json!({"stain": ["HE", 1, null]})
    );
    assert!(
        created.iter().all(|change| change.field != "note"),
        "null on both sides is no change"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare_connections_take_an_explicit_attribution() {
    let database = Database::new().await;
    let mut bare = database.connect().await;
    let job = koherent_core::Attribution::system("nightly-import").with("batch", 7);
    audited_insert(samples::table, &named("liver"))
        .by(&job)
        .execute(&mut bare)
        .await
        .unwrap();
    audited_update(
        samples::table.find(1),
        samples::note.eq(None::<String>.into_sql::<Nullable<Text>>()),
    )
    .by(&koherent_core::Attribution::anonymous())
    .record_unchanged()
    .execute(&mut bare)
    .await
    .unwrap();
    let entries = koherent_diesel::entries_of(samples::table, 1)
        .limit(2)
        .load(&mut bare)
        .await
        .unwrap();
    assert_eq!(entries[0].context, None);
    let context = serde_json::json!({"system": "nightly-import", "batch": 7});
    assert_eq!(entries[1].context, Some(context));
    assert_eq!(entries[1].kind, ChangeKind::Create);
}
