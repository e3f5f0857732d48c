//! A change before it is written down for an engine: the parts that Diesel's own statements are made of.

use std::ops::Range;

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, BatchInsert, DefaultValues, QueryFragment, ValuesClause};

use crate::engine::Engine;
use crate::record::Recorder;
use crate::table::TrackedTable;

/// What is to happen to the rows of one table, in parts that an engine has rendered: they own their values, so that a
/// change can be kept, moved to another thread, and written down when everything about it is known.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change<P> {
    /// New rows: each part is what stands behind `INSERT INTO table` in a statement of its own.
    #[doc(hidden)]
    Insert {
        parts: Vec<P>,
        /// Whether each part is one row.
        one_row_each: bool,
    },
    /// A whole `INSERT INTO …` of Diesel's, without `RETURNING`.
    #[doc(hidden)]
    Statement {
        statement: P,
        /// Whether it may update rows rather than insert them.
        upsert: bool,
    },
    /// `SET …` and `WHERE …`.
    #[doc(hidden)]
    Update { changes: P, filter: P },
    /// `WHERE …`.
    #[doc(hidden)]
    Delete { filter: P },
}

/// A change, and everything that is to be known to make it.
#[derive(Debug)]
pub struct Audit<P> {
    pub(crate) table: &'static TrackedTable,
    pub(crate) change: Change<P>,
    pub(crate) recorder: Recorder,
    pub(crate) record_unchanged: bool,
    pub(crate) returned: Option<Returned<P>>,
}

/// The columns that the caller wants to see of the rows that were touched.
#[derive(Debug)]
pub struct Returned<P> {
    pub(crate) columns: P,
    /// How many there are.
    #[cfg_attr(
        not(feature = "postgres_backend"),
        expect(dead_code, reason = "the other engines do not name them")
    )]
    pub(crate) count: usize,
}

/// Rows to be inserted, in order: what can stand behind `INSERT INTO table`.
#[diagnostic::on_unimplemented(
    message = "these values cannot be inserted into an audited table",
    note = "give one insertable value, or a slice, vector or array of them; for `INSERT … SELECT` there is \
            `audited_insert_select`"
)]
pub trait Rows<DB: Backend> {
    /// How many.
    #[doc(hidden)]
    fn count(&self) -> usize;

    /// Writes some of them.
    #[doc(hidden)]
    fn walk_rows<'b>(&'b self, rows: Range<usize>, out: AstPass<'_, 'b, DB>) -> QueryResult<()>;
}

impl<V, T, DB> Rows<DB> for ValuesClause<V, T>
where
    DB: Backend,
    Self: QueryFragment<DB>,
{
    fn count(&self) -> usize {
        1
    }

    fn walk_rows<'b>(&'b self, _: Range<usize>, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.walk_ast(out)
    }
}

impl<V, T, Id, DB, const STABLE: bool> Rows<DB>
    for BatchInsert<Vec<ValuesClause<V, T>>, T, Id, STABLE>
where
    DB: Backend,
    ValuesClause<V, T>: QueryFragment<DB>,
    V: QueryFragment<DB>,
{
    fn count(&self) -> usize {
        self.values.len()
    }

    fn walk_rows<'b>(
        &'b self,
        rows: Range<usize>,
        mut out: AstPass<'_, 'b, DB>,
    ) -> QueryResult<()> {
        let Some((first, others)) = self.values[rows].split_first() else {
            return Ok(());
        };
        first.walk_ast(out.reborrow())?;
        if !others.is_empty() {
            // Each number of rows is a text of its own.
            out.unsafe_to_cache_prepared();
        }
        for row in others {
            out.push_sql(", (");
            row.values.walk_ast(out.reborrow())?;
            out.push_sql(")");
        }
        Ok(())
    }
}

impl<DB: Backend> Rows<DB> for DefaultValues
where
    Self: QueryFragment<DB>,
{
    fn count(&self) -> usize {
        1
    }

    fn walk_rows<'b>(&'b self, _: Range<usize>, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.walk_ast(out)
    }
}

/// Some rows of an insert, as a part of a statement.
struct SomeRows<'r, DB: Backend> {
    rows: &'r dyn Rows<DB>,
    range: Range<usize>,
}

impl<DB: Backend> QueryFragment<DB> for SomeRows<'_, DB> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.rows.walk_rows(self.range.clone(), out)
    }
}

/// Renders an insert in as many parts as its values need.
pub(crate) fn render_rows<DB: Engine>(rows: &dyn Rows<DB>) -> QueryResult<Change<DB::Part>> {
    let count = rows.count();
    let mut parts = Vec::new();
    let (mut from, mut per_part) = (0, if DB::ROW_BY_ROW { 1 } else { count });
    while from < count {
        let to = (from + per_part).min(count);
        let range = from..to;
        let part = DB::render(&SomeRows { rows, range })?;
        let values = DB::values_in(&part);
        if values > MAX_VALUES && to - from > 1 {
            // Rows leave out columns, so some have fewer values than others: as many as fit on the average, then fewer.
            per_part = ((to - from) * MAX_VALUES / values).clamp(1, to - from - 1);
            continue;
        }
        parts.push(part);
        from = to;
    }
    Ok(Change::Insert {
        parts,
        one_row_each: count == 1 || DB::ROW_BY_ROW,
    })
}

/// How many values the rows of one statement bind at most: on most engines their number is sent as 16 bits, and the
/// statement has some of its own.
const MAX_VALUES: usize = 65_000;

/// What stands behind the conflict that an insert of Diesel's provides for, where it does.
pub(crate) fn conflict_clause(statement: &str) -> Option<&str> {
    ["ON CONFLICT", "ON DUPLICATE KEY UPDATE"]
        .into_iter()
        .find_map(|clause| Some(statement.rsplit_once(clause)?.1))
}

/// Whether a conflict clause assigns to a column of the key: as Diesel writes it, the bare name in quotes. On MySQL, to do
/// nothing is to assign a column to itself.
pub(crate) fn assigns_key(clause: &str, table: &TrackedTable) -> bool {
    let assigns = |key: &&str| {
        ['"', '`'].into_iter().any(|quote| {
            let assignment = format!("{quote}{key}{quote} = ");
            clause.match_indices(&assignment).any(|(at, _)| {
                let behind = &clause[at + assignment.len()..];
                !clause[..at].ends_with('.')
                    && !behind.starts_with(&assignment[..assignment.len() - 3])
            })
        })
    };
    table.key.iter().any(assigns)
}

/// Whether a rendered `SET …` names a column of the key: it may then change it. It may also only read it, which costs a
/// look, nothing else.
#[cfg(any(feature = "sqlite", feature = "postgres_backend"))]
pub(crate) fn may_change_key(changes: &str, table: &TrackedTable) -> bool {
    let words = changes.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let mut named = words.filter(|word| {
        table
            .key
            .iter()
            .any(|key| key.eq_ignore_ascii_case(word) || !is_word(key))
    });
    named.next().is_some()
}

#[cfg(any(feature = "sqlite", feature = "postgres_backend"))]
fn is_word(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || c == '_')
}
