//! What a whole transaction says to the database: whose it is, and whether the audit pauses.

use koherent_core::Attribution;
use uuid::Uuid;

use crate::engine::Engine;
use crate::record::{OpenScope, Recorder};
use crate::stamp::{said, stamped, task_row};

/// What is asked of a transaction beside its [`Options`](crate::Options).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Nothing.
    Plain,
    /// The database is told whose transaction it is, for the entries that guards capture.
    Attributed,
    /// Guards let everything through, and count it; for that reason.
    Paused(String),
}

impl Scope {
    /// How to take back what it says.
    pub(crate) fn opened<DB: Engine>(&self) -> Option<OpenScope> {
        (*self != Self::Plain).then_some(OpenScope {
            close: DB::CLOSE_SCOPE,
            close_lost: DB::CLOSE_LOST_SCOPE,
            admits: true,
        })
    }

    /// The statements that say it, in the transaction that has just begun.
    pub(crate) fn open<DB: Engine>(
        &self,
        recorder: &Recorder,
        transaction: Uuid,
    ) -> Option<String> {
        let attribution = &recorder.attribution;
        match self {
            Self::Plain => None,
            Self::Attributed => Some(DB::open_scope(
                &spoken(attribution, recorder, transaction),
                None,
            )),
            Self::Paused(reason) => {
                let spoken = spoken(attribution, recorder, transaction);
                let mut sql = DB::admit_said_task(&spoken);
                sql.push_str(";\n");
                sql.push_str(&recorded_pause::<DB>(attribution, transaction, reason));
                sql.push_str(";\n");
                sql.push_str(&DB::open_scope(&spoken, Some(transaction)));
                Some(sql)
            }
        }
    }
}

fn spoken(attribution: &Attribution, recorder: &Recorder, transaction: Uuid) -> String {
    let row = recorder
        .unknown_task()
        .map(|task| task_row(task, attribution.organization()));
    said(&stamped(attribution, transaction), row.as_ref())
}

/// `INSERT INTO koherent_operation …`: who pauses the audit, and why. The guards count the rows.
fn recorded_pause<DB: Engine>(
    attribution: &Attribution,
    transaction: Uuid,
    reason: &str,
) -> String {
    let [user, client, organization, task, transaction, _, context] =
        stamped(attribution, transaction);
    let values = [
        user,
        client,
        organization,
        task,
        transaction,
        Some(reason.to_owned()),
        context,
    ];
    let values = values.map(|value| match value {
        Some(text) => DB::literal(&text),
        None => "NULL".to_owned(),
    });
    format!(
        "INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, \
         operation_task, operation_transaction, operation_reason, operation_context) VALUES ('pause', {}, {})",
        DB::NOW,
        values.join(", ")
    )
}
