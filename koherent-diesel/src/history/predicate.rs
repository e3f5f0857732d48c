//! Which rows were changed: a condition for any query of Diesel's.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::OnceLock;

use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::Error as DieselError;
use diesel::sql_types::Bool;
use diesel::{QueryResult, Table};

use super::rows::RowFilter;
use crate::engine::Engine;
use crate::error::Error;
use crate::prepared::{Kind, is_kept};
use crate::script::Script;
use crate::table::{Audited, TrackedTable};

/// Rows that have an entry in their history which matches, or that a [`RowFilter`] means: a condition for any query over the
/// table.
///
/// ```
/// # include!("../doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection_with_liver();
/// use koherent_core::ChangeKind;
/// use koherent_diesel::{HistoryFilter, changed};
///
/// let created_by_a_job = HistoryFilter::new().kind(ChangeKind::Create).user("nightly-import");
/// let names: Vec<String> =
///     samples::table.filter(changed(samples::table, created_by_a_job)).select(samples::name).load(conn)?;
/// # assert!(names.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// Rows that are gone are in no query; [`deleted`](crate::deleted) reads them. Of a filter by task, PostgreSQL and SQLite
/// read the index alone.
pub fn changed<T: Audited>(_: T, filter: impl Into<RowFilter>) -> Changed<T> {
    Changed {
        filter: filter.into(),
        written: Written::default(),
        table: PhantomData,
    }
}

/// Rows with such an entry: [`changed`].
#[derive(Debug)]
#[must_use = "it is a condition of a query"]
pub struct Changed<T> {
    filter: RowFilter,
    written: Written,
    table: PhantomData<fn() -> T>,
}

impl<T> Clone for Changed<T> {
    fn clone(&self) -> Self {
        Self {
            filter: self.filter.clone(),
            written: Written::default(),
            table: PhantomData,
        }
    }
}

impl<DB: Engine, T: Audited> QueryFragment<DB> for Changed<T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let script = self
            .written
            .once::<DB>(|| write(T::tracked(), &self.filter))?;
        if !(script.keep && is_kept(Kind::Read, &script.shape())) {
            out.unsafe_to_cache_prepared();
        }
        script.push_to(out)
    }
}

fn write<DB: Engine>(table: &'static TrackedTable, filter: &RowFilter) -> QueryResult<Script<DB>> {
    if let Some(field) = filter.unknown_field(table) {
        return Err(DieselError::QueryBuilderError(Box::new(
            Error::UnknownField { field },
        )));
    }
    let mut sql = Script::new();
    filter.push(&mut sql, table);
    Ok(sql)
}

/// A statement that is written when the engine is known, once.
#[derive(Default)]
pub(super) struct Written(OnceLock<Box<dyn Any + Send + Sync>>);

impl Written {
    pub(super) fn once<DB: Engine>(
        &self,
        write: impl FnOnce() -> QueryResult<Script<DB>>,
    ) -> QueryResult<&Script<DB>> {
        if self.0.get().is_none() {
            // Two threads that meet here write the same.
            let _ = self.0.set(Box::new(write()?));
        }
        let written = self.0.get().and_then(|any| any.downcast_ref());
        written.ok_or_else(|| {
            DieselError::QueryBuilderError("one query value serves one engine: make another".into())
        })
    }
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Written")
    }
}

impl<T> QueryId for Changed<T> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T> Expression for Changed<T> {
    type SqlType = Bool;
}

impl<T, G> ValidGrouping<G> for Changed<T> {
    type IsAggregate = is_aggregate::Never;
}

/// It names the key of the table, so it stands where the key can stand.
impl<T, QS> AppearsOnTable<QS> for Changed<T>
where
    T: Table,
    T::PrimaryKey: AppearsOnTable<QS>,
{
}

impl<T, QS> SelectableExpression<QS> for Changed<T>
where
    T: Table,
    T::PrimaryKey: SelectableExpression<QS>,
{
}
