//! Which entries are meant.

use chrono::{DateTime, Utc};
use koherent_core::{
    Attribution, ChangeKind, ClientId, HistoryEntry, Issuer, Organization, RowKey, Subject, TaskId,
};
use uuid::Uuid;

use crate::engine::Engine;
use crate::script::Script;
use crate::sql::Write as _;
use crate::table::TrackedTable;

use super::period::Period;
use super::select::{push_field_changed, push_key};

/// Methods that add an alternative to what must hold.
macro_rules! alternatives {
    ($($(#[$doc:meta])+ $name:ident($kind:ty) -> $field:ident;)+) => {
        $(
            $(#[$doc])+
            pub fn $name(mut self, $name: impl Into<$kind>) -> Self {
                self.$field.push($name.into());
                self
            }
        )+
    };
}
pub(super) use alternatives;

/// Which entries of histories are meant. Everything, unless a method says otherwise.
///
/// Methods can be combined: an entry must match all of them. Calling one again adds an alternative: `.task("a").task("b")`
/// means entries under either task. Identifiers are compared byte for byte.
///
/// ```
/// use koherent_core::ChangeKind;
/// use koherent_diesel::HistoryFilter;
///
/// let created_by_ann = HistoryFilter::new().user("ann").kind(ChangeKind::Create);
/// # assert_ne!(created_by_ann, HistoryFilter::new());
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct HistoryFilter {
    tasks: Vec<TaskId>,
    trees: Vec<TaskId>,
    roots: Vec<TaskId>,
    agent_clients: Vec<ClientId>,
    issuers: Vec<Issuer>,
    users: Vec<Subject>,
    clients: Vec<ClientId>,
    organizations: Vec<Organization>,
    kinds: Vec<ChangeKind>,
    period: Period,
    pub(super) fields: Vec<String>,
    keys: Vec<RowKey>,
    transactions: Vec<Uuid>,
    reasons: Vec<String>,
    within: Vec<HistoryScope>,
}

impl HistoryFilter {
    /// All entries.
    pub fn new() -> Self {
        Self::default()
    }

    alternatives! {
        /// Made under that task.
        task(TaskId) -> tasks;
        /// Made under that task, or under one that it caused, directly or through others.
        task_tree(TaskId) -> trees;
        /// Made under a task of the causal tree with that root.
        root_task(TaskId) -> roots;
        /// Made under a task that an agent with that OAuth client executed.
        agent_client(ClientId) -> agent_clients;
        /// Made under a task that this issuer attested.
        issuer(Issuer) -> issuers;
        /// Made by that principal (its `sub`).
        user(Subject) -> users;
        /// Made through that OAuth client.
        client(ClientId) -> clients;
        /// Made for that organization.
        organization(Organization) -> organizations;
    }

    /// Of that kind.
    pub fn kind(mut self, kind: ChangeKind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Made at that time or later. Of several, the latest counts.
    pub fn since(mut self, date: DateTime<Utc>) -> Self {
        self.period.since(date);
        self
    }

    /// Made before that time. Of several, the earliest counts.
    pub fn before(mut self, date: DateTime<Utc>) -> Self {
        self.period.before(date);
        self
    }

    alternatives! {
        /// In which that field has another value than before. It is called as the database calls the column.
        field(String) -> fields;
        /// Of the row with that key. A key that no row can have, such as `abc` of a number, matches nothing.
        key(RowKey) -> keys;
    }

    /// Made in that transaction.
    pub fn transaction(mut self, transaction: Uuid) -> Self {
        self.transactions.push(transaction);
        self
    }

    alternatives! {
        /// Made for that reason, in these words.
        reason(String) -> reasons;
    }

    /// Only what that scope may see, whatever else is asked for.
    pub fn within(mut self, scope: &HistoryScope) -> Self {
        self.within.push(scope.clone());
        self
    }

    /// Whether only deletions are meant, or deletions as well.
    #[must_use]
    pub fn includes_deletions(&self) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&ChangeKind::Delete)
    }

    /// A field that none of these tables keeps.
    pub(super) fn unknown_field(&self, tables: &[&'static TrackedTable]) -> Option<String> {
        let is_known = |field: &str| tables.iter().any(|table| table.fields.contains(&field));
        let mut fields = self.fields.iter();
        fields.find(|field| !is_known(field)).cloned()
    }

    /// Whether entries of that table can match.
    pub(super) fn may_match(&self, table: &TrackedTable) -> bool {
        let known = |field: &String| table.fields.contains(&field.as_str());
        self.fields.is_empty() || self.fields.iter().any(known)
    }

    /// Writes ` AND …` for what must hold of the entry `h`.
    pub(super) fn push<DB: Engine>(&self, sql: &mut Script<DB>, table: &'static TrackedTable) {
        push_texts(sql, "h", "history_task", &self.tasks);
        push_texts(sql, "h", "history_user", &self.users);
        push_texts(sql, "h", "history_client", &self.clients);
        push_texts(sql, "h", "history_organization", &self.organizations);
        for scope in &self.within {
            scope.push(sql, "history_organization");
        }
        push_texts(sql, "h", "history_reason", &self.reasons);
        if !self.kinds.is_empty() {
            // They are three, and no user's: they stand in the text.
            let codes: Vec<_> = self.kinds.iter().map(|kind| kind.code()).collect();
            sql.push(" AND h.history_kind IN ('")
                .push(&codes.join("', '"))
                .push("')");
        }
        self.period.push(sql, "history_date");
        push_any(sql, &self.transactions, |sql, transaction| {
            let (before, after) = DB::UUID;
            sql.push("h.history_transaction = ").push(before);
            sql.text(transaction.hyphenated().to_string()).push(after);
        });
        push_any(sql, &self.keys, |sql, key| {
            push_key(sql, table, "h", &table.key_columns(), key.values());
        });
        let fields = self.fields.iter();
        let fields: Vec<_> = fields
            .filter_map(|field| table.columns.iter().find(|column| column.name == field))
            .collect();
        push_any(sql, &fields, |sql, column| {
            push_field_changed(sql, table, column);
        });
        self.push_task(sql);
    }

    /// Writes what must hold of the task.
    fn push_task<DB: Engine>(&self, sql: &mut Script<DB>) {
        push_any(sql, &self.trees, |sql, task| {
            sql.push("h.history_task IN (");
            push_tree(sql, task);
            sql.push(")");
        });
        let rest = [
            self.roots.is_empty(),
            self.agent_clients.is_empty(),
            self.issuers.is_empty(),
        ];
        if rest != [true; 3] {
            sql.push(
                " AND h.history_task IN (SELECT t.task_id FROM koherent_task AS t WHERE 1 = 1",
            );
            push_texts(sql, "t", "root_task_id", &self.roots);
            push_texts(sql, "t", "agent_client_id", &self.agent_clients);
            push_texts(sql, "t", "issuer", &self.issuers);
            sql.push(")");
        }
    }
}

/// The ids of a task and of those that it caused. It may have changed nothing itself, and so have no row: then those that
/// name it as their parent or root are there.
pub(super) fn push_tree<DB: Engine>(sql: &mut Script<DB>, task: &TaskId) {
    sql.push(
        "WITH RECURSIVE k_tree (task_id) AS (SELECT t.task_id FROM koherent_task AS t WHERE (1 = 0",
    );
    for column in ["task_id", "parent_task_id", "root_task_id"] {
        sql.push(" OR ");
        DB::push_is_text(sql, "t", column, task.as_str());
    }
    sql.push(
        ") UNION SELECT t.task_id FROM koherent_task AS t JOIN k_tree ON t.parent_task_id = k_tree.task_id) \
         SELECT task_id FROM k_tree",
    );
}

/// Writes ` AND (one OR other)`, or nothing where there are none.
pub(super) fn push_any<DB: Engine, T>(
    sql: &mut Script<DB>,
    alternatives: &[T],
    mut push: impl FnMut(&mut Script<DB>, &T),
) {
    // How many there are is part of the text.
    sql.keep &= alternatives.len() < 2;
    if !alternatives.is_empty() {
        sql.push(" AND ");
        push_alternatives(sql, alternatives, &mut push);
    }
}

/// Writes `(one OR other)`, of halves: engines take neither long chains nor deep trees of conditions.
fn push_alternatives<DB: Engine, T>(
    sql: &mut Script<DB>,
    alternatives: &[T],
    push: &mut impl FnMut(&mut Script<DB>, &T),
) {
    sql.push("(");
    if let [one] = alternatives {
        push(sql, one);
    } else {
        let (some, others) = alternatives.split_at(alternatives.len() / 2);
        push_alternatives(sql, some, push);
        sql.push(" OR ");
        push_alternatives(sql, others, push);
    }
    sql.push(")");
}

/// Writes that a column of Koherent's own has one of these texts, if there are any.
pub(super) fn push_texts<'t, DB, T>(
    sql: &mut Script<DB>,
    alias: &str,
    column: &str,
    texts: impl IntoIterator<Item = &'t T>,
) where
    DB: Engine,
    T: AsRef<str> + 't,
{
    let texts: Vec<_> = texts.into_iter().collect();
    push_any(sql, &texts, |sql, text| {
        DB::push_is_text(sql, alias, column, text.as_ref());
    });
}

/// Whose entries a reader may see.
///
/// It is a setting of the reader, not of a query: resolvers and handlers that read through a scoped reader cannot forget
/// it.
///
/// A scope is about entries. Which rows somebody may see is the application's affair, with [`as_of`](crate::as_of) and
/// [`deleted`](crate::deleted) as with any other query; and an entry that may be seen says the whole change, the value that
/// stood there before included, whoever had written it. Rows of two organizations belong into two rows.
///
/// ```
/// use koherent_diesel::HistoryScope;
/// let scope = HistoryScope::organization("bio-lab");
/// assert_ne!(scope, HistoryScope::All);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryScope {
    /// All entries.
    All,
    /// Entries and tasks of one organization.
    Organization(Organization),
    /// Entries and tasks of no organization.
    NoOrganization,
    /// None at all.
    Nothing,
}

impl HistoryScope {
    /// Entries and tasks of that organization.
    pub fn organization(organization: impl Into<Organization>) -> Self {
        Self::Organization(organization.into())
    }

    /// What somebody sees who acts for that organization, or for none: entries and tasks that are its own.
    ///
    /// ```
    /// use koherent_core::{Attribution, Principal};
    /// use koherent_diesel::HistoryScope;
    ///
    /// let ann = Attribution::of(Principal::new("https://login.example", "ann", "lab-ui").with_organization("bio-lab"));
    /// assert_eq!(HistoryScope::own(&ann), HistoryScope::organization("bio-lab"));
    /// ```
    #[must_use]
    pub fn own(attribution: &Attribution) -> Self {
        match attribution.organization() {
            Some(organization) => Self::Organization(organization.clone()),
            None => Self::NoOrganization,
        }
    }

    /// What both allow.
    pub(crate) fn and(&self, other: Self) -> Self {
        match (self, other) {
            (Self::All, other) => other,
            (own, Self::All) => own.clone(),
            (own, other) if *own == other => other,
            _ => Self::Nothing,
        }
    }

    /// Writes ` AND …` for what it allows of `h`.
    pub(super) fn push<DB: Engine>(&self, sql: &mut Script<DB>, column: &str) {
        match self {
            Self::All => {}
            Self::Organization(organization) => push_texts(sql, "h", column, [organization]),
            Self::NoOrganization => {
                sql.push(" AND h.").push(column).push(" IS NULL");
            }
            Self::Nothing => {
                sql.push(" AND 1 = 0");
            }
        }
    }

    /// Whether it shows an entry.
    pub(crate) fn shows(&self, entry: Option<&HistoryEntry>) -> bool {
        match self {
            Self::All => true,
            Self::Organization(own) => {
                entry.is_some_and(|entry| entry.organization.as_ref() == Some(own))
            }
            Self::NoOrganization => entry.is_some_and(|entry| entry.organization.is_none()),
            Self::Nothing => false,
        }
    }
}
