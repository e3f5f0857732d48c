//! What clients may ask for, however odd: an answer or an error that says what to do, never a failure of the database.

use chrono::{DateTime, Utc};
use diesel::QueryDsl as _;
use koherent_core::RowKey;
use koherent_diesel::{
    Audited as _, Cursor, HistoryFilter, HistoryQuery, TaskFilter, TaskQuery, changed, entries_of,
    history, tasks,
};

use super::World;
use crate::tables::*;

/// More rows and tasks than one statement of SQLite takes, each with a page of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_may_be_many() {
    let mut random = fastrand::Rng::with_seed(21);
    let mut world = World::grown(40, &mut random).await;
    let all = world.everything().await;
    let conn = world.reader();
    let keys: Vec<RowKey> = (0..1_300).map(|n| RowKey::from(n % 650)).collect();
    let query = HistoryQuery::of_rows(samples::table::tracked(), keys.clone());
    let each = query.load_each(conn).await.unwrap();
    assert_eq!(each.len(), keys.len());
    for (key, group) in keys.iter().zip(&each) {
        let of_row = all.iter().filter(|entry| entry.key == *key);
        assert_eq!(group.len(), of_row.count(), "{key}");
    }
    // As one list they are in one order; and branches with many values are fewer to a statement.
    let users = (0..150).fold(HistoryFilter::new().user("ann"), |filter, n| {
        filter.user(format!("nobody-{n}"))
    });
    let of_ann = HistoryQuery::of_rows(samples::table::tracked(), keys[..650].to_vec());
    let of_ann = of_ann.filter(users).load(conn).await.unwrap();
    let mut expected: Vec<_> = all
        .iter()
        .filter(|entry| {
            entry
                .user
                .as_ref()
                .is_some_and(|user| user.as_str() == "ann")
        })
        .collect();
    expected.sort_by_key(|entry| std::cmp::Reverse(entry.id));
    assert!(!expected.is_empty());
    assert_eq!(of_ann.iter().collect::<Vec<_>>(), expected);
    let parents: Vec<_> = (0..900)
        .map(|n| koherent_core::TaskId::from(if n == 850 { "task-a" } else { "none" }))
        .collect();
    let each = TaskQuery::children_of(&parents)
        .load_each(conn)
        .await
        .unwrap();
    let expected = tasks().filter(TaskFilter::new().parent("task-a"));
    let expected = expected.load(conn).await.unwrap();
    assert!(!expected.is_empty());
    assert_eq!(each[850], expected);
    assert!(each[849].is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alternatives_may_be_many() {
    let mut random = fastrand::Rng::with_seed(22);
    let mut world = World::grown(30, &mut random).await;
    let conn = world.reader();
    let with_ann = (0..4_000).fold(HistoryFilter::new(), |filter, n| {
        filter.user(if n == 1_717 {
            "ann".to_owned()
        } else {
            format!("nobody-{n}")
        })
    });
    let found = history(samples::table).filter(with_ann).load(conn).await;
    let expected = history(samples::table).filter(HistoryFilter::new().user("ann"));
    let expected = expected.load(conn).await.unwrap();
    assert!(!expected.is_empty());
    assert_eq!(found.unwrap(), expected);
    let keys = (1..3_000).fold(HistoryFilter::new(), |filter, n| filter.key(n));
    let found = history(samples::table).filter(keys).load(conn).await;
    assert_eq!(
        found.unwrap(),
        history(samples::table).load(conn).await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_texts_dates_and_numbers_match_nothing() {
    let mut random = fastrand::Rng::with_seed(23);
    let mut world = World::grown(20, &mut random).await;
    let all = world.everything().await.len();
    let conn = world.reader();
    for odd in [
        "\0",
        "ann\0",
        "'",
        "\\",
        "\u{10FFFF}",
        "%",
        &"x".repeat(70_000),
    ] {
        let filters = [
            HistoryFilter::new().task(odd),
            HistoryFilter::new().task_tree(odd),
            HistoryFilter::new().root_task(odd),
            HistoryFilter::new().agent_client(odd),
            HistoryFilter::new().issuer(odd),
            HistoryFilter::new().user(odd),
            HistoryFilter::new().client(odd),
            HistoryFilter::new().organization(odd),
            HistoryFilter::new().reason(odd),
            HistoryFilter::new().key(odd),
        ];
        for filter in filters {
            let found = history(samples::table).filter(filter.clone());
            let found = found.load(conn).await;
            assert!(found.unwrap().is_empty(), "{filter:?}");
            use diesel_async::RunQueryDsl as _;
            let rows = samples::table.filter(changed(samples::table, filter));
            let rows: Vec<i64> = rows.select(samples::id).load(conn).await.unwrap();
            assert!(rows.is_empty());
        }
        let tasks = tasks().filter(TaskFilter::new().id(odd).agent(odd).caller(odd));
        assert!(tasks.load(conn).await.unwrap().is_empty());
    }
    let far = [
        (DateTime::<Utc>::MIN_UTC, all, 0),
        (DateTime::<Utc>::MAX_UTC, 0, all),
        ("0001-01-01T00:00:00Z".parse().unwrap(), all, 0),
        ("9999-12-31T23:59:59Z".parse().unwrap(), 0, all),
    ];
    for (date, since, before) in far {
        let of = |filter| history(samples::table).filter(filter);
        let found = of(HistoryFilter::new().since(date)).load(conn).await;
        assert_eq!(found.unwrap().len(), since, "{date:?}");
        let found = of(HistoryFilter::new().before(date)).load(conn).await;
        assert_eq!(found.unwrap().len(), before, "{date:?}");
    }
    for key in [
        u64::MAX.into(),
        RowKey::from(i64::MIN),
        RowKey::from_text("18446744073709551615"),
        RowKey::from_text("-170141183460469231731687303715884105728"),
        RowKey::from_text("1e0"),
        RowKey::from_text(" 1"),
        RowKey::from_text("1; DROP TABLE samples"),
        RowKey::from_text("[[1]]"),
        RowKey::from_text("[null]"),
        RowKey::from_text("[]"),
        RowKey::from_text("null"),
    ] {
        let of_row = HistoryQuery::of_rows(samples::table::tracked(), vec![key.clone()]);
        assert!(of_row.load(conn).await.unwrap().is_empty(), "{key}");
        let filter = HistoryFilter::new().key(key.clone());
        let found = history(samples::table).filter(filter).load(conn).await;
        assert!(found.unwrap().is_empty(), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_are_of_the_table_that_is_asked() {
    let mut random = fastrand::Rng::with_seed(24);
    let mut world = World::grown(60, &mut random).await;
    let conn = world.reader();
    let measured = history(measurements::table).limit(1).load(conn).await;
    let cursor = Cursor::of(&measured.unwrap()[0]);
    let query = entries_of(samples::table, 1).after(cursor.clone());
    let error = query.load(conn).await.unwrap_err();
    assert_eq!(error.reason(), "CURSOR_INVALID");
    assert_eq!(
        error.to_string(),
        "the cursor is of an entry of `measurements`, and the rows are not: give one that came with these entries"
    );
    // In a feed, places are those of all tables.
    let query = history(samples::table).after(cursor);
    query.load(conn).await.unwrap();
    // Written by nobody here: 262142-12-31 and the year 1.
    for far in [
        "ODIxMDI2NjkwNzIwMDAwMDAwMC4xLnM",
        "LTYyMTM1NTk2ODAwMDAwMDAwLjEucw",
    ] {
        far.parse::<Cursor>().unwrap_err();
    }
}
