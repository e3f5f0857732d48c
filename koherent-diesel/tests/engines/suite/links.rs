//! Join tables: what was put together and taken apart, seen from both ends.

use diesel::ExpressionMethods as _;
use diesel_async::SimpleAsyncConnection as _;
use koherent_diesel::{Audited, HistoryFilter, LinkKind, feed, links_of, links_of_each};

use super::engine::{Backend, Database};
use crate::tables::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_recorded_with_both_ends() {
    let database = Database::new().await;
    let mut conn = database.audited(under_task("task-a")).await;
    conn.batch_execute(
        "CREATE TABLE sample_tags (sample_id BIGINT NOT NULL, tag_id BIGINT NOT NULL, weight INT, PRIMARY KEY (sample_id, tag_id))",
    )
    .await
    .unwrap();
    let ddl = sample_tags::table::history_ddl::<Backend>();
    conn.batch_execute(&ddl).await.unwrap();
    let rows: Vec<_> = [(1, 7), (1, 8), (2, 7)]
        .map(|(sample, tag)| {
            (
                sample_tags::sample_id.eq(sample),
                sample_tags::tag_id.eq(tag),
            )
        })
        .into();
    conn.audited_insert(sample_tags::table, rows)
        .execute()
        .await
        .unwrap();
    use diesel::QueryDsl as _;
    conn.audited_update(sample_tags::table.find((1, 8)), sample_tags::weight.eq(3))
        .execute()
        .await
        .unwrap();
    conn.audited_delete(sample_tags::table.find((1, 7)))
        .reason("mistaken")
        .execute()
        .await
        .unwrap();

    let of_sample = links_of(sample_tags::table, samples::table, 1)
        .load(&mut conn)
        .await
        .unwrap();
    let said: Vec<_> = of_sample
        .iter()
        .map(|link| {
            let [sample, tag] = &link.ends;
            assert_eq!((sample.table, tag.table), ("samples", "tags"));
            assert_eq!(sample.key.as_ref().unwrap().text(), "1");
            (link.kind, tag.key.as_ref().unwrap().text())
        })
        .collect();
    let expected = [
        (LinkKind::Disassociate, "7".to_owned()),
        (LinkKind::Update, "8".to_owned()),
        (LinkKind::Associate, "8".to_owned()),
        (LinkKind::Associate, "7".to_owned()),
    ];
    assert_eq!(said, expected);
    assert_eq!(of_sample[0].entry.reason.as_deref(), Some("mistaken"));
    assert_eq!(
        of_sample[0].entry.task.as_ref().unwrap().task.task_id,
        "task-a"
    );
    // Filters know them: those of one row, with the entries of the row itself, and what happened to them.
    let both = || feed([samples::table::tracked(), sample_tags::table::tracked()]);
    let row = || HistoryFilter::new().row(samples::table::tracked(), 1);
    for (filter, count) in [
        (row(), 4),
        (row().link(LinkKind::Associate), 2),
        (
            HistoryFilter::new()
                .link(LinkKind::Associate)
                .link(LinkKind::Disassociate),
            4,
        ),
        (HistoryFilter::new().row(tags::table::tracked(), 8), 2),
        (!row(), 1),
        (HistoryFilter::new().row(samples::table::tracked(), 9), 0),
    ] {
        let found = both()
            .filter(filter.clone())
            .count(&mut conn)
            .await
            .unwrap();
        assert_eq!(found, count, "{filter:?}");
    }
    let each = || links_of_each(sample_tags::table, samples::table, [2, 1, 3]);
    assert_eq!(each().count_each(&mut conn).await.unwrap(), [1, 4, 0]);
    // An update is compared with the entry of its own link, not with its neighbour's.
    let changes = &of_sample[1].entry.changes;
    assert_eq!((changes.len(), changes[0].field), (1, "weight"));

    // A filter may look at other tables.
    use diesel::dsl::{exists, not};
    conn.audited_insert(
        samples::table,
        vec![named("one"), named("two"), named("three")],
    )
    .execute()
    .await
    .unwrap();
    let tagged = sample_tags::table.filter(sample_tags::sample_id.eq(samples::id));
    let touched = conn
        .audited_update(
            samples::table.filter(exists(tagged)),
            samples::note.eq("tagged"),
        )
        .execute()
        .await;
    assert_eq!(touched.unwrap(), 2);
    let tagged = sample_tags::table.filter(sample_tags::sample_id.eq(samples::id));
    let gone = conn
        .audited_delete(samples::table.filter(not(exists(tagged))))
        .returning(samples::name)
        .get_results::<String>()
        .await;
    assert_eq!(gone.unwrap(), ["three"]);

    let of_tag = links_of(sample_tags::table, tags::table, 7)
        .limit(2)
        .load(&mut conn)
        .await
        .unwrap();
    let kinds: Vec<_> = of_tag.iter().map(|link| link.kind).collect();
    assert_eq!(kinds, [LinkKind::Disassociate, LinkKind::Associate]);
}
