//! Filters, orders, pages, cursors, groups and feeds.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, QueryDsl as _};
use koherent_core::{ChangeKind, HistoryEntry, RowKey};
use koherent_diesel::{
    Audited as _, Cursor, HistoryFilter, HistoryOrder, HistoryQuery, HistoryScope, TaskCursor,
    TaskFilter, changed, deleted, entries_of, entries_of_each, feed, history, links_of, tasks,
};
use uuid::Uuid;

use super::super::super::engine::SCOPED_FILTERS;
use super::{World, id_of};
use crate::effort::effort;
use crate::tables::*;

/// One thing that a filter says.
#[derive(Debug, Clone)]
pub(super) enum Says {
    Task(&'static str),
    Tree(&'static str),
    Root(&'static str),
    AgentClient(&'static str),
    Issuer(&'static str),
    User(&'static str),
    Client(&'static str),
    Organization(&'static str),
    Kind(ChangeKind),
    Since(DateTime<Utc>),
    Before(DateTime<Utc>),
    Field(&'static str),
    Key(i64),
    NoKey,
    Transaction(Uuid),
    Reason(&'static str),
    Within(&'static str),
}

impl Says {
    fn random(random: &mut fastrand::Rng, entries: &[HistoryEntry]) -> Self {
        let some = &entries[random.usize(..entries.len())];
        let what = random.u32(..17);
        let kind = random.usize(..3);
        let mut one = |of: &[&'static str]| of[random.usize(..of.len())];
        let tasks = [
            "task-a",
            "task-b",
            "task-c",
            "task-d",
            "task-x",
            "silent",
            "silent-root",
            "task-A",
            "no'ne",
        ];
        let organizations = ["bio", "geo", "Bio", "geo ", "none"];
        match what {
            0 => Self::Task(one(&tasks)),
            1 => Self::Tree(one(&tasks)),
            2 => Self::Root(one(&tasks)),
            3 => Self::AgentClient(one(&["robot", "Robot"])),
            4 => Self::Issuer(one(&["rekuest", "other", "none"])),
            5 => Self::User(one(&["ann", "Ann", "agent-7", "ann ", "a\"b"])),
            6 => Self::Client(one(&["lab-ui", "robot", "LAB-UI"])),
            7 => Self::Organization(one(&organizations)),
            8 => Self::Kind([ChangeKind::Create, ChangeKind::Update, ChangeKind::Delete][kind]),
            9 => Self::Since(some.date),
            10 => Self::Before(some.date),
            11 => Self::Field(one(&["name", "note", "mass", "scan"])),
            12 => Self::Key(id_of(some)),
            13 => Self::NoKey,
            14 => Self::Transaction(some.transaction),
            15 => Self::Reason(one(&["histology", "Histology", "it's a \"test\""])),
            _ => Self::Within(one(&organizations)),
        }
    }

    fn put(&self, filter: HistoryFilter) -> HistoryFilter {
        match *self {
            Self::Task(task) => filter.task(task),
            Self::Tree(task) => filter.task_tree(task),
            Self::Root(task) => filter.root_task(task),
            Self::AgentClient(client) => filter.agent_client(client),
            Self::Issuer(issuer) => filter.issuer(issuer),
            Self::User(user) => filter.user(user),
            Self::Client(client) => filter.client(client),
            Self::Organization(organization) => filter.organization(organization),
            Self::Kind(kind) => filter.kind(kind),
            Self::Since(date) => filter.since(date),
            Self::Before(date) => filter.before(date),
            Self::Field(field) => filter.field(field),
            Self::Key(key) => filter.key(key),
            Self::NoKey => filter.key("no number"),
            Self::Transaction(transaction) => filter.transaction(transaction),
            Self::Reason(reason) => filter.reason(reason),
            Self::Within(organization) => filter.within(&HistoryScope::organization(organization)),
        }
    }

    /// What makes two of them alternatives; `None` where each must hold.
    fn about(&self) -> Option<u32> {
        Some(match self {
            Self::Task(_) => 0,
            Self::Tree(_) => 1,
            Self::Root(_) => 2,
            Self::AgentClient(_) => 3,
            Self::Issuer(_) => 4,
            Self::User(_) => 5,
            Self::Client(_) => 6,
            Self::Organization(_) => 7,
            Self::Kind(_) => 8,
            Self::Field(_) => 9,
            Self::Key(_) | Self::NoKey => 10,
            Self::Transaction(_) => 11,
            Self::Reason(_) => 12,
            Self::Since(_) | Self::Before(_) | Self::Within(_) => return None,
        })
    }

    fn matches(&self, entry: &HistoryEntry) -> bool {
        let task = entry.task.as_ref().map(|task| &task.task);
        match *self {
            Self::Task(id) => task.is_some_and(|task| task.task_id == id),
            // The whole of the tree is known here.
            Self::Tree(id) => task.is_some_and(|task| match id {
                "task-a" => ["task-a", "task-b", "task-c"].contains(&task.task_id.as_str()),
                "task-b" => ["task-b", "task-c"].contains(&task.task_id.as_str()),
                "silent" | "silent-root" => task.task_id == "task-x",
                id => task.task_id == id,
            }),
            Self::Root(id) => task.is_some_and(|task| task.root_task_id == id),
            Self::AgentClient(id) => task.is_some_and(|task| task.agent_client_id == id),
            Self::Issuer(id) => task.is_some_and(|task| task.issuer == id),
            Self::User(id) => entry.user.as_ref().is_some_and(|user| *user == id),
            Self::Client(id) => entry.client.as_ref().is_some_and(|client| *client == id),
            Self::Organization(id) | Self::Within(id) => entry
                .organization
                .as_ref()
                .is_some_and(|organization| *organization == id),
            Self::Kind(kind) => entry.kind == kind,
            Self::Since(date) => entry.date >= date,
            Self::Before(date) => entry.date < date,
            Self::Field(field) => entry.changes.iter().any(|change| change.field == field),
            Self::Key(key) => id_of(entry) == key,
            Self::NoKey => false,
            Self::Transaction(transaction) => entry.transaction == transaction,
            Self::Reason(reason) => entry.reason.as_deref() == Some(reason),
        }
    }
}

/// Whether an entry matches all that is said, with alternatives for what is said twice.
pub(super) fn matches(says: &[Says], entry: &HistoryEntry) -> bool {
    says.iter().all(|one| match one.about() {
        None => one.matches(entry),
        about => says
            .iter()
            .any(|other| other.about() == about && other.matches(entry)),
    })
}

pub(super) fn random_filter(
    random: &mut fastrand::Rng,
    entries: &[HistoryEntry],
) -> (Vec<Says>, HistoryFilter) {
    let says: Vec<_> = (0..random.u32(1..4))
        .map(|_| Says::random(random, entries))
        .collect();
    let filter = says
        .iter()
        .fold(HistoryFilter::new(), |filter, says| says.put(filter));
    (says, filter)
}

fn ids(entries: &[HistoryEntry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_find_what_matches_and_nothing_else() {
    let mut random = fastrand::Rng::with_seed(6);
    let mut world = World::grown(70, &mut random).await;
    let everything = world.everything().await;
    let live: Vec<i64> = {
        use diesel_async::RunQueryDsl as _;
        samples::table
            .select(samples::id)
            .load(world.reader())
            .await
            .unwrap()
    };
    let mut found_some = 0;
    for _ in 0..250 {
        let (says, filter) = random_filter(&mut random, &everything);
        let expected: Vec<_> = everything
            .iter()
            .filter(|entry| matches(&says, entry))
            .cloned()
            .collect();
        found_some += usize::from(!expected.is_empty());
        let conn = world.reader();
        let query = history(samples::table)
            .filter(filter.clone())
            .order(HistoryOrder::OldestFirst);
        let found = query.load(conn).await.unwrap();
        assert_eq!(found, expected, "{says:?}");

        // The rows that have such an entry: those that are there, and those that are gone.
        use diesel_async::RunQueryDsl as _;
        let keys: BTreeSet<i64> = expected.iter().map(id_of).collect();
        let query = samples::table
            .filter(changed(samples::table, filter))
            .select(samples::id);
        let here: BTreeSet<i64> = query
            .clone()
            .load(conn)
            .await
            .unwrap()
            .into_iter()
            .collect();
        let gone: BTreeSet<i64> = deleted(query)
            .load(conn)
            .await
            .unwrap()
            .into_iter()
            .collect();
        assert_eq!(
            here.union(&gone).copied().collect::<BTreeSet<_>>(),
            keys,
            "{says:?}"
        );
        assert!(here.iter().all(|id| live.contains(id)), "{says:?}");
        assert!(!gone.iter().any(|id| live.contains(id)), "{says:?}");
    }
    assert!(found_some > 80, "{found_some} filters found something");
}

/// Two filters, and a scope beside them, must all hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_filters_are_all_meant() {
    let mut random = fastrand::Rng::with_seed(60);
    let mut world = World::grown(40, &mut random).await;
    let everything = world.everything().await;
    for _ in 0..30 {
        let (one_says, one) = random_filter(&mut random, &everything);
        let (other_says, other) = random_filter(&mut random, &everything);
        let query = history(samples::table).filter(one).filter(other);
        let found = query
            .order(HistoryOrder::OldestFirst)
            .load(world.reader())
            .await
            .unwrap();
        let both = |entry: &&HistoryEntry| matches(&one_says, entry) && matches(&other_says, entry);
        let expected: Vec<_> = everything.iter().filter(both).cloned().collect();
        assert_eq!(ids(&found), ids(&expected), "{one_says:?} {other_says:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_the_whole_in_its_order() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut world = World::grown(60, &mut random).await;
    // One statement for many rows: one moment for many entries, on the engines that read the time once.
    let rows: Vec<_> = (0..30).map(|n| named(&format!("many {n}"))).collect();
    let conn = world.reader();
    conn.audited_insert(samples::table, &rows)
        .execute()
        .await
        .unwrap();
    let both = || feed([samples::table::tracked(), measurements::table::tracked()]);
    type Asked = Box<dyn Fn() -> HistoryQuery>;
    let queries: [(&str, Asked); 5] = [
        ("table", Box::new(|| history(samples::table))),
        ("feed", Box::new(both)),
        ("row", Box::new(|| entries_of(samples::table, 1))),
        (
            "task",
            Box::new(move || both().filter(HistoryFilter::new().task_tree("task-a"))),
        ),
        (
            "filtered",
            Box::new(|| {
                history(samples::table)
                    .filter(HistoryFilter::new().organization("bio").field("name"))
            }),
        ),
    ];
    for (name, query) in queries {
        for order in [HistoryOrder::NewestFirst, HistoryOrder::OldestFirst] {
            let whole = query().order(order).load(conn).await.unwrap();
            let mut places: Vec<_> = whole
                .iter()
                .map(|entry| (entry.date, entry.table, entry.id))
                .collect();
            if order == HistoryOrder::NewestFirst {
                places.reverse();
            }
            assert!(places.is_sorted(), "{name}: {places:?}");
            assert!(whole.len() > 2, "{name} has {}", whole.len());
            for limit in [1, 2, 7, 50] {
                let mut pages: Vec<HistoryEntry> = Vec::new();
                loop {
                    let mut page = query().order(order).limit(limit);
                    if let Some(last) = pages.last() {
                        page = page.after(Cursor::of(last).to_string().parse().unwrap());
                    }
                    let page = page.load(conn).await.unwrap();
                    let is_last = page.len() < limit as usize;
                    pages.extend(page);
                    if is_last {
                        break;
                    }
                }
                assert_eq!(pages, whole, "{name} by {limit}");
                let offset = random.u32(..4);
                let page = query()
                    .order(order)
                    .offset(offset)
                    .limit(limit)
                    .load(conn)
                    .await
                    .unwrap();
                let expected = whole.iter().skip(offset as usize).take(limit as usize);
                assert_eq!(
                    page,
                    expected.cloned().collect::<Vec<_>>(),
                    "{name} from {offset} by {limit}"
                );
                let rest = query()
                    .order(order)
                    .offset(offset)
                    .load(conn)
                    .await
                    .unwrap();
                assert_eq!(rest, whole[offset as usize..], "{name} from {offset}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_pages_of_their_own() {
    let mut random = fastrand::Rng::with_seed(8);
    let mut world = World::grown(60, &mut random).await;
    let conn = world.reader();
    let keys = [3, 1, 99, 2, 1];
    for limit in [1, 3, 100] {
        let each = entries_of_each(samples::table, keys)
            .limit(limit)
            .load_each(conn)
            .await
            .unwrap();
        assert_eq!(each.len(), keys.len());
        for (key, group) in keys.iter().zip(each) {
            let alone = entries_of(samples::table, *key)
                .limit(limit)
                .load(conn)
                .await
                .unwrap();
            assert_eq!(group, alone, "{key} by {limit}");
        }
    }
    let nothing = entries_of_each(samples::table, Vec::<i64>::new());
    assert!(nothing.load_each(conn).await.unwrap().is_empty());
    // Keys as an API takes them.
    for (key, is_there) in [
        ("1", true),
        ("x", false),
        ("", false),
        ("1.5", false),
        ("99999999999999999999", false),
    ] {
        let query =
            HistoryQuery::of_rows(samples::table::tracked(), vec![RowKey::from_texts([key])]);
        assert_eq!(
            !query.load(conn).await.unwrap().is_empty(),
            is_there,
            "{key}"
        );
    }
    let two = HistoryQuery::of_rows(
        samples::table::tracked(),
        vec![RowKey::from_texts(["1", "2"])],
    );
    assert!(two.load(conn).await.unwrap().is_empty());

    let both = [samples::table::tracked(), measurements::table::tracked()];
    let ids = ["task-a", "task-b", "none"].map(koherent_core::TaskId::from);
    for limit in [2, 100] {
        let each = HistoryQuery::of_tasks(both, &ids)
            .limit(limit)
            .load_each(conn)
            .await
            .unwrap();
        for (task, group) in ids.iter().zip(each) {
            let filter = HistoryFilter::new().task(task.clone());
            let alone = feed(both)
                .filter(filter)
                .limit(limit)
                .load(conn)
                .await
                .unwrap();
            assert_eq!(group, alone, "{task:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_fields_are_refused() {
    let mut world = World::new().await;
    let conn = world.reader();
    let filter = HistoryFilter::new().field("storage_code");
    let error = history(samples::table)
        .filter(filter.clone())
        .load(conn)
        .await
        .unwrap_err();
    assert_eq!(
        (error.reason(), error.to_string().as_str()),
        (
            "FIELD_UNKNOWN",
            "no audited column of these tables is called `storage_code`"
        )
    );
    use diesel_async::RunQueryDsl as _;
    let query = samples::table
        .filter(changed(samples::table, filter))
        .select(samples::id);
    let error = query.load::<i64>(conn).await.unwrap_err();
    assert!(error.to_string().contains("`storage_code`"), "{error}");
    // A field that one of several tables has is a question to that one.
    let both = [samples::table::tracked(), measurements::table::tracked()];
    let filter = HistoryFilter::new().field("value");
    assert!(
        feed(both)
            .filter(filter)
            .load(conn)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_are_listed_with_their_trees() {
    let mut random = fastrand::Rng::with_seed(9);
    let mut world = World::grown(60, &mut random).await;
    let conn = world.reader();
    let ids = |tasks: Vec<koherent_core::TaskRecord>| -> BTreeSet<String> {
        tasks
            .iter()
            .map(|task| task.task.task_id.to_string())
            .collect()
    };
    let set = |ids: &[&str]| {
        ids.iter()
            .map(|id| (*id).to_owned())
            .collect::<BTreeSet<_>>()
    };
    let all = tasks().load(conn).await.unwrap();
    assert!(all.is_sorted_by(|a, b| a.created_at >= b.created_at));
    assert_eq!(
        ids(all.clone()),
        set(&["task-a", "task-A", "task-b", "task-c", "task-d", "task-x"])
    );
    let page = tasks().offset(1).limit(2).load(conn).await.unwrap();
    assert_eq!(page, all[1..3]);
    let oldest = tasks()
        .order(HistoryOrder::OldestFirst)
        .limit(1)
        .load(conn)
        .await
        .unwrap();
    assert_eq!(oldest, all[5..]);
    let first = all[2].created_at;
    for (filter, expected) in [
        (TaskFilter::new().id("task-a"), set(&["task-a"])),
        (
            TaskFilter::new().id("task-a").id("task-d"),
            set(&["task-a", "task-d"]),
        ),
        (TaskFilter::new().parent("task-a"), set(&["task-b"])),
        (
            TaskFilter::new().root("task-a"),
            set(&["task-a", "task-b", "task-c"]),
        ),
        (TaskFilter::new().tree("task-b"), set(&["task-b", "task-c"])),
        (TaskFilter::new().tree("silent"), set(&["task-x"])),
        (TaskFilter::new().issuer("other"), set(&["task-d"])),
        (
            TaskFilter::new().organization("geo"),
            set(&["task-d", "task-x"]),
        ),
        (
            TaskFilter::new()
                .root("task-a")
                .within(&HistoryScope::organization("geo")),
            set(&[]),
        ),
        (
            TaskFilter::new().agent("agent-7").agent_client("nobody"),
            set(&[]),
        ),
        (TaskFilter::new().since(first).before(first), set(&[])),
        (TaskFilter::new().since(first), ids(all[..3].to_vec())),
        (TaskFilter::new().before(first), ids(all[3..].to_vec())),
    ] {
        let found = tasks().filter(filter.clone()).load(conn).await.unwrap();
        assert_eq!(ids(found), expected, "{filter:?}");
    }
    for order in [HistoryOrder::NewestFirst, HistoryOrder::OldestFirst] {
        let (mut walked, mut after) = (Vec::new(), None);
        loop {
            let mut page = tasks().order(order).limit(2);
            if let Some(cursor) = after {
                page = page.after(cursor);
            }
            let page = page.load(conn).await.unwrap();
            after = page.last().map(TaskCursor::of);
            // As clients give it back.
            after = after.map(|cursor| cursor.to_string().parse().unwrap());
            walked.extend(page);
            if after.is_none() {
                break;
            }
        }
        if order == HistoryOrder::OldestFirst {
            walked.reverse();
        }
        assert_eq!(walked, all);
    }
    let parents = ["task-a", "none", "task-b"].map(koherent_core::TaskId::from);
    let behind = TaskCursor::of(
        all.iter()
            .find(|task| task.task.task_id.as_str() == "task-b")
            .unwrap(),
    );
    let each = koherent_diesel::TaskQuery::children_of(&parents);
    let each = each.after(behind).load_each(conn).await.unwrap();
    assert!(each[0].is_empty());
    let each = koherent_diesel::TaskQuery::children_of(&parents)
        .limit(5)
        .load_each(conn)
        .await
        .unwrap();
    let each: Vec<_> = each.into_iter().map(ids).collect();
    assert_eq!(each, [set(&["task-b"]), set(&[]), set(&["task-c"])]);
}

/// The last entry of a page of links is compared with the one before it, wherever that stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_paged_like_everything_else() {
    use diesel_async::SimpleAsyncConnection as _;
    let mut world = World::new().await;
    let conn = world.reader();
    conn.batch_execute(
        "CREATE TABLE sample_tags (sample_id BIGINT NOT NULL, tag_id BIGINT NOT NULL, weight INT, PRIMARY KEY (sample_id, tag_id))",
    )
    .await
    .unwrap();
    conn.batch_execute(&sample_tags::table::history_ddl::<super::Backend>())
        .await
        .unwrap();
    let link = |tag: i64| (sample_tags::sample_id.eq(1), sample_tags::tag_id.eq(tag));
    for tag in [7, 8] {
        conn.audited_insert(sample_tags::table, link(tag))
            .execute()
            .await
            .unwrap();
    }
    for (tag, weight) in [(7, 1), (8, 1), (7, 2), (8, 2)] {
        let find = sample_tags::table.find((1, tag));
        conn.audited_update(find, sample_tags::weight.eq(weight))
            .execute()
            .await
            .unwrap();
    }
    let mut seen = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let mut page = links_of(sample_tags::table, samples::table, 1).limit(1);
        if let Some(cursor) = after.take() {
            page = page.after(cursor);
        }
        let page = page.load(conn).await.unwrap();
        let Some(link) = page.into_iter().next() else {
            break;
        };
        let fields: Vec<_> = link
            .entry
            .changes
            .iter()
            .map(|change| change.field)
            .collect();
        seen.push((link.ends[1].key.as_ref().unwrap().text(), fields.join(" ")));
        after = Some(Cursor::of(&link.entry));
    }
    let seen: Vec<_> = seen
        .iter()
        .map(|(tag, fields)| (tag.as_str(), fields.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("8", "weight"),
            ("7", "weight"),
            ("8", "weight"),
            ("7", "weight"),
            ("8", "sample_id tag_id"),
            ("7", "sample_id tag_id"),
        ]
    );
    let created = HistoryFilter::new().kind(ChangeKind::Create);
    let links = links_of(sample_tags::table, samples::table, 1)
        .filter(created)
        .load(conn)
        .await
        .unwrap();
    assert_eq!(links.len(), 2);
}

/// Whatever somebody of one organization asks, the answer is what it would be if there were no other: the same rows on the same
/// pages, the same tasks, behind any place, the same refusals.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scoped_readers_see_nothing_of_others() {
    let mut random = fastrand::Rng::with_seed(13);
    let mut world = World::grown(60, &mut random).await;
    let everything = world.everything().await;
    let mut newest_first = everything.clone();
    newest_first.reverse();
    let is_own = |entry: &&HistoryEntry| {
        let own = entry.organization.as_ref();
        own.is_some_and(|organization| *organization == "bio")
    };
    let others = everything.iter().filter(|entry| !is_own(entry)).count();
    assert!(others > 10, "{others}");
    let scope = HistoryFilter::new().within(&HistoryScope::organization("bio"));
    let conn = world.reader();
    let mut found_some = 0;
    let filters = effort(SCOPED_FILTERS / 10, SCOPED_FILTERS);
    for asked in 0..filters {
        let (says, filter) = random_filter(&mut random, &everything);
        let mut query = history(samples::table)
            .filter(filter.clone())
            .filter(scope.clone());
        let mut expected: Vec<_> = newest_first
            .iter()
            .filter(is_own)
            .filter(|entry| matches(&says, entry))
            .collect();
        if random.bool() {
            // Any place, also that of an entry that is not theirs.
            let place = &everything[random.usize(..everything.len())];
            query = query.after(Cursor::of(place));
            expected.retain(|entry| (entry.date, entry.id) < (place.date, place.id));
        }
        let limit = random.u32(1..6);
        if random.bool() {
            query = query.limit(limit);
            expected.truncate(limit as usize);
        }
        let found = query.load(conn).await.unwrap();
        assert!(found.iter().collect::<Vec<_>>() == expected, "{says:?}");
        found_some += usize::from(!found.is_empty());
        if asked % 50 == 0 {
            use diesel_async::RunQueryDsl as _;
            let own = filter.within(&HistoryScope::organization("bio"));
            let query = samples::table
                .filter(changed(samples::table, own))
                .select(samples::id);
            let here: BTreeSet<i64> = query.load(conn).await.unwrap().into_iter().collect();
            let mut matching = newest_first
                .iter()
                .filter(is_own)
                .filter(|entry| matches(&says, entry));
            assert!(
                here.iter()
                    .all(|id| matching.clone().any(|entry| id_of(entry) == *id)),
                "{says:?}"
            );
            assert!(matching.next().is_some() || here.is_empty(), "{says:?}");
        }
    }
    assert!(found_some > filters / 20, "{found_some}");
    let own = TaskFilter::new().within(&HistoryScope::organization("bio"));
    let own = tasks().filter(own).load(conn).await.unwrap();
    assert!(own.iter().all(|task| {
        task.organization
            .as_ref()
            .is_some_and(|organization| *organization == "bio")
    }));
    assert!(!own.is_empty());
}
