//! Filters joined by "and", "or" and "not": on entries, on rows, within scopes.

use std::collections::BTreeSet;

use diesel::QueryDsl as _;
use koherent_core::{ChangeKind, FieldValue, HistoryEntry};
use koherent_diesel::{
    Audited as _, HistoryFilter, HistoryOrder, HistoryScope, LinkKind, RowFilter, changed, deleted,
    history,
};

use super::filters::{Says, matches, random_filter};
use super::{World, id_of};
use crate::effort::effort;
use crate::tables::*;

/// How many random filters are tried.
fn rounds() -> u32 {
    effort(60, 2_000)
}

/// A filter and what it means, worked out in memory.
#[derive(Debug, Clone)]
enum Tree {
    Leaf(Vec<Says>, Box<HistoryFilter>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
    Not(Box<Tree>),
}

impl Tree {
    fn random(random: &mut fastrand::Rng, entries: &[HistoryEntry], depth: u32) -> Self {
        let branch = if depth == 0 { 0 } else { random.u32(..5) };
        let mut inner = || Box::new(Self::random(random, entries, depth - 1));
        match branch {
            1 => Self::And(inner(), inner()),
            2 => Self::Or(inner(), inner()),
            3 => Self::Not(inner()),
            _ => loop {
                let (says, filter) = random_filter(random, entries);
                // Scopes are no conditions: they are tried by themselves.
                if !says.iter().any(|says| matches!(says, Says::Within(_))) {
                    break Self::Leaf(says, Box::new(filter));
                }
            },
        }
    }

    fn filter(&self) -> HistoryFilter {
        match self {
            Self::Leaf(_, filter) => HistoryFilter::clone(filter),
            Self::And(one, other) => one.filter().and(other.filter()),
            Self::Or(one, other) => one.filter().or(other.filter()),
            Self::Not(one) => !one.filter(),
        }
    }

    fn rows(&self) -> RowFilter {
        match self {
            Self::Leaf(_, filter) => HistoryFilter::clone(filter).into(),
            Self::And(one, other) => one.rows().and(other.rows()),
            Self::Or(one, other) => one.rows().or(other.rows()),
            Self::Not(one) => !one.rows(),
        }
    }

    fn matches(&self, entry: &HistoryEntry) -> bool {
        match self {
            Self::Leaf(says, _) => matches(says, entry),
            Self::And(one, other) => one.matches(entry) && other.matches(entry),
            Self::Or(one, other) => one.matches(entry) || other.matches(entry),
            Self::Not(one) => !one.matches(entry),
        }
    }

    /// Whether a row with these entries is meant: as one of its entries makes it, or none.
    fn matches_row(&self, entries: &[&HistoryEntry]) -> bool {
        let some = entries
            .iter()
            .any(|entry| self.matches_entry(Some(entry), entries));
        some || self.matches_entry(None, entries)
    }

    fn matches_entry(&self, entry: Option<&HistoryEntry>, entries: &[&HistoryEntry]) -> bool {
        match self {
            Self::Leaf(says, _) => entry.is_some_and(|entry| matches(says, entry)),
            Self::And(one, other) => {
                one.matches_entry(entry, entries) && other.matches_entry(entry, entries)
            }
            Self::Or(one, other) => {
                one.matches_entry(entry, entries) || other.matches_entry(entry, entries)
            }
            Self::Not(one) => !one.holds_of_row(entries),
        }
    }

    /// Within a negation, each leaf by an entry of its own.
    fn holds_of_row(&self, entries: &[&HistoryEntry]) -> bool {
        match self {
            Self::Leaf(says, _) => entries.iter().any(|entry| matches(says, entry)),
            Self::And(one, other) => one.holds_of_row(entries) && other.holds_of_row(entries),
            Self::Or(one, other) => one.holds_of_row(entries) || other.holds_of_row(entries),
            Self::Not(one) => !one.holds_of_row(entries),
        }
    }
}

fn scope(organization: &str) -> HistoryScope {
    HistoryScope::organization(organization)
}

fn is_of(entry: &HistoryEntry, organization: &str) -> bool {
    let own = entry.organization.as_ref();
    own.is_some_and(|own| *own == organization)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_joined_by_and_or_and_not_find_what_matches_and_nothing_else() {
    let mut random = fastrand::Rng::with_seed(61);
    let mut world = World::grown(60, &mut random).await;
    let everything = world.everything().await;
    let (mut some, mut not_all) = (0, 0);
    for _ in 0..rounds() {
        let tree = Tree::random(&mut random, &everything, 3);
        let expected: Vec<_> = everything
            .iter()
            .filter(|entry| tree.matches(entry))
            .collect();
        some += u32::from(!expected.is_empty());
        not_all += u32::from(expected.len() < everything.len());
        let query = || history(samples::table).order(HistoryOrder::OldestFirst);
        let found = query()
            .filter(tree.filter())
            .load(world.reader())
            .await
            .unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{tree:?}");
        let count = query()
            .filter(tree.filter())
            .count(world.reader())
            .await
            .unwrap();
        assert_eq!(count, found.len() as u64, "{tree:?}");

        // A scope holds whatever is said, and wherever it was said: beside the filter, on it, or on one of its parts.
        let own: Vec<_> = expected
            .into_iter()
            .filter(|entry| is_of(entry, "bio"))
            .collect();
        let beside = HistoryFilter::new().within(&scope("bio"));
        let queries = [
            query().filter(tree.filter()).filter(beside.clone()),
            query().filter(tree.filter().within(&scope("bio"))),
            query().filter(beside.clone().and(tree.filter())),
            query().filter(!(!tree.filter().within(&scope("bio")))),
            query().filter(tree.filter().within(&scope("bio")).or(tree.filter())),
        ];
        for query in queries {
            let found = query.load(world.reader()).await.unwrap();
            assert_eq!(found.iter().collect::<Vec<_>>(), own, "{tree:?}");
        }
    }
    assert!(
        some > rounds() / 3 && not_all > rounds() / 3,
        "{some} {not_all}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_found_as_their_entries_say_joined_and_negated() {
    use diesel_async::RunQueryDsl as _;
    let mut random = fastrand::Rng::with_seed(62);
    let mut world = World::grown(60, &mut random).await;
    let everything = world.everything().await;
    let ids: BTreeSet<i64> = everything.iter().map(id_of).collect();
    for _ in 0..rounds() {
        let tree = Tree::random(&mut random, &everything, 3);
        for limit in [None, Some("bio")] {
            let rows = match limit {
                None => tree.rows(),
                Some(own) => tree.rows().within(&scope(own)),
            };
            let is_meant = |id: &&i64| {
                let entries = everything.iter().filter(|entry| id_of(entry) == **id);
                let seen = entries.filter(|entry| limit.is_none_or(|own| is_of(entry, own)));
                tree.matches_row(&seen.collect::<Vec<_>>())
            };
            let expected: BTreeSet<i64> = ids.iter().filter(is_meant).copied().collect();
            let query = samples::table
                .filter(changed(samples::table, rows))
                .select(samples::id);
            let conn = world.reader();
            let here: Vec<i64> = query.clone().load(conn).await.unwrap();
            let gone: Vec<i64> = deleted(query).load(conn).await.unwrap();
            let found: BTreeSet<i64> = here.into_iter().chain(gone).collect();
            assert_eq!(found, expected, "{limit:?} {tree:?}");
        }
    }
}

/// What nobody said is not what somebody said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unknown_of_an_entry_matches_a_negation() {
    let mut world = World::new().await;
    let conn = world.reader();
    conn.audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap();
    for filter in [
        !HistoryFilter::new().task("task-a"),
        !HistoryFilter::new().reason("none"),
        !HistoryFilter::new().impersonator("root"),
        !HistoryFilter::new().issuer("rekuest").user("ann"),
        !HistoryFilter::new().root_task("task-a"),
        !HistoryFilter::new().value_after("note", FieldValue::from_json("x".into())),
    ] {
        let found = history(samples::table)
            .filter(filter.clone())
            .load(conn)
            .await
            .unwrap();
        assert_eq!(found.len(), 1, "{filter:?}");
        let found = history(samples::table)
            .filter(!filter)
            .load(conn)
            .await
            .unwrap();
        assert!(found.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_changes_are_found_on_either_side() {
    let mut random = fastrand::Rng::with_seed(63);
    let mut world = World::grown(60, &mut random).await;
    let conn = world.reader();
    let odd = NewSample {
        name: "Name 1".to_owned(),
        note: Some("it's noted ".to_owned()),
        mass: Some(1.5),
    };
    conn.audited_insert(samples::table, &odd)
        .execute()
        .await
        .unwrap();
    let everything = world.everything().await;
    let mut values: BTreeSet<(&str, String)> = BTreeSet::new();
    for change in everything.iter().flat_map(|entry| &entry.changes) {
        for value in [&change.old, &change.new].into_iter().flatten() {
            values.insert((change.field, value.json().to_string()));
        }
    }
    for field in ["name", "note", "mass", "active", "scan", "metadata"] {
        values.insert((field, "null".to_owned()));
        values.insert((field, "\"none\"".to_owned()));
    }
    values.insert(("name", "\"NAME 1\"".to_owned()));
    values.insert(("note", "\"it's noted\"".to_owned()));
    let conn = world.reader();
    for (field, json) in values {
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let value = FieldValue::from_json(json.clone());
        let is = |side: &Option<FieldValue>| match side {
            None => json.is_null(),
            Some(side) => *side.json() == json,
        };
        let before = HistoryFilter::new().value_before(field, value.clone());
        let after = HistoryFilter::new().value_after(field, value.clone());
        for (filter, is_after) in [(before, false), (after, true)] {
            let expected = everything.iter().filter(|entry| {
                entry.changes.iter().any(|change| {
                    change.field == field && is(if is_after { &change.new } else { &change.old })
                })
            });
            let query = history(samples::table).order(HistoryOrder::OldestFirst);
            let found = query.filter(filter).load(conn).await.unwrap();
            let expected: Vec<_> = expected.cloned().collect();
            assert_eq!(found, expected, "{field} {json} {is_after}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_found_by_id_label_and_impersonator() {
    let database = super::Database::new().await;
    let mut as_ann = database.audited(ann().with_impersonator("o'root")).await;
    as_ann
        .audited_insert(samples::table, named("liver"))
        .execute()
        .await
        .unwrap();
    let mut conn = database.audited(ann()).await;
    conn.audited_insert(samples::table, named("heart"))
        .execute()
        .await
        .unwrap();
    let conn = &mut conn;
    let all = history(samples::table).load(conn).await.unwrap();
    for (filter, ids) in [
        (HistoryFilter::new().impersonator("o'root"), vec![all[1].id]),
        (HistoryFilter::new().impersonator("O'root"), vec![]),
        (HistoryFilter::new().impersonator("o'root\0"), vec![]),
        (
            !HistoryFilter::new().impersonator("o'root"),
            vec![all[0].id],
        ),
        (HistoryFilter::new().entry(all[0].id), vec![all[0].id]),
        (
            HistoryFilter::new().label("samples").entry(all[1].id),
            vec![all[1].id],
        ),
        (HistoryFilter::new().label("Sample"), vec![]),
        (
            !HistoryFilter::new().label("Sample"),
            vec![all[0].id, all[1].id],
        ),
        (HistoryFilter::new().link(LinkKind::Associate), vec![]),
        (
            !HistoryFilter::new().link(LinkKind::Associate),
            vec![all[0].id, all[1].id],
        ),
        (
            HistoryFilter::new()
                .kind(ChangeKind::Create)
                .row(samples::table::tracked(), all[0].key.clone()),
            vec![all[0].id],
        ),
        (
            HistoryFilter::new().row(tags::table::tracked(), all[0].key.clone()),
            vec![],
        ),
    ] {
        let found = history(samples::table)
            .filter(filter.clone())
            .load(conn)
            .await
            .unwrap();
        let found: Vec<_> = found.iter().map(|entry| entry.id).collect();
        assert_eq!(found, ids, "{filter:?}");
    }
}
