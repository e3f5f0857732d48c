//! Filters joined by "and", "or" and "not".

use std::ops::Not;

use super::filter::{HistoryFilter, push_any};
use super::scope::HistoryScope;
use crate::engine::Engine;
use crate::script::Script;
use crate::sql::Write as _;
use crate::table::TrackedTable;

/// What must hold beside what a filter says itself. The filters in it have no scopes: these stand in the outermost filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Logic {
    /// All of these.
    All(Vec<HistoryFilter>),
    /// At least one of these.
    Any(Vec<HistoryFilter>),
    /// Not this one.
    Not(Box<HistoryFilter>),
}

impl HistoryFilter {
    /// Entries that match both filters.
    ///
    /// What limits a filter to a [scope](Self::within) limits the whole: the same holds for [`or`](Self::or) and `!`, so that no
    /// combination shows more than its parts may.
    ///
    /// ```
    /// use koherent_core::ChangeKind;
    /// use koherent_diesel::HistoryFilter;
    ///
    /// let (by_ann, of_task_a) = (HistoryFilter::new().user("ann"), HistoryFilter::new().task("task-a"));
    /// let creations = HistoryFilter::new().kind(ChangeKind::Create);
    /// let filter = by_ann.or(of_task_a).and(!creations);
    /// # assert_ne!(filter, HistoryFilter::new());
    /// ```
    pub fn and(mut self, mut other: Self) -> Self {
        self.within.append(&mut other.within);
        if other != Self::new() {
            match self.logic.last_mut() {
                Some(Logic::All(all)) => all.push(other),
                _ => self.logic.push(Logic::All(vec![other])),
            }
        }
        self
    }

    /// Entries that match one of the filters, or both.
    pub fn or(self, other: Self) -> Self {
        let (mut one, mut within) = self.unscoped();
        let (other, others) = other.unscoped();
        within.extend(others);
        let alternatives = match one.logic.pop() {
            Some(Logic::Any(mut any)) if one == Self::new() => {
                any.push(other);
                any
            }
            last => {
                one.logic.extend(last);
                vec![one, other]
            }
        };
        Self::of(Logic::Any(alternatives), within)
    }

    fn of(logic: Logic, within: Vec<HistoryScope>) -> Self {
        let mut filter = Self::new();
        filter.logic.push(logic);
        filter.within = within;
        filter
    }

    /// The filter without its scopes, and these.
    fn unscoped(mut self) -> (Self, Vec<HistoryScope>) {
        let within = std::mem::take(&mut self.within);
        (self, within)
    }

    /// Writes what must hold of the entry `h` as one condition.
    pub(super) fn push_condition<DB: Engine>(
        &self,
        sql: &mut Script<DB>,
        table: &'static TrackedTable,
    ) {
        sql.push("(1 = 1");
        self.push(sql, table);
        sql.push(")");
    }
}

/// Entries that do not match, within the same scopes.
impl Not for HistoryFilter {
    type Output = Self;

    fn not(self) -> Self {
        let (one, within) = self.unscoped();
        Self::of(Logic::Not(Box::new(one)), within)
    }
}

impl Logic {
    /// The filters in it.
    pub(super) fn filters(&self) -> &[HistoryFilter] {
        match self {
            Self::All(filters) | Self::Any(filters) => filters,
            Self::Not(filter) => std::slice::from_ref(filter),
        }
    }

    /// Whether entries of that table can match.
    pub(super) fn may_match(&self, table: &TrackedTable) -> bool {
        match self {
            Self::All(all) => all.iter().all(|filter| filter.may_match(table)),
            Self::Any(any) => any.iter().any(|filter| filter.may_match(table)),
            Self::Not(_) => true,
        }
    }

    /// Writes what must hold of the entry `h`.
    pub(super) fn push<DB: Engine>(&self, sql: &mut Script<DB>, table: &'static TrackedTable) {
        // How it is joined is part of the text.
        sql.keep = false;
        match self {
            Self::All(all) => {
                sql.push("(1 = 1");
                for filter in all {
                    filter.push(sql, table);
                }
                sql.push(")");
            }
            Self::Any(any) => {
                sql.push("(1 = 1");
                push_any(sql, any, |sql, filter| filter.push_condition(sql, table));
                sql.push(")");
            }
            // What is not known, of nobody say, does not hold: its opposite does.
            Self::Not(filter) => {
                sql.push("(");
                filter.push_condition(sql, table);
                sql.push(" IS NOT TRUE)");
            }
        }
    }
}
