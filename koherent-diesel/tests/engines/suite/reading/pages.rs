//! Pages of changes one by one, and how many there are.

use koherent_core::TaskId;
use koherent_diesel::{
    Audited as _, ChangeColumn, ChangeCursor, HistoryFilter, HistoryOrder, HistoryQuery,
    ResourceChange, ResourceChangeQuery, TaskQuery, entries_of_each, feed, resource_changes, tasks,
};

use super::World;
use crate::tables::*;

const COLUMNS: [ChangeColumn; 4] = [
    ChangeColumn::Date,
    ChangeColumn::User,
    ChangeColumn::Field,
    ChangeColumn::Key,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_changes_by_cursor_are_the_whole_in_its_order() {
    let mut random = fastrand::Rng::with_seed(12);
    let mut world = World::grown(40, &mut random).await;
    // One statement for many rows: one moment for many entries, on the engines that read the time once.
    let rows: Vec<_> = (0..12).map(|n| named(&format!("many {n}"))).collect();
    let conn = world.reader();
    conn.audited_insert(samples::table, &rows)
        .execute()
        .await
        .unwrap();
    type MakeQuery = fn() -> ResourceChangeQuery;
    let all: MakeQuery = || resource_changes(samples::table);
    let some: MakeQuery = || {
        let filter = HistoryFilter::new()
            .field("note")
            .field("mass")
            .field("name");
        resource_changes(samples::table).filter(filter.user("ann").user("agent-7"))
    };
    for (query, column) in [all, some]
        .into_iter()
        .flat_map(|query| COLUMNS.map(|column| (query, column)))
    {
        for order in [HistoryOrder::NewestFirst, HistoryOrder::OldestFirst] {
            let whole = query().sort(column, order).load(conn).await.unwrap();
            assert!(whole.len() > 10, "{column:?}");
            assert_eq!(query().count(conn).await.unwrap(), whole.len() as u64);
            for limit in [1, 3, 50] {
                let mut pages: Vec<ResourceChange> = Vec::new();
                loop {
                    let mut page = query().sort(column, order).limit(limit);
                    if let Some(last) = pages.last() {
                        let cursor = ChangeCursor::of(last, column).to_string();
                        page = page.after(cursor.parse().unwrap());
                    }
                    let page = page.load(conn).await.unwrap();
                    let is_last = page.len() < limit as usize;
                    pages.extend(page);
                    if is_last {
                        break;
                    }
                }
                assert_eq!(pages, whole, "{column:?} {order:?} by {limit}");
            }
            let at = random.usize(..whole.len());
            let after = ChangeCursor::of(&whole[at], column);
            let rest = query()
                .sort(column, order)
                .after(after.clone())
                .offset(2)
                .load(conn)
                .await;
            assert_eq!(
                rest.unwrap(),
                whole[(at + 3).min(whole.len())..],
                "{column:?} {order:?}"
            );

            // Where the field of the cursor is not among those that are asked for, the others go on.
            let names = || query().filter(HistoryFilter::new().field("name"));
            let rest = names()
                .sort(column, order)
                .after(after)
                .load(conn)
                .await
                .unwrap();
            let is_name = |change: &&ResourceChange| change.change.field == "name";
            let expected: Vec<_> = whole[at + 1..].iter().filter(is_name).collect();
            let is_in = |change: &&ResourceChange| {
                names_of(expected.iter().copied()).contains(&(change.entry.id, change.change.field))
            };
            assert_eq!(
                rest.iter().filter(is_in).count(),
                rest.len(),
                "{column:?} {order:?}"
            );
            assert_eq!(rest.len(), expected.len(), "{column:?} {order:?}");
        }
    }
}

fn names_of<'c>(changes: impl Iterator<Item = &'c ResourceChange>) -> Vec<(i64, &'static str)> {
    changes
        .map(|change| (change.entry.id, change.change.field))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_of_other_lists_of_changes_are_refused() {
    let mut world = World::new().await;
    let conn = world.reader();
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap();
    let changes = resource_changes(samples::table).load(conn).await.unwrap();
    for made in COLUMNS {
        let cursor = ChangeCursor::of(&changes[0], made);
        for sorted in COLUMNS {
            let query = resource_changes(samples::table).sort(sorted, HistoryOrder::NewestFirst);
            let page = query.after(cursor.clone()).load(conn).await;
            match page {
                Ok(_) => assert_eq!(made, sorted),
                Err(error) => {
                    assert_ne!(made, sorted);
                    assert_eq!(error.reason(), "CURSOR_INVALID");
                }
            }
        }
        let query = resource_changes(measurements::table).sort(made, HistoryOrder::NewestFirst);
        let error = query.after(cursor).load(conn).await.unwrap_err();
        assert_eq!(error.reason(), "CURSOR_INVALID");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_those_of_the_lists() {
    let mut random = fastrand::Rng::with_seed(13);
    let mut world = World::grown(60, &mut random).await;
    let conn = world.reader();
    let both = [samples::table::tracked(), measurements::table::tracked()];
    let filter = || HistoryFilter::new().organization("bio");
    let all = feed(both).filter(filter()).load(conn).await.unwrap().len();
    let count = feed(both)
        .filter(filter())
        .limit(1)
        .offset(3)
        .count(conn)
        .await
        .unwrap();
    assert_eq!((count, all > 3), (all as u64, true));

    let lengths = |each: Vec<Vec<_>>| {
        each.iter()
            .map(|one: &Vec<_>| one.len() as u64)
            .collect::<Vec<u64>>()
    };
    let each = || entries_of_each(samples::table, [3, 1, 99, 2, 1]).filter(filter());
    let expected = lengths(each().load_each(conn).await.unwrap());
    assert_eq!(each().count_each(conn).await.unwrap(), expected);
    let nothing = entries_of_each(samples::table, Vec::<i64>::new());
    assert!(nothing.count_each(conn).await.unwrap().is_empty());

    let ids = ["task-a", "none", "task-b", "task-d"].map(TaskId::from);
    let each = || HistoryQuery::of_tasks(both, &ids);
    let expected = lengths(each().load_each(conn).await.unwrap());
    assert_eq!(each().count_each(conn).await.unwrap(), expected);

    let all = tasks().load(conn).await.unwrap().len() as u64;
    assert_eq!(tasks().limit(1).count(conn).await.unwrap(), all);
    let each = || TaskQuery::children_of(&ids);
    let expected = each().load_each(conn).await.unwrap();
    let expected: Vec<_> = expected.iter().map(|tasks| tasks.len() as u64).collect();
    assert_eq!(each().count_each(conn).await.unwrap(), expected);
    assert!(expected.iter().sum::<u64>() > 0);
}
