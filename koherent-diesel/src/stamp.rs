//! What entries and tasks are written from.

use koherent_core::{Attribution, Organization, Task};
use uuid::Uuid;

use crate::schema::TASK_COLUMNS;

/// What an attribution says, as text: the values of [`ATTRIBUTION_COLUMNS`](crate::schema::ATTRIBUTION_COLUMNS) behind kind and date.
pub(crate) fn stamped(attribution: &Attribution, transaction: Uuid) -> [Option<String>; 7] {
    let owned = |text: &str| text.to_owned();
    [
        attribution.user().map(|user| owned(user.as_str())),
        attribution.client().map(|client| owned(client.as_str())),
        attribution
            .organization()
            .map(|organization| owned(organization.as_str())),
        attribution.task().map(|task| owned(task.task_id.as_str())),
        Some(transaction.hyphenated().to_string()),
        attribution.reason().map(owned),
        attribution.context().map(|context| context.to_string()),
    ]
}

/// The keys under which a session says what [`stamped`] has, in that order.
const SAID_KEYS: [&str; 7] = [
    "user",
    "client",
    "organization",
    "task",
    "transaction",
    "reason",
    "context",
];

/// What an attribution says, as guards take it: a JSON object without nulls. With the values of its task's row, where that
/// row may have to be written.
pub(crate) fn said(
    stamped: &[Option<String>; 7],
    task_row: Option<&[Option<String>; TASK_COLUMNS.len() - 1]>,
) -> String {
    let mut json = String::from("{");
    for (key, value) in SAID_KEYS.into_iter().zip(stamped) {
        let Some(value) = value else { continue };
        if json.len() > 1 {
            json.push(',');
        }
        json.push('"');
        json.push_str(key);
        json.push_str("\":");
        if key == "context" {
            json.push_str(value);
        } else {
            json.push_str(&serde_json::Value::from(value.as_str()).to_string());
        }
    }
    if let Some(row) = task_row {
        let row: serde_json::Value = row.iter().cloned().collect();
        json.push_str(",\"task_row\":");
        json.push_str(&row.to_string());
    }
    json.push('}');
    json
}

/// The values of [`TASK_COLUMNS`] but for the last, the date.
pub(crate) fn task_row(
    task: &Task,
    organization: Option<&Organization>,
) -> [Option<String>; TASK_COLUMNS.len() - 1] {
    let owned = |text: &str| Some(text.to_owned());
    [
        owned(task.task_id.as_str()),
        task.parent_task_id
            .as_ref()
            .map(|id| id.as_str().to_owned()),
        owned(task.root_task_id.as_str()),
        owned(task.assigner.as_str()),
        owned(task.caller.as_str()),
        owned(task.agent.as_str()),
        owned(task.agent_client_id.as_str()),
        owned(task.issuer.as_str()),
        owned(task.token_id.as_str()),
        owned(&task.args_hash),
        owned(&task.args_hash_algorithm),
        organization.map(|organization| organization.as_str().to_owned()),
    ]
}
