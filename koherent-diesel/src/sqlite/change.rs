//! A change, rendered for SQLite: what the generic front hands to the plan, which is the same for all tables.

use diesel::QueryResult;
use diesel::query_builder::{BatchInsert, DefaultValues, QueryFragment, ValuesClause};
use diesel::sqlite::Sqlite;

use super::sql::Sql;
use crate::statement::{AuditedStatement, Delete, Insert, Update};
use crate::table::{Audited, TrackedTable};

/// A change to an audited table, ready to run on any SQLite connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change {
    #[doc(hidden)]
    Insert(Inserted),
    #[doc(hidden)]
    Update(Updated),
    #[doc(hidden)]
    Delete(Deleted),
}

/// One `INSERT INTO …` per row.
#[derive(Debug)]
pub struct Inserted {
    pub(super) table: &'static TrackedTable,
    pub(super) statements: Vec<Sql>,
}

/// `SET …` and `WHERE …`.
#[derive(Debug)]
pub struct Updated {
    pub(super) table: &'static TrackedTable,
    pub(super) changes: Sql,
    pub(super) filter: Sql,
}

/// `WHERE …`.
#[derive(Debug)]
pub struct Deleted {
    pub(super) table: &'static TrackedTable,
    pub(super) filter: Sql,
}

impl Change {
    pub(super) const fn table(&self) -> &'static TrackedTable {
        match self {
            Self::Insert(insert) => insert.table,
            Self::Update(update) => update.table,
            Self::Delete(delete) => delete.table,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Insert(insert) if insert.statements.is_empty())
    }
}

/// What can stand behind `INSERT INTO table`: rows are rendered one by one, since SQLite has no `DEFAULT` keyword and
/// rows may leave out different columns.
#[diagnostic::on_unimplemented(
    message = "these values cannot be inserted into an audited table of SQLite",
    note = "give one insertable value, or a slice, vector or array of them"
)]
pub trait Records {
    #[doc(hidden)]
    fn render(&self) -> QueryResult<Vec<Sql>>;
}

impl<V, T> Records for ValuesClause<V, T>
where
    Self: QueryFragment<Sqlite>,
{
    fn render(&self) -> QueryResult<Vec<Sql>> {
        Ok(vec![Sql::render(self)?])
    }
}

impl<V, T, Id, const STABLE: bool> Records for BatchInsert<Vec<ValuesClause<V, T>>, T, Id, STABLE>
where
    ValuesClause<V, T>: QueryFragment<Sqlite>,
{
    fn render(&self) -> QueryResult<Vec<Sql>> {
        self.values
            .iter()
            .map(|values| Sql::render(values))
            .collect()
    }
}

impl Records for DefaultValues {
    fn render(&self) -> QueryResult<Vec<Sql>> {
        Ok(vec![Sql::render(self)?])
    }
}

impl<T, V> AuditedStatement<Sqlite> for Insert<T, V>
where
    T: Audited,
    V: Records,
{
    type Table = T;

    fn into_change(self) -> QueryResult<Change> {
        let table = T::tracked();
        let mut statements = self.records.render()?;
        for statement in &mut statements {
            let mut whole = Sql::new();
            whole
                .push("INSERT INTO ")
                .table(table.name)
                .push(" ")
                .append(statement);
            *statement = whole;
        }
        Ok(Change::Insert(Inserted { table, statements }))
    }
}

impl<T, W, V> AuditedStatement<Sqlite> for Update<T, W, V>
where
    T: Audited,
    W: QueryFragment<Sqlite>,
    V: QueryFragment<Sqlite>,
{
    type Table = T;

    fn into_change(self) -> QueryResult<Change> {
        let changes = Sql::render(&self.changes)?;
        if changes.is_empty() {
            return Err(diesel::result::Error::QueryBuilderError(
                "there are no changes to save: every field of the changeset is `None`".into(),
            ));
        }
        let filter = Sql::render(&self.target.where_clause)?;
        Ok(Change::Update(Updated {
            table: T::tracked(),
            changes,
            filter,
        }))
    }
}

impl<T, W> AuditedStatement<Sqlite> for Delete<T, W>
where
    T: Audited,
    W: QueryFragment<Sqlite>,
{
    type Table = T;

    fn into_change(self) -> QueryResult<Change> {
        let filter = Sql::render(&self.target.where_clause)?;
        Ok(Change::Delete(Deleted {
            table: T::tracked(),
            filter,
        }))
    }
}
