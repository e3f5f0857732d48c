//! Which entries are meant.

use chrono::{DateTime, Utc};
use koherent_core::{
    ChangeKind, ClientId, FieldValue, Issuer, Organization, RowKey, Subject, TaskId,
};
use uuid::Uuid;

use super::links::LinkKind;
use super::logic::Logic;
use super::period::Period;
use super::scope::HistoryScope;
use super::select::{push_field_changed, push_key};
use super::values::{Side, push_value};
use crate::engine::Engine;
use crate::script::{Bind, Script};
use crate::sql::Write as _;
use crate::table::TrackedTable;

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
/// means entries under either task. Identifiers are compared byte for byte. What methods cannot say is said by [`and`](Self::and),
/// [`or`](Self::or) and `!`.
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
    fields: Vec<String>,
    keys: Vec<RowKey>,
    transactions: Vec<Uuid>,
    reasons: Vec<String>,
    impersonators: Vec<Subject>,
    labels: Vec<String>,
    entries: Vec<i64>,
    link_kinds: Vec<LinkKind>,
    rows: Vec<(String, RowKey)>,
    values: [Vec<(String, FieldValue)>; 2],
    pub(super) logic: Vec<Logic>,
    pub(super) within: Vec<HistoryScope>,
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

    /// Made at that time or earlier. Of several, the earliest counts.
    pub fn until(mut self, date: DateTime<Utc>) -> Self {
        self.period.until(date);
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
        /// Made by somebody in another's place, whose `sub` this is.
        impersonator(Subject) -> impersonators;
        /// Of a table whose rows are called so: its [label](TrackedTable::label).
        label(String) -> labels;
        /// With that id in the history of its table.
        entry(i64) -> entries;
    }

    /// Of a table that [`audited_link!`](crate::audited_link) declares, where that happened to the link.
    pub fn link(mut self, kind: LinkKind) -> Self {
        self.link_kinds.push(kind);
        self
    }

    /// Of that row, or of a link that points at it.
    pub fn row(mut self, table: &TrackedTable, key: impl Into<RowKey>) -> Self {
        self.rows.push((table.name().to_owned(), key.into()));
        self
    }

    /// In which that field had that value before, and has another one now. Null is no value. Text is compared byte for byte, JSON
    /// as the database compares it: by value on PostgreSQL and MySQL, as text without blanks on SQLite and MariaDB.
    ///
    /// ```
    /// # include!("../doctest_setup.rs");
    /// # fn main() -> Result<(), koherent_diesel::Error> {
    /// # let conn = &mut connection_with_liver();
    /// use koherent_core::FieldValue;
    /// use koherent_diesel::{HistoryFilter, history};
    ///
    /// let named_liver = HistoryFilter::new().value_after("name", FieldValue::from_json("liver".into()));
    /// assert_eq!(history(samples::table).filter(named_liver).load(conn)?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn value_before(mut self, field: impl Into<String>, value: FieldValue) -> Self {
        self.values[Side::Before as usize].push((field.into(), value));
        self
    }

    /// In which that field has that value now, and had another one before. See [`value_before`](Self::value_before).
    pub fn value_after(mut self, field: impl Into<String>, value: FieldValue) -> Self {
        self.values[Side::After as usize].push((field.into(), value));
        self
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

    /// The fields that it names, with those of its values.
    fn fields_named(&self) -> impl Iterator<Item = &String> {
        let values = self.values.iter().flatten().map(|(field, _)| field);
        self.fields.iter().chain(values)
    }

    /// A field that none of these tables keeps.
    pub(super) fn unknown_field(&self, tables: &[&'static TrackedTable]) -> Option<String> {
        let is_known = |field: &str| tables.iter().any(|table| table.fields.contains(&field));
        let unknown = self.fields_named().find(|field| !is_known(field)).cloned();
        let mut inner = self.logic.iter().flat_map(Logic::filters);
        unknown.or_else(|| inner.find_map(|filter| filter.unknown_field(tables)))
    }

    /// Whether changes of that field are meant, where changes are asked for one by one: all are, unless fields are named.
    pub(super) fn means_field(&self, name: &str) -> bool {
        let own = self.fields.is_empty() || self.fields.iter().any(|field| field == name);
        let valued = |fields: &Vec<(String, FieldValue)>| {
            fields.is_empty() || fields.iter().any(|(field, _)| field == name)
        };
        let all = |logic: &Logic| match logic {
            Logic::All(all) => all.iter().all(|filter| filter.means_field(name)),
            Logic::Any(_) | Logic::Not(_) => true,
        };
        own && self.values.iter().all(valued) && self.logic.iter().all(all)
    }

    /// Whether entries of that table can match.
    pub(super) fn may_match(&self, table: &TrackedTable) -> bool {
        let known = |field: &str| table.fields.contains(&field);
        let any = |fields: &[(String, FieldValue)]| {
            fields.is_empty() || fields.iter().any(|(field, _)| known(field))
        };
        (self.fields.is_empty() || self.fields.iter().any(|field| known(field)))
            && self.values.iter().all(|fields| any(fields))
            && (self.labels.is_empty() || self.labels.iter().any(|label| label == table.label()))
            && (self.link_kinds.is_empty() || table.link_ends().is_some())
            && self.logic.iter().all(|logic| logic.may_match(table))
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
        push_any(sql, &self.impersonators, |sql, impersonator| {
            DB::push_is_context(sql, "impersonator", impersonator.as_str());
        });
        push_any(sql, &self.entries, |sql, id| {
            sql.push("h.history_id = ").bind(Bind::Integer(*id));
        });
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
        self.push_of_table(sql, table);
        self.push_fields(sql, table);
        self.push_task(sql);
        for logic in &self.logic {
            sql.push(" AND ");
            logic.push(sql, table);
        }
    }

    /// Writes what depends on the table alone, or on which of its rows it is.
    fn push_of_table<DB: Engine>(&self, sql: &mut Script<DB>, table: &'static TrackedTable) {
        let is_labelled = |label: &String| label == table.label();
        if !self.labels.is_empty() && !self.labels.iter().any(is_labelled) {
            sql.push(" AND 1 = 0");
        }
        push_any(sql, &self.link_kinds, |sql, kind| {
            match table.link_ends() {
                None => sql.push("1 = 0"),
                Some(_) => sql.push("h.history_kind = '").push(kind.code()).push("'"),
            };
        });
        push_any(sql, &self.rows, |sql, (name, key)| {
            push_row(sql, table, name, key)
        });
    }

    /// Writes which fields changed, and from what to what. Those that the table does not keep did not change.
    fn push_fields<DB: Engine>(&self, sql: &mut Script<DB>, table: &'static TrackedTable) {
        let column = |field: &str| table.columns.iter().find(|column| column.name == field);
        push_any(sql, &self.fields, |sql, field| match column(field) {
            Some(column) => push_field_changed(sql, table, column),
            None => {
                sql.push("1 = 0");
            }
        });
        for (side, values) in [Side::Before, Side::After].into_iter().zip(&self.values) {
            push_any(sql, values, |sql, (field, value)| match column(field) {
                Some(column) => push_value(sql, table, column, side, value),
                None => {
                    sql.push("1 = 0");
                }
            });
        }
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

/// Writes that an entry is of the row with that key in the table of that name, or of a link that points at it.
fn push_row<DB: Engine>(
    sql: &mut Script<DB>,
    table: &'static TrackedTable,
    name: &str,
    key: &RowKey,
) {
    let mut conditions = Vec::new();
    if table.name() == name {
        conditions.push(table.key_columns());
    }
    for end in table.link_ends().into_iter().flatten() {
        if end.table.name() == name {
            let columns = table.columns.iter();
            conditions.push(columns.filter(|column| column.name == end.column).collect());
        }
    }
    sql.push("(1 = 0");
    for columns in conditions {
        sql.push(" OR ");
        push_key(sql, table, "h", &columns, key.values());
    }
    sql.push(")");
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
