//! The table of tasks, and the columns that every history table has beside those of its base table.

diesel::table! {
    use diesel::sql_types::*;
    use crate::sql_types::HistoryDate;

    /// One row per task under which something was changed here.
    koherent_task (task_id) {
        /// This run of work (`tsk`).
        task_id -> Text,
        /// The task that caused it (`ptk`).
        parent_task_id -> Nullable<Text>,
        /// The root of its causal tree (`rtk`).
        root_task_id -> Text,
        /// The human at that root (`rcb`).
        assigner_sub -> Text,
        /// The immediate causer (`sub`).
        caller_sub -> Text,
        /// The agent that executes it (`act.sub`).
        agent_sub -> Text,
        /// The agent's OAuth client (`act.cid`).
        agent_client_id -> Text,
        /// Who attests it (`iss`).
        issuer -> Text,
        /// The token that introduced it (`jti`).
        token_id -> Text,
        /// SHA-256 of its canonical arguments (`ahs`).
        args_hash -> Text,
        /// How they were made canonical (`aha`).
        args_hash_algorithm -> Text,
        /// The organization in which it first changed something.
        organization -> Nullable<Text>,
        /// When it first changed something.
        created_at -> HistoryDate,
    }
}

/// The columns that a history table has beside those of its base table, in the order in which they are written and read.
/// `history_id` comes before them.
pub const ATTRIBUTION_COLUMNS: [&str; 9] = [
    "history_kind",
    "history_date",
    "history_user",
    "history_client",
    "history_organization",
    "history_task",
    "history_transaction",
    "history_reason",
    "history_context",
];

/// The columns of `koherent_task`, in the order in which they are written and read.
pub const TASK_COLUMNS: [&str; 13] = [
    "task_id",
    "parent_task_id",
    "root_task_id",
    "assigner_sub",
    "caller_sub",
    "agent_sub",
    "agent_client_id",
    "issuer",
    "token_id",
    "args_hash",
    "args_hash_algorithm",
    "organization",
    "created_at",
];
