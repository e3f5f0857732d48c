//! Rows as they were.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl;
use koherent_diesel::{AuditedConnection, as_of, deleted};

use super::super::super::engine::Conn;
use super::World;
use crate::tables::*;

type Row = (i64, String, Option<String>, Option<f64>, bool);
const ROW: (
    samples::id,
    samples::name,
    samples::note,
    samples::mass,
    samples::active,
) = (
    samples::id,
    samples::name,
    samples::note,
    samples::mass,
    samples::active,
);

/// The database at one moment: all samples, those that are noted, and what was measured of which.
#[derive(Debug, PartialEq)]
struct Picture {
    all: Vec<Row>,
    noted: Vec<i64>,
    measured: Vec<(i64, String, f64)>,
}

/// Takes the picture, with each query asked in some way.
macro_rules! picture {
    ($conn:expr, |$query:ident| $asked:expr) => {{
        let $query = samples::table.select(ROW).order(samples::id);
        let all = $asked.load($conn).await.unwrap();
        let noted = samples::table.filter(samples::note.is_not_null());
        let $query = noted.select(samples::id).order(samples::id);
        let noted = $asked.load($conn).await.unwrap();
        let measured = measurements::table.inner_join(samples::table);
        let $query = measured.order(measurements::id).select((
            measurements::id,
            samples::name,
            measurements::value,
        ));
        let measured = $asked.load($conn).await.unwrap();
        Picture {
            all,
            noted,
            measured,
        }
    }};
}

async fn picture(conn: &mut AuditedConnection<Conn>) -> Picture {
    picture!(conn, |query| query)
}

async fn picture_of(conn: &mut AuditedConnection<Conn>, date: DateTime<Utc>) -> Picture {
    picture!(conn, |query| as_of(query, date))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_is_what_a_snapshot_taken_then_shows() {
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = World::new().await;
        let mut pictures = Vec::new();
        for _ in 0..40 {
            world.change(&mut random).await;
            // The time is that of the newest entry: the next change has a later one.
            let both = koherent_diesel::feed([
                <samples::table as koherent_diesel::Audited>::tracked(),
                <measurements::table as koherent_diesel::Audited>::tracked(),
            ]);
            let newest = both.limit(1).load(world.reader()).await.unwrap();
            let Some(newest) = newest.into_iter().next() else {
                continue;
            };
            pictures.push((newest.date, picture(world.reader()).await));
        }
        for (date, expected) in &pictures {
            assert_eq!(
                &picture_of(world.reader(), *date).await,
                expected,
                "seed {seed}: {date}"
            );
        }
        let before = world.everything().await[0].date - chrono::TimeDelta::microseconds(1);
        assert_eq!(picture_of(world.reader(), before).await.all, []);
        // Rows that are gone, as they were last.
        let gone: Vec<Row> = deleted(samples::table.select(ROW))
            .load(world.reader())
            .await
            .unwrap();
        for row in gone {
            let mut rows = pictures.iter().rev().flat_map(|(_, picture)| &picture.all);
            assert_eq!(
                rows.find(|known| known.0 == row.0),
                Some(&row),
                "seed {seed}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_past_is_refused() {
    let mut world = World::new().await;
    let conn = world.reader();
    let now = now();
    let error = as_of(samples::table, now)
        .load::<Sample>(conn)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the history of `samples` does not keep `storage_code`: select the columns that it keeps"
    );
    let error = as_of(plain::table.select(plain::name), now)
        .load::<String>(conn)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`plain` is not audited, so nobody knows its past: leave it out of the query, or declare it with `audited!`"
    );
    let error = as_of(plain::table.count(), now)
        .get_result::<i64>(conn)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("`plain` is not audited"),
        "{error}"
    );
    let counted: i64 = as_of(samples::table.count(), now)
        .get_result(conn)
        .await
        .unwrap();
    assert_eq!(counted, 0);
    // An alias is another name for a table that is looked for itself.
    let other = diesel::alias!(samples as other);
    let query = other.select(other.field(samples::name));
    assert_eq!(
        as_of(query, now).load::<String>(conn).await.unwrap(),
        Vec::<String>::new()
    );
}
