//! Statements put together from parts: SQL text of our own, and what Diesel renders from the user's expressions.
//!
//! A rendered part owns its values, so a statement can be moved to another thread and a part can stand in several
//! statements. Identifiers come from Diesel's `table!` and are quoted; values are always bound.

use std::sync::Arc;

use diesel::connection::LoadConnection;
use diesel::query_builder::{
    AstPass, MoveableBindCollector, Query, QueryBuilder as _, QueryFragment, QueryId,
};
use diesel::row::{Field, Row as _};
use diesel::sql_types::{BigInt, Binary, Double, Nullable, Text, Untyped};
use diesel::sqlite::Sqlite;
use diesel::{Connection, QueryResult, SqliteConnection};

use super::value::Value;
use crate::table::{Name, TrackedTable};

type Collector<'a> = <Sqlite as diesel::backend::Backend>::BindCollector<'a>;
type Collected = <Collector<'static> as MoveableBindCollector<Sqlite>>::BindData;

/// A row of a statement's result.
pub(crate) type Row<'c, 'q> = <SqliteConnection as LoadConnection>::Row<'c, 'q>;

/// Some neighbouring columns of a row.
pub(crate) type PartialRow<'r, 'c, 'q> = diesel::row::PartialRow<'r, Row<'c, 'q>>;

/// SQL with its values.
#[derive(Debug, Default, Clone)]
pub struct Sql {
    text: String,
    binds: Vec<Bind>,
    varies: bool,
}

#[derive(Debug, Clone)]
enum Bind {
    Rendered(Arc<Collected>),
    Value(Value),
}

impl Sql {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Renders what Diesel can render for SQLite.
    pub(crate) fn render(fragment: &dyn QueryFragment<Sqlite>) -> QueryResult<Self> {
        let mut text = <Sqlite as diesel::backend::Backend>::QueryBuilder::default();
        fragment.to_sql(&mut text, &Sqlite)?;
        let mut binds = Collector::default();
        fragment.collect_binds(&mut binds, &mut (), &Sqlite)?;
        let varies = !fragment.is_safe_to_cache_prepared(&Sqlite)?;
        let binds = vec![Bind::Rendered(Arc::new(binds.moveable()))];
        Ok(Self {
            text: text.finish(),
            binds,
            varies,
        })
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(crate) fn append(&mut self, part: &Self) -> &mut Self {
        self.text.push_str(&part.text);
        self.binds.extend(part.binds.iter().cloned());
        self.varies |= part.varies;
        self
    }

    pub(crate) fn identifier(&mut self, name: &str) -> &mut Self {
        self.text.push('`');
        self.text.push_str(&name.replace('`', "``"));
        self.text.push('`');
        self
    }

    pub(crate) fn table(&mut self, name: Name) -> &mut Self {
        if let Some(schema) = name.schema {
            self.identifier(schema).push(".");
        }
        self.identifier(name.table)
    }

    /// Writes names with commas between them, each behind `prefix`.
    pub(crate) fn identifiers<'n>(
        &mut self,
        prefix: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> &mut Self {
        for (at, name) in names.into_iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.push(prefix).identifier(name);
        }
        self
    }

    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.text.push('?');
        self.binds.push(Bind::Value(value.into()));
        self
    }

    /// Writes values with commas between them.
    pub(crate) fn bind_all(&mut self, values: impl IntoIterator<Item = Value>) -> &mut Self {
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.bind(value);
        }
        self
    }

    /// Says that this text is not worth keeping as a prepared statement: it has another length each time.
    pub(crate) const fn do_not_cache(&mut self) {
        self.varies = true;
    }

    /// Whether this is what Diesel renders of `table.find(key)` with plain values: each key column equal to one value.
    pub(crate) fn is_plain_key(&self, table: &TrackedTable) -> bool {
        let bare = |text: &str| text.replace(['(', ')', ' '], "");
        let mut plain = Self::new();
        for (at, column) in table.key.iter().enumerate() {
            plain
                .push(if at > 0 { "AND" } else { "WHERE" })
                .table(table.name);
            plain.push(".").identifier(column).push("=?");
        }
        bare(&self.text) == bare(&plain.text)
    }

    /// Takes over the values of a part, for places that the caller has written with `?`.
    pub(crate) fn take_binds(&mut self, part: &Self) -> &mut Self {
        self.binds.extend(part.binds.iter().cloned());
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

impl QueryFragment<Sqlite> for Sql {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        if self.varies {
            out.unsafe_to_cache_prepared();
        }
        out.push_sql(&self.text);
        for bind in &self.binds {
            match bind {
                Bind::Rendered(binds) => out.push_bind_collector_data(&**binds)?,
                Bind::Value(Value::Null) => {
                    out.push_bind_param_value_only::<Nullable<Text>, Option<String>>(&None)?;
                }
                Bind::Value(Value::Integer(number)) => {
                    out.push_bind_param_value_only::<BigInt, _>(number)?;
                }
                Bind::Value(Value::Real(number)) => {
                    out.push_bind_param_value_only::<Double, _>(number)?;
                }
                Bind::Value(Value::Text(text)) => {
                    out.push_bind_param_value_only::<Text, _>(text)?;
                }
                Bind::Value(Value::Blob(bytes)) => {
                    out.push_bind_param_value_only::<Binary, _>(bytes)?;
                }
            }
        }
        Ok(())
    }
}

impl QueryId for Sql {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Sql {
    type SqlType = Untyped;
}

/// Runs a statement and says how many rows it touched.
pub(crate) fn execute(connection: &mut SqliteConnection, sql: &Sql) -> QueryResult<usize> {
    connection.execute_returning_count(sql)
}

/// Runs a statement and looks at each row of its result. Says how many there were.
pub(crate) fn for_each_row<E: From<diesel::result::Error>>(
    connection: &mut SqliteConnection,
    sql: &Sql,
    mut look: impl FnMut(&Row<'_, '_>) -> Result<(), E>,
) -> Result<usize, E> {
    let mut count = 0;
    for row in LoadConnection::load(connection, sql)? {
        look(&row?)?;
        count += 1;
    }
    Ok(count)
}

/// The values of a row from that column on, as many as asked for.
pub(crate) fn values(row: &Row<'_, '_>, from: usize, count: usize) -> Vec<Value> {
    (from..from + count)
        .map(|at| Value::read(row.get(at).as_ref().and_then(Field::value)))
        .collect()
}

/// A table's or column's name as Diesel renders it, with its quotes.
pub(crate) fn rendered_name(fragment: &dyn QueryFragment<Sqlite>) -> String {
    Sql::render(fragment)
        .map(|sql| sql.text)
        .unwrap_or_default()
}
