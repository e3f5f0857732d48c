//! Entries that the command writes itself: their attribution.

use crate::database::Engine;

/// The columns of an entry that are not its table's.
pub(crate) const STAMP_COLUMNS: &str = "history_kind, history_date, history_user, history_client, history_organization, history_task, \
                                        history_transaction, history_reason, history_context";

/// Whose entries these are, and why they are written.
pub(crate) struct EntryAttribution<'s> {
    pub(crate) user: Option<&'s str>,
    pub(crate) transaction: &'s str,
    pub(crate) reason: &'s str,
    /// What wrote them.
    pub(crate) context: serde_json::Value,
}

impl EntryAttribution<'_> {
    /// The values of [`STAMP_COLUMNS`], for entries of that kind (an expression).
    pub(crate) fn values(&self, engine: Engine, kind: &str) -> String {
        // In a select, a literal is text until it is told otherwise.
        let typed = |text: &str, declared: &str| match engine {
            Engine::Postgres => format!("{}::{declared}", engine.literal(text)),
            _ => engine.literal(text),
        };
        format!(
            "{kind}, {}, {}, NULL, NULL, NULL, {}, {}, {}",
            engine.now(),
            engine.literal_or_null(self.user),
            typed(self.transaction, "uuid"),
            engine.literal(self.reason),
            typed(&self.context.to_string(), "json"),
        )
    }
}
