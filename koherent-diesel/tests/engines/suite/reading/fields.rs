//! Fields: where their values come from, and their changes one by one.

use std::collections::BTreeMap;

use koherent_core::{Activity, ChangeKind, FieldValue, HistoryEntry};
use koherent_diesel::{
    Audited as _, BlameQuery, ChangeColumn, HistoryFilter, HistoryOrder, HistoryScope, blame,
    resource_changes,
};

use super::{World, id_of};
use crate::tables::*;

/// For each row, what each field holds and which entry set it, worked out from the first entry to the last.
fn replayed(
    entries: &[HistoryEntry],
) -> BTreeMap<i64, BTreeMap<&'static str, (Option<FieldValue>, i64)>> {
    let mut rows = BTreeMap::new();
    for entry in entries {
        let key = id_of(entry);
        match entry.kind {
            ChangeKind::Delete => {
                rows.remove(&key);
                continue;
            }
            ChangeKind::Create => {
                let fields = samples::table::tracked().columns().iter();
                let fields = fields.map(|column| (column.name(), (None, entry.id)));
                rows.insert(key, fields.collect::<BTreeMap<_, _>>());
            }
            ChangeKind::Update => {}
        }
        let row = rows.get_mut(&key).expect("a row that was created");
        for change in &entry.changes {
            row.insert(change.field, (change.new.clone(), entry.id));
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blame_is_what_a_replay_says() {
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(100 + seed);
        let mut world = World::grown(60, &mut random).await;
        let everything = world.everything().await;
        let expected = replayed(&everything);
        assert!(expected.len() > 2, "seed {seed}");
        let last = everything.iter().map(id_of).max().unwrap();
        for key in 1..=last + 1 {
            let blamed = blame(samples::table, key)
                .load(world.reader())
                .await
                .unwrap();
            let found: BTreeMap<_, _> = blamed
                .iter()
                .map(|field| {
                    (
                        field.field,
                        (field.value.clone(), field.entry.as_ref().unwrap().id),
                    )
                })
                .collect();
            assert_eq!(
                found,
                expected.get(&key).cloned().unwrap_or_default(),
                "seed {seed}: {key}"
            );
            for field in &blamed {
                let entry = field.entry.as_ref().unwrap();
                assert!(everything.contains(entry), "seed {seed}: {key}");
            }
            // Somebody who may see the entries of one organization alone sees no others.
            let query = BlameQuery::of_row(samples::table::tracked(), key.into());
            let scoped = query
                .within(&HistoryScope::organization("geo"))
                .load(world.reader())
                .await
                .unwrap();
            let seen: Vec<_> = blamed
                .into_iter()
                .filter(|field| {
                    let organization = field.entry.as_ref().unwrap().organization.as_ref();
                    organization.is_some_and(|organization| *organization == "geo")
                })
                .collect();
            assert_eq!(scoped, seen, "seed {seed}: {key}");
        }
    }
}

/// A history that begins in the middle does not say who set what was there before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blame_of_what_is_older_than_the_history_is_nobodys() {
    use diesel::{ExpressionMethods as _, QueryDsl as _};
    let database = super::Database::unguarded().await;
    let mut conn = database.audited(ann()).await;
    let bare = conn.into_inner();
    let mut bare = bare;
    diesel_async::RunQueryDsl::execute(
        diesel::insert_into(samples::table).values(&named("liver")),
        &mut bare,
    )
    .await
    .unwrap();
    conn = koherent_diesel::AuditedConnection::new(bare, ann());
    assert!(
        blame(samples::table, 1)
            .load(&mut conn)
            .await
            .unwrap()
            .is_empty()
    );
    for note in ["stained", "stained again"] {
        let update = conn.audited_update(samples::table.find(1), samples::note.eq(note));
        update.execute().await.unwrap();
    }
    let blamed = blame(samples::table, 1).load(&mut conn).await.unwrap();
    let said: Vec<_> = blamed
        .iter()
        .filter(|field| ["name", "note"].contains(&field.field))
        .map(|field| {
            (
                field.field,
                field.value.as_ref().unwrap().text(),
                field.entry.is_some(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("name", "liver".to_owned(), false),
            ("note", "stained again".to_owned(), true)
        ]
    );
}

/// The changes of all entries, one by one.
fn flat(entries: &[HistoryEntry]) -> Vec<(i64, &'static str)> {
    let changes = entries.iter();
    changes
        .flat_map(|entry| entry.changes.iter().map(|change| (entry.id, change.field)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_sorted_filtered_and_cut_one_by_one() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut world = World::grown(50, &mut random).await;
    let everything = world.everything().await;
    let of: BTreeMap<i64, &HistoryEntry> =
        everything.iter().map(|entry| (entry.id, entry)).collect();
    let conn = world.reader();
    for column in [
        ChangeColumn::Date,
        ChangeColumn::User,
        ChangeColumn::Field,
        ChangeColumn::Key,
    ] {
        for order in [HistoryOrder::OldestFirst, HistoryOrder::NewestFirst] {
            let load = resource_changes(samples::table).sort(column, order);
            let found = load.clone().load(conn).await.unwrap();
            let mut all: Vec<_> = found
                .iter()
                .map(|found| (found.entry.id, found.change.field))
                .collect();
            let place = |(id, field): (i64, &'static str)| {
                let entry = of[&id];
                let sorted = match column {
                    ChangeColumn::Field => (field.to_owned(), 0),
                    ChangeColumn::Key => (String::new(), id_of(entry)),
                    _ => (String::new(), 0),
                };
                (
                    sorted,
                    if column == ChangeColumn::User {
                        0
                    } else {
                        entry.id
                    },
                )
            };
            let mut places: Vec<_> = all.iter().copied().map(place).collect();
            if order == HistoryOrder::NewestFirst {
                places.reverse();
            }
            assert!(places.is_sorted(), "{column:?} {order:?}");
            if column == ChangeColumn::User {
                let mut users: Vec<_> = all.iter().map(|(id, _)| &of[id].user).collect();
                let changes = users.len();
                users.dedup();
                let distinct: std::collections::HashSet<_> = users.iter().collect();
                // Where upper case counts, each stands together; MariaDB's collation of names does so too.
                assert_eq!(users.len(), distinct.len(), "{changes} changes");
            }
            // Pages of changes, not of entries.
            let page = load.offset(3).limit(4).load(conn).await.unwrap();
            let page: Vec<_> = page
                .iter()
                .map(|found| (found.entry.id, found.change.field))
                .collect();
            assert_eq!(page, all[3..7], "{column:?} {order:?}");
            let mut expected = flat(&everything);
            all.sort_unstable();
            expected.sort_unstable();
            assert_eq!(all, expected, "{column:?} {order:?}");
        }
    }
    let filter = HistoryFilter::new()
        .field("note")
        .field("mass")
        .key(1)
        .key(2)
        .user("ann")
        .user("agent-7");
    let found = resource_changes(samples::table)
        .filter(filter)
        .load(conn)
        .await
        .unwrap();
    let mut found: Vec<_> = found
        .iter()
        .map(|found| (found.entry.id, found.change.field))
        .collect();
    let mut expected: Vec<_> = flat(&everything);
    expected.retain(|(id, field)| {
        let user = of[id].user.as_ref().map(koherent_core::Subject::as_str);
        ["note", "mass"].contains(field)
            && id_of(of[id]) < 3
            && matches!(user, Some("ann" | "agent-7"))
    });
    found.sort_unstable();
    expected.sort_unstable();
    assert!(!expected.is_empty());
    assert_eq!(found, expected);
    let nothing = HistoryFilter::new().field("storage_code");
    let error = resource_changes(samples::table)
        .filter(nothing)
        .load(conn)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "FIELD_UNKNOWN");

    // The same as activities: what came, what went, what changed.
    for entry in &everything {
        let activity = Activity::from(entry);
        let fields = activity.added_fields.len()
            + activity.removed_fields.len()
            + activity.changed_fields.len();
        assert_eq!(fields, entry.changes.len());
        assert_eq!(activity.object.1, entry.key);
    }
}
