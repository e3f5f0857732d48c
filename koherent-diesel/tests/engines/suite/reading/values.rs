//! Values of every kind that all engines have, written and read back through their history.

use base64::Engine as _;
use diesel::ExpressionMethods as _;
use koherent_core::FieldValue;
use koherent_diesel::entries_of;
use serde_json::{Value, json};

use super::Database;
use crate::tables::*;

fn text(random: &mut fastrand::Rng) -> String {
    const PIECES: [&str; 12] = [
        "a", "'", "\"", "\\", "\n", "\u{1}", "é", "漢", "🧪", "%_", "\u{2028}", "  ",
    ];
    (0..random.u32(..8))
        .map(|_| PIECES[random.usize(..PIECES.len())])
        .collect()
}

fn number(random: &mut fastrand::Rng) -> f64 {
    match random.u32(..5) {
        0 => 0.0,
        1 => f64::from(random.i32(..)),
        2 => 0.1 + 0.2,
        3 => f64::from_bits(random.u64(..)),
        _ => (random.f64() - 0.5) * 10f64.powi(random.i32(-300..300)),
    }
}

fn document(random: &mut fastrand::Rng, depth: u32) -> Value {
    match random.u32(..if depth > 0 { 7 } else { 5 }) {
        0 => Value::Null,
        1 => json!(random.bool()),
        2 => json!(random.i64(..)),
        3 => json!((random.f64() * 1000.0).round() / 8.0),
        4 => json!(text(random).replace('\u{1}', "")),
        5 => (0..random.u32(..4))
            .map(|_| document(random, depth - 1))
            .collect(),
        _ => (0..random.u32(..4))
            .map(|n| {
                (
                    format!("{n}{}", text(random).replace('\u{1}', "")),
                    document(random, depth - 1),
                )
            })
            .collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_come_back_as_they_were_written() {
    let database = Database::new().await;
    let mut conn = database.audited(ann()).await;
    let mut random = fastrand::Rng::with_seed(12);
    for at in 0..300 {
        let mass = Some(number(&mut random)).filter(|mass| mass.is_finite());
        let scan: Option<Vec<u8>> = random
            .bool()
            .then(|| (0..random.usize(..20)).map(|_| random.u8(..)).collect());
        let metadata = random.bool().then(|| document(&mut random, 3));
        let note = random.bool().then(|| text(&mut random));
        let active = random.bool();
        let row = (
            samples::name.eq(format!("{at}")),
            samples::note.eq(&note),
            samples::mass.eq(mass),
            samples::active.eq(active),
            samples::scan.eq(&scan),
            samples::metadata.eq(&metadata),
        );
        let id: i64 = conn
            .audited_insert(samples::table, row)
            .returning(samples::id)
            .get_result()
            .await
            .unwrap();
        let entries = entries_of(samples::table, id)
            .load(&mut conn)
            .await
            .unwrap();
        let value = |field: &str| {
            let mut changes = entries[0].changes.iter();
            changes
                .find(|change| change.field == field)
                .and_then(|change| change.new.clone())
        };
        let json = |field: &str| value(field).map(|value| value.json().clone());
        assert_eq!(json("id"), Some(json!(id)));
        assert_eq!(json("note"), note.map(Value::from), "{at}");
        assert_eq!(json("active"), Some(json!(active)));
        let read = value("mass").and_then(|value| value.json().as_f64());
        assert_eq!(read, mass, "{at}");
        let bytes = value("scan").map(|value| {
            base64::engine::general_purpose::STANDARD
                .decode(FieldValue::text(&value))
                .unwrap()
        });
        assert_eq!(bytes, scan, "{at}");
        assert_eq!(json("metadata"), metadata, "{at}");
    }
}
