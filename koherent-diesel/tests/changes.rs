//! Inserts, updates and deletes, one row and many, and what their history says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Double, Nullable};
use diesel::sqlite::Sqlite;
use koherent_core::{Attribution, ChangeKind};
use koherent_diesel::{Error, OptionalExtension as _, audited_insert, audited_update, entries_of};
use support::*;

#[test]
fn create_rename_and_delete_leave_three_entries() {
    let database = Database::new();
    let mut conn = database.audited(ann());

    let liver: Sample = conn
        .audited_insert(samples::table, named("liver"))
        .get_result()
        .unwrap();
    assert_eq!((liver.id, liver.storage_code.as_str()), (1, "secret"));
    let heart: Sample = conn
        .audited_update(&liver, samples::name.eq("heart"))
        .reason("mislabelled")
        .get_result()
        .unwrap();
    assert_eq!(heart.name, "heart");
    assert_eq!(
        conn.audited_delete(samples::table.find(1))
            .execute()
            .unwrap(),
        1
    );

    let entries = history_of(&mut conn, 1);
    assert_eq!(kinds(&entries), "-~+");
    for entry in &entries {
        assert_eq!(entry.user.as_ref().unwrap(), "ann");
        assert_eq!(entry.client.as_ref().unwrap(), "lab-ui");
        assert_eq!(entry.organization.as_ref().unwrap(), "bio");
        assert_eq!(entry.task, None);
        assert_eq!(
            entry.context.as_ref().unwrap()["issuer"],
            "https://login.example"
        );
        assert_eq!(entry.transaction.get_version_num(), 7);
    }
    assert!(entries[0].date >= entries[1].date && entries[1].date >= entries[2].date);
    assert_ne!(entries[0].transaction, entries[1].transaction);
    assert_eq!(entries[1].reason.as_deref(), Some("mislabelled"));

    let [name] = &entries[1].changes[..] else {
        panic!("one change: {:?}", entries[1].changes)
    };
    assert_eq!(name.field, "name");
    assert_eq!(name.old.as_ref().unwrap().text(), "liver");
    assert_eq!(name.new.as_ref().unwrap().text(), "heart");
    let fields = |at: usize| -> Vec<_> { entries[at].changes.iter().map(|c| c.field).collect() };
    assert_eq!(fields(2), ["id", "name", "active"]);
    assert!(
        entries[0]
            .changes
            .iter()
            .all(|change| change.old.is_some() && change.new.is_none())
    );
}

#[test]
fn excluded_columns_are_not_in_history() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .unwrap();
    let touched = conn
        .audited_update(samples::table.find(1), samples::storage_code.eq("B7"))
        .execute();
    assert_eq!(touched.unwrap(), 1);
    assert_eq!(kinds(&history_of(&mut conn, 1)), "+");
    let kept = samples_history::table.select(samples_history::all_columns);
    let sql = diesel::debug_query::<Sqlite, _>(&kept).to_string();
    assert!(!sql.contains("storage_code"), "{sql}");
}

#[test]
fn update_that_changes_nothing_audited_leaves_no_entry() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    let rows = [named("liver"), named("heart")];
    conn.audited_insert(samples::table, &rows)
        .execute()
        .unwrap();

    let unchanged = conn
        .audited_update(samples::table.find(1), samples::name.eq("liver"))
        .execute();
    assert_eq!(
        unchanged.unwrap(),
        1,
        "the row was touched, as Diesel counts"
    );
    assert_eq!(kinds(&history_of(&mut conn, 1)), "+");

    // Of a set, only the rows that change get an entry.
    conn.audited_update(
        samples::table.filter(samples::id.le(2)),
        samples::note.eq(None::<String>),
    )
    .execute()
    .unwrap();
    let ids = diesel::dsl::sql::<Nullable<Double>>("CAST(id AS DOUBLE)");
    conn.audited_update(samples::table, samples::mass.eq(ids))
        .execute()
        .unwrap();
    conn.audited_update(samples::table, samples::mass.eq(1.0))
        .execute()
        .unwrap();
    assert_eq!(kinds(&history_of(&mut conn, 1)), "~+");
    assert_eq!(kinds(&history_of(&mut conn, 2)), "~~+");

    conn.audited_update(samples::table.find(1), samples::name.eq("liver"))
        .record_unchanged()
        .execute()
        .unwrap();
    let entries = history_of(&mut conn, 1);
    assert_eq!(kinds(&entries), "~~+");
    assert_eq!(entries[0].changes, []);
}

/// What the latest entry says may have been overtaken by a write around the audit: the row itself is compared.
#[test]
fn update_is_compared_with_the_row_not_with_its_latest_entry() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .unwrap();
    diesel::sql_query("UPDATE samples SET name = 'around'")
        .execute(&mut conn)
        .unwrap();
    conn.audited_update(samples::table.find(1), samples::name.eq("liver"))
        .execute()
        .unwrap();
    assert_eq!(kinds(&history_of(&mut conn, 1)), "~+");
}

#[test]
fn all_forms_of_targets_and_changes_are_taken() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    let vector = vec![named("a"), named("b")];
    assert_eq!(
        conn.audited_insert(samples::table, &vector)
            .execute()
            .unwrap(),
        2
    );
    assert_eq!(
        conn.audited_insert(samples::table, vector_of(["c", "d"]))
            .execute()
            .unwrap(),
        2
    );
    assert_eq!(
        conn.audited_insert(samples::table, &[named("e")][..])
            .execute()
            .unwrap(),
        1
    );
    let tuple = (samples::name.eq("f"), samples::mass.eq(1.5));
    assert_eq!(
        conn.audited_insert(samples::table, tuple)
            .execute()
            .unwrap(),
        1
    );
    let tuples = vec![samples::name.eq("g"), samples::name.eq("h")];
    let rows: Vec<Sample> = conn
        .audited_insert(samples::table, tuples)
        .get_results()
        .unwrap();
    assert_eq!(
        rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(),
        ["g", "h"]
    );

    let name = Some("A".to_owned());
    let changes = SampleChanges {
        name,
        ..SampleChanges::default()
    };
    let row: Sample = conn
        .audited_update(samples::table.find(1), &changes)
        .get_result()
        .unwrap();
    assert_eq!((row.name.as_str(), row.note.as_deref()), ("A", None));
    let boxed: Box<dyn BoxableExpression<samples::table, Sqlite, SqlType = Bool>> =
        Box::new(samples::name.eq("b"));
    let changed = conn
        .audited_update(
            samples::table.filter(boxed),
            (samples::note.eq("x"), samples::mass.eq(2.0)),
        )
        .execute();
    assert_eq!(changed.unwrap(), 1);
    let subquery = samples::table.filter(
        samples::id.eq_any(
            samples_history::table
                .select(samples_history::id)
                .filter(samples_history::history_kind.eq("~")),
        ),
    );
    assert_eq!(conn.audited_delete(subquery).execute().unwrap(), 2);
    let rest: Vec<Sample> = conn.audited_delete(samples::table).get_results().unwrap();
    assert_eq!(rest.len(), 6);
    assert_eq!(count(&mut conn, "samples"), 0);
    assert_eq!(count(&mut conn, "samples_history"), 8 + 2 + 8);
}

fn vector_of<const N: usize>(names: [&str; N]) -> Vec<NewSample> {
    names.map(named).into()
}

#[test]
fn no_rows_are_no_statement_and_no_entry() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    let nothing: Vec<NewSample> = Vec::new();
    assert_eq!(
        conn.audited_insert(samples::table, &nothing)
            .execute()
            .unwrap(),
        0
    );
    let none: Vec<Sample> = conn
        .audited_insert(samples::table, &nothing)
        .get_results()
        .unwrap();
    assert_eq!(none, []);
    assert_eq!(
        conn.audited_delete(samples::table.find(9))
            .execute()
            .unwrap(),
        0
    );
    let missing: Result<Sample, Error> = conn
        .audited_update(samples::table.find(9), samples::name.eq("x"))
        .get_result();
    assert_eq!(missing.optional().unwrap(), None);
    assert_eq!(count(&mut conn, "samples_history"), 0);
}

#[test]
fn empty_changeset_says_so() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    let error = conn
        .audited_update(samples::table.find(1), &SampleChanges::default())
        .execute();
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("there are no changes to save")
    );
}

/// More keys than one statement can bind.
#[test]
fn a_hundred_thousand_rows_are_recorded_one_by_one() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    let rows: Vec<_> = (0..100_000)
        .map(|n| named(&format!("sample {n}")))
        .collect();
    assert_eq!(
        conn.audited_insert(samples::table, &rows)
            .execute()
            .unwrap(),
        100_000
    );
    assert_eq!(
        conn.audited_update(samples::table, samples::mass.eq(1.0))
            .execute()
            .unwrap(),
        100_000
    );
    assert_eq!(
        conn.audited_delete(samples::table).execute().unwrap(),
        100_000
    );
    assert_eq!(count(&mut conn, "samples_history"), 300_000);
    let every_row = "(SELECT id FROM samples_history GROUP BY id HAVING group_concat(history_kind, '') = '+~-')";
    assert_eq!(count(&mut conn, every_row), 100_000);
    assert_eq!(
        count(
            &mut conn,
            "(SELECT DISTINCT history_transaction FROM samples_history)"
        ),
        3
    );
}

#[test]
fn composite_keys_and_quoted_names_work() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    let row = |room: &'static str, shelf, content: &'static str| {
        (
            places::room.eq(room),
            places::shelf.eq(shelf),
            places::content.eq(content),
        )
    };
    let rows = vec![
        row("cold", 1, "liver"),
        row("cold", 2, "heart"),
        row("warm", 1, "slides"),
    ];
    conn.audited_insert(places::table, rows).execute().unwrap();
    conn.audited_update(
        places::table.find(("cold", 2)),
        places::content.eq("nothing"),
    )
    .execute()
    .unwrap();
    conn.audited_update(places::table, places::content.eq("moved"))
        .execute()
        .unwrap();
    conn.audited_delete(places::table.filter(places::room.eq("cold")))
        .execute()
        .unwrap();

    let entries = entries_of(places::table, ("cold", 2))
        .load(&mut conn)
        .unwrap();
    assert_eq!(kinds(&entries), "-~~+");
    assert_eq!(entries[2].changes[0].field, "what's there");
    let other = entries_of(places::table, ("warm", 1))
        .load(&mut conn)
        .unwrap();
    assert_eq!(kinds(&other), "~+");
}

/// A key that a trigger changes behind an update's back would tear the row from its history.
#[test]
fn key_that_a_trigger_changes_is_refused_and_nothing_changes() {
    use diesel::connection::SimpleConnection as _;
    let database = Database::new();
    let mut conn = database.audited(ann());
    conn.audited_insert(samples::table, vector_of(["a", "b"]))
        .execute()
        .unwrap();
    conn.batch_execute(
        "CREATE TRIGGER moves BEFORE UPDATE OF note ON samples WHEN NEW.id = 1
         BEGIN UPDATE samples SET id = 20 WHERE id = 2; END;",
    )
    .unwrap();
    let in_order = samples::table.filter(samples::id.gt(0));
    let result = conn
        .audited_update(in_order, samples::note.eq("x"))
        .execute();
    // Either it is not noticed because the row was already past, or it is refused; never is an entry of a key without row.
    if let Err(error) = result {
        assert!(
            matches!(error, Error::KeyChanged { table: "samples" }),
            "{error}"
        );
        assert_eq!(count(&mut conn, "samples_history"), 2);
    }
}

/// What a trigger changes in a row that looks unchanged is a change as well.
#[test]
fn change_made_by_a_trigger_is_recorded() {
    use diesel::connection::SimpleConnection as _;
    let database = Database::new();
    let mut conn = database.audited(ann());
    conn.audited_insert(samples::table, vector_of(["a", "b"]))
        .execute()
        .unwrap();
    conn.batch_execute(
        "CREATE TRIGGER touched AFTER UPDATE OF storage_code ON samples WHEN NEW.id = 1
         BEGIN UPDATE samples SET note = 'moved' WHERE id = NEW.id; END;",
    )
    .unwrap();
    conn.audited_update(samples::table, samples::storage_code.eq("B7"))
        .execute()
        .unwrap();
    let entries = history_of(&mut conn, 1);
    assert_eq!(kinds(&entries), "~+");
    assert_eq!(entries[0].changes[0].new.as_ref().unwrap().text(), "moved");
    assert_eq!(kinds(&history_of(&mut conn, 2)), "+");
}

/// Rows that match only the second time the filter is looked at are recorded, not taken for changed keys.
#[test]
fn filter_that_depends_on_chance_loses_nothing() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    let rows: Vec<_> = (0..500).map(|n| named(&format!("sample {n}"))).collect();
    conn.audited_insert(samples::table, &rows)
        .execute()
        .unwrap();
    let chance = diesel::dsl::sql::<Bool>("random() % 2 = 0");
    match conn
        .audited_update(samples::table.filter(chance), samples::mass.eq(1.0))
        .execute()
    {
        Ok(touched) => {
            let entries = count(&mut conn, "samples_history WHERE history_kind = '~'");
            assert_eq!(usize::try_from(entries).unwrap(), touched);
        }
        Err(error) => {
            assert!(matches!(error, Error::KeyChanged { .. }), "{error}");
            assert_eq!(count(&mut conn, "samples WHERE mass IS NOT NULL"), 0);
        }
    }
}

/// The filter of a delete may look at the history that the delete itself writes.
#[test]
fn delete_removes_exactly_the_rows_it_recorded() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    conn.audited_insert(samples::table, vector_of(["a", "b", "c"]))
        .execute()
        .unwrap();
    let without_deletes = samples::table.filter(diesel::dsl::not(diesel::dsl::exists(
        samples_history::table.filter(samples_history::history_kind.eq("-")),
    )));
    assert_eq!(conn.audited_delete(without_deletes).execute().unwrap(), 3);
    assert_eq!(count(&mut conn, "samples"), 0);
    assert_eq!(
        count(&mut conn, "samples_history WHERE history_kind = '-'"),
        3
    );
}

#[test]
fn values_come_back_typed() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    let row = (
        samples::name.eq("liver \"12\""),
        samples::mass.eq(3.5),
        samples::active.eq(false),
        samples::scan.eq(vec![0u8, 255, 1]),
        samples::metadata.eq(serde_json::json!({"stain": ["HE", 1, null]})),
    );
    conn.audited_insert(samples::table, row).execute().unwrap();
    let created = &history_of(&mut conn, 1)[0].changes;
    let json = |field: &str| {
        let change = created.iter().find(|change| change.field == field);
        change
            .and_then(|change| change.new.as_ref())
            .map(|value| value.json().clone())
            .unwrap()
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

#[test]
fn a_page_of_entries_knows_what_was_before_it() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    conn.audited_insert(samples::table, named("0"))
        .execute()
        .unwrap();
    for n in 1..10 {
        conn.audited_update(samples::table.find(1), samples::name.eq(n.to_string()))
            .execute()
            .unwrap();
    }
    let page = entries_of(samples::table, 1)
        .limit(3)
        .load(&mut conn)
        .unwrap();
    assert_eq!(page.len(), 3);
    assert_eq!(page[2].changes[0].old.as_ref().unwrap().text(), "6");
    assert_eq!(page[2].changes[0].new.as_ref().unwrap().text(), "7");
}

#[test]
fn attributions_by_hand_are_told_apart() {
    let database = Database::new();
    let mut bare = database.connect();
    let job = Attribution::system("nightly-import")
        .with("batch", 7)
        .with_correlation_id("req-1");
    audited_insert(samples::table, &named("liver"))
        .by(&job)
        .execute(&mut bare)
        .unwrap();
    audited_update(samples::table.find(1), samples::name.eq("heart"))
        .by(&Attribution::anonymous())
        .execute(&mut bare)
        .unwrap();
    // On an audited connection, other attributions share its transaction.
    let mut conn = database.audited(ann());
    conn.transaction(|conn| {
        audited_insert(samples::table, named("lung"))
            .by(&job)
            .execute(conn)?;
        conn.audited_insert(samples::table, named("skin")).execute()
    })
    .unwrap();
    let [lung, skin] = [2, 3].map(|id| history_of(&mut conn, id).remove(0));
    assert_eq!((lung.transaction, lung.user), (skin.transaction, None));

    let entries = entries_of(samples::table, 1).load(&mut bare).unwrap();
    assert_eq!((&entries[0].user, &entries[0].context), (&None, &None));
    let context =
        serde_json::json!({"system": "nightly-import", "batch": 7, "correlation_id": "req-1"});
    assert_eq!(
        (&entries[1].user, &entries[1].context),
        (&None, &Some(context))
    );
    assert_eq!(entries[1].kind, ChangeKind::Create);
}

/// What is wanted of the rows that a statement touches, and nothing else.
#[test]
fn chosen_columns_are_returned_by_each_statement() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    let ids: Vec<i64> = conn
        .audited_insert(samples::table, vec![named("a"), named("b"), named("c")])
        .returning(samples::id)
        .get_results()
        .unwrap();
    assert_eq!(ids, [1, 2, 3]);

    // Those that do not change are touched as well; excluded columns can be asked for; expressions bind values.
    let some = samples::table.filter(samples::id.le(2));
    let mut rows: Vec<(String, String, i64)> = conn
        .audited_update(some, samples::name.eq("a"))
        .returning((samples::name, samples::storage_code, samples::id + 100))
        .reason("all alike")
        .get_results()
        .unwrap_or_default();
    assert!(rows.is_empty(), "names are unique: nothing was changed");
    rows = conn
        .audited_update(
            samples::table.filter(samples::id.le(2)),
            samples::mass.eq(2.5),
        )
        .returning((samples::name, samples::storage_code, samples::id + 100))
        .reason("weighed")
        .get_results()
        .unwrap();
    rows.sort();
    let expected = [("a", "secret", 101), ("b", "secret", 102)];
    assert_eq!(
        rows,
        expected.map(|(name, code, id)| (name.to_owned(), code.to_owned(), id))
    );
    let entries = history_of(&mut conn, 1);
    assert_eq!(kinds(&entries), "~+");
    assert_eq!(entries[0].reason.as_deref(), Some("weighed"));

    let unchanged: i64 = conn
        .audited_update(samples::table.find(1), samples::mass.eq(2.5))
        .returning(samples::id)
        .record_unchanged()
        .get_result()
        .unwrap();
    assert_eq!(
        (unchanged, kinds(&history_of(&mut conn, 1)).as_str()),
        (1, "~~+")
    );

    let gone: (i64, Option<f64>) = conn
        .audited_delete(samples::table.find(2))
        .returning((samples::id, samples::mass))
        .get_result()
        .unwrap();
    assert_eq!(gone, (2, Some(2.5)));
    let nobody = conn
        .audited_delete(samples::table.find(2))
        .returning(samples::id)
        .get_result::<i64>();
    assert_eq!(nobody.optional().unwrap(), None);
}

/// On a bare connection as well, and through `Selectable`.
#[test]
fn selectable_structs_are_returned() {
    #[derive(Debug, PartialEq, Queryable, Selectable)]
    #[diesel(table_name = samples)]
    struct Label {
        name: String,
        id: i64,
    }
    let database = Database::new();
    let mut bare = database.connect();
    let label: Label = audited_insert(samples::table, named("liver"))
        .by(&ann())
        .returning(Label::as_returning())
        .get_result(&mut bare)
        .unwrap();
    assert_eq!(
        label,
        Label {
            name: "liver".to_owned(),
            id: 1
        }
    );
    let renamed: Vec<Label> = audited_update(samples::table, samples::name.eq("heart"))
        .by(&ann())
        .returning(Label::as_returning())
        .get_results(&mut bare)
        .unwrap();
    assert_eq!(renamed[0].name, "heart");
}

/// A row that cannot be read as what was asked for rolls the change back, as with whole rows.
#[test]
fn returned_columns_that_cannot_be_read_undo_the_change() {
    let database = Database::new();
    let mut conn = database.audited(ann());
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .unwrap();
    let wrong = conn
        .audited_update(samples::table.find(1), samples::note.eq(None::<String>))
        .returning(samples::note.assume_not_null())
        .record_unchanged()
        .get_result::<String>();
    assert!(wrong.is_err());
    assert_eq!(kinds(&history_of(&mut conn, 1)), "+");
}
