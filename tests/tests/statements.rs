//! How many statements a query is: as many for one row as for a hundred.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use koherent_tests::lab::{Lab, altered_task_token, task_token};
use serde_json::Value;

static STATEMENTS: AtomicUsize = AtomicUsize::new(0);

fn counter() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            // A pool asks its connections whether they are there, and sets them up.
            let query = query.to_string();
            if !query.starts_with("SELECT ? -- binds: [I32(1)]") && !query.starts_with("PRAGMA") {
                STATEMENTS.fetch_add(1, Ordering::Relaxed);
            }
        }
    }))
}

async fn statements(lab: &Lab, query: &str) -> (usize, Value) {
    let before = STATEMENTS.load(Ordering::Relaxed);
    let data = lab.data(None, query).await;
    (STATEMENTS.load(Ordering::Relaxed) - before, data)
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_do_not_grow_with_rows_entries_or_fields() {
    set_default_instrumentation(counter).unwrap();
    let lab = Lab::start().await;
    let entries = |samples: usize, limit: usize| {
        format!(
            "{{ samples(pagination: {{ limit: {samples} }}) {{ id name note owner mass metadata createdAt deleted
                provenance(pagination: {{ limit: {limit} }}) {{ id table key cursor kind date user {{ sub }}
                    client {{ clientId }} organization {{ slug }} reason transaction system captured
                    effectiveChanges {{ field oldValue newValue oldValueJson newValueJson }}
                    task {{ taskId parentTaskId rootTaskId assigner {{ sub }} assignerSub callerSub agentSub agentClientId
                        issuer tokenId argsHash argsHashAlgorithm organization {{ slug }} createdAt }} }} }} }}"
        )
    };
    let families = "{ samples { provenance { task { taskId parent { taskId } root { taskId } children { taskId } } } } }";
    let changes =
        "{ samples { provenance { task { changes(pagination: { limit: 3 }) { id kind } } } } }";
    let beside = "{ samples { measurements { value provenance { kind } } tags { label provenance { kind } } } }";
    let counted = "{ samples { provenanceCount updates: provenanceCount(filters: { kind: UPDATE }) tagHistoryCount
        provenance(pagination: { limit: 1 }) { task { changesCount childrenCount } } } }";

    let child = altered_task_token("task-b", |token| token.parent("task-a", "task-a"));
    let mut seen: Vec<Vec<usize>> = Vec::new();
    let mut updates = 0;
    for _ in 0..2 {
        // 50 more samples, and 10 more changes of each: 50 × 20 and 100 × 20 entries and more.
        lab.data(
            Some(&task_token("task-a")),
            "mutation { createSamples(count: 50) { id } }",
        )
        .await;
        for _ in 0..20 {
            updates += 1;
            let each: String = (1..=25)
                .map(|id| format!("u{id}: updateSample(id: {id}, mass: {updates}) {{ id }} "))
                .collect();
            lab.data(Some(&child), &format!("mutation {{ {each} }}"))
                .await;
        }
        for id in [1, 2, 3] {
            let query = format!(
                "mutation {{ tagSample(id: {id}, label: \"t{updates}\") {{ id }}
                    addMeasurement(sampleId: {id}, kind: \"width\", value: 1, unit: \"mm\") {{ id }} }}"
            );
            lab.data(None, &query).await;
        }
        let mut counts = Vec::new();
        for (samples, limit) in [(50, 20), (100, 40)] {
            let (count, data) = statements(&lab, &entries(samples, limit)).await;
            assert!(
                !data["samples"][0]["provenance"]
                    .as_array()
                    .unwrap()
                    .is_empty()
            );
            counts.push(count);
        }
        for query in [families, changes, beside, counted] {
            counts.push(statements(&lab, query).await.0);
        }
        seen.push(counts);
    }
    // The samples, and their entries with their tasks.
    assert_eq!(seen[0][..2], [2, 2]);
    // Parents and roots are one statement, children another.
    assert_eq!(seen[0][2], 4);
    // One per table of the lab.
    assert_eq!(seen[0][3], 2 + 4);
    // Measurements, tags, and the entries of each.
    assert_eq!(seen[0][4], 1 + 2 + 2);
    // Samples and entries; entries of two kinds and links, counted; what was done under tasks, per table, and their children.
    assert_eq!(seen[0][5], 2 + 3 + 4 + 1);
    assert_eq!(seen[0], seen[1]);
}
