//! Which rows are meant, by their histories.

use std::ops::Not;

use super::filter::HistoryFilter;
use super::scope::HistoryScope;
use crate::engine::Engine;
use crate::script::Script;
use crate::sql::Write as _;
use crate::table::TrackedTable;

/// Which rows are meant, by the entries in their histories: what [`changed`](crate::changed) takes.
///
/// What is joined with `and` and `or` is said of one and the same entry, as Django's `Q` objects say it of a related row; what
/// `!` negates is said of the row: that it has no such entry. So rows without any history match a negation. Inside of a
/// negation each filter may be matched by another entry.
///
/// ```
/// use koherent_core::ChangeKind;
/// use koherent_diesel::{HistoryFilter, RowFilter};
///
/// let created = RowFilter::from(HistoryFilter::new().kind(ChangeKind::Create));
/// let touched_by_bob = RowFilter::from(HistoryFilter::new().user("bob"));
/// let never_touched_by_bob = created.and(!touched_by_bob);
/// # assert_ne!(never_touched_by_bob, RowFilter::all());
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct RowFilter(Term);

#[derive(Debug, Clone, PartialEq)]
enum Term {
    /// An entry that matches.
    Entry(Box<HistoryFilter>),
    All(Vec<Term>),
    Any(Vec<Term>),
    Not(Box<Term>),
}

impl From<HistoryFilter> for RowFilter {
    fn from(filter: HistoryFilter) -> Self {
        Self(Term::Entry(Box::new(filter)))
    }
}

impl RowFilter {
    /// All rows, those without a history included.
    pub const fn all() -> Self {
        Self(Term::All(Vec::new()))
    }

    /// Rows that match both: with one entry that does, where both are about entries.
    pub fn and(self, other: Self) -> Self {
        Self(match (self.0, other.0) {
            (Term::All(mut all), other) => {
                all.push(other);
                Term::All(all)
            }
            (one, other) => Term::All(vec![one, other]),
        })
    }

    /// Rows that match one of the two, or both.
    pub fn or(self, other: Self) -> Self {
        Self(match (self.0, other.0) {
            (Term::Any(mut any), other) => {
                any.push(other);
                Term::Any(any)
            }
            (one, other) => Term::Any(vec![one, other]),
        })
    }

    /// As if there were no entries but those that the scope may see, whatever is asked for.
    pub fn within(mut self, scope: &HistoryScope) -> Self {
        self.0.limit(scope);
        self
    }

    /// A field that the table does not keep.
    pub(super) fn unknown_field(&self, table: &'static TrackedTable) -> Option<String> {
        self.0.unknown_field(table)
    }

    /// Writes the condition for the rows of the table.
    pub(super) fn push<DB: Engine>(&self, sql: &mut Script<DB>, table: &'static TrackedTable) {
        if !matches!(self.0, Term::Entry(_)) {
            // How it is joined is part of the text.
            sql.keep = false;
        }
        // Rows that no entry makes match.
        let is_of_entries = self.0.is_of_entries();
        sql.push(if is_of_entries { "" } else { "(" });
        push_key(sql, table);
        sql.push(" IN (SELECT ");
        push_columns_of_entry(sql, table);
        sql.push(" FROM ").table(table.history);
        sql.push(" AS h WHERE 1 = 1");
        match &self.0 {
            Term::Entry(filter) => filter.push(sql, table),
            term => {
                sql.push(" AND ");
                term.push_of_entry(sql, table);
            }
        }
        sql.push(")");
        if !is_of_entries {
            sql.push(" OR ");
            self.0.push_without_entry(sql, table);
            sql.push(")");
        }
    }
}

/// Rows that do not match: without an entry that does.
impl Not for RowFilter {
    type Output = Self;

    fn not(self) -> Self {
        Self(Term::Not(Box::new(self.0)))
    }
}

/// Writes the key of a row.
fn push_key<DB: Engine>(sql: &mut Script<DB>, table: &'static TrackedTable) {
    let columns = table.key_columns();
    sql.push(if columns.len() > 1 { "(" } else { "" });
    for (at, column) in columns.iter().enumerate() {
        sql.push(if at > 0 { ", " } else { "" });
        sql.table(table.name).push(".").identifier(column.name);
    }
    sql.push(if columns.len() > 1 { ")" } else { "" });
}

/// Writes the key of the row of the entry `h`.
fn push_key_of_entry<DB: Engine>(sql: &mut Script<DB>, table: &'static TrackedTable) {
    sql.push("(");
    push_columns_of_entry(sql, table);
    sql.push(")");
}

fn push_columns_of_entry<DB: Engine>(sql: &mut Script<DB>, table: &'static TrackedTable) {
    for (at, column) in table.key_columns().iter().enumerate() {
        sql.push(if at > 0 { ", " } else { "" });
        DB::push_row_value(sql, table, "h", column);
    }
}

type PushKey<DB> = fn(&mut Script<DB>, &'static TrackedTable);

impl Term {
    fn limit(&mut self, scope: &HistoryScope) {
        match self {
            Self::Entry(filter) => filter.within.push(scope.clone()),
            Self::All(terms) | Self::Any(terms) => {
                terms.iter_mut().for_each(|term| term.limit(scope));
            }
            Self::Not(term) => term.limit(scope),
        }
    }

    fn unknown_field(&self, table: &'static TrackedTable) -> Option<String> {
        match self {
            Self::Entry(filter) => filter.unknown_field(&[table]),
            Self::All(terms) | Self::Any(terms) => {
                terms.iter().find_map(|term| term.unknown_field(table))
            }
            Self::Not(term) => term.unknown_field(table),
        }
    }

    /// Whether a row needs an entry to match.
    fn is_of_entries(&self) -> bool {
        match self {
            Self::Entry(_) => true,
            Self::All(terms) => terms.iter().any(Self::is_of_entries),
            Self::Any(terms) => terms.iter().all(Self::is_of_entries),
            Self::Not(_) => false,
        }
    }

    /// Writes what must hold of the entry `h`, or of its row.
    fn push_of_entry<DB: Engine>(&self, sql: &mut Script<DB>, table: &'static TrackedTable) {
        match self {
            Self::Entry(filter) => filter.push_condition(sql, table),
            Self::Not(term) => term.push_not(sql, table, push_key_of_entry),
            Self::All(terms) => push_joined(sql, terms, true, |sql, term| {
                term.push_of_entry(sql, table);
            }),
            Self::Any(terms) => push_joined(sql, terms, false, |sql, term| {
                term.push_of_entry(sql, table);
            }),
        }
    }

    /// Writes what must hold of a row of which no entry matches anything.
    fn push_without_entry<DB: Engine>(&self, sql: &mut Script<DB>, table: &'static TrackedTable) {
        match self {
            Self::Entry(_) => {
                sql.push("1 = 0");
            }
            Self::Not(term) => term.push_not(sql, table, push_key),
            Self::All(terms) => push_joined(sql, terms, true, |sql, term| {
                term.push_without_entry(sql, table);
            }),
            Self::Any(terms) => push_joined(sql, terms, false, |sql, term| {
                term.push_without_entry(sql, table);
            }),
        }
    }

    /// Writes what must hold of a row, each filter by an entry of its own.
    fn push_of_row<DB: Engine>(
        &self,
        sql: &mut Script<DB>,
        table: &'static TrackedTable,
        key: PushKey<DB>,
    ) {
        match self {
            Self::Entry(filter) => {
                key(sql, table);
                sql.push(" IN (SELECT ");
                push_columns_of_entry(sql, table);
                sql.push(" FROM ").table(table.history);
                sql.push(" AS h WHERE 1 = 1");
                filter.push(sql, table);
                sql.push(")");
            }
            Self::Not(term) => term.push_not(sql, table, key),
            Self::All(terms) => push_joined(sql, terms, true, |sql, term| {
                term.push_of_row(sql, table, key);
            }),
            Self::Any(terms) => push_joined(sql, terms, false, |sql, term| {
                term.push_of_row(sql, table, key);
            }),
        }
    }

    fn push_not<DB: Engine>(
        &self,
        sql: &mut Script<DB>,
        table: &'static TrackedTable,
        key: PushKey<DB>,
    ) {
        sql.push("((");
        self.push_of_row(sql, table, key);
        sql.push(") IS NOT TRUE)");
    }
}

/// Writes terms joined by AND or OR; of none, that it holds, or that it does not.
fn push_joined<DB: Engine>(
    sql: &mut Script<DB>,
    terms: &[Term],
    all: bool,
    push: impl Fn(&mut Script<DB>, &Term),
) {
    sql.push(if all { "(1 = 1" } else { "(1 = 0" });
    for term in terms {
        sql.push(if all { " AND " } else { " OR " });
        push(sql, term);
    }
    sql.push(")");
}
