//! Statements put together from parts: SQL text of our own, and what Diesel renders from the user's expressions. The parts
//! own their values, so a statement can move to another thread and a part can stand in several statements.

use std::fmt::Debug;
use std::sync::Arc;

use diesel::QueryResult;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Untyped;

use crate::engine::Engine;
use crate::prepared::{Kind, is_kept};
use crate::script::{Bind, Piece, Script};
use crate::sql::Write;

/// An engine that writes values as `?`.
pub trait Positional: Engine {
    /// What stands before a list of rows in `IN (…)`.
    const ROWS: &'static str;

    /// A value of our own, or one read from a row.
    type Value: Debug + Clone + Send + Sync + 'static;

    /// The values of a part that Diesel rendered.
    type Binds: Send + Sync + 'static;

    /// Renders a part.
    fn rendered(part: &dyn QueryFragment<Self>) -> QueryResult<(String, Self::Binds)>;

    /// A value of a statement that reads.
    fn value(bind: Bind) -> Self::Value;

    fn push_value<'b>(value: &'b Self::Value, out: AstPass<'_, 'b, Self>) -> QueryResult<()>;

    fn push_binds<'b>(binds: &'b Self::Binds, out: AstPass<'_, 'b, Self>) -> QueryResult<()>;
}

/// SQL with its values.
pub struct Sql<DB: Positional> {
    text: String,
    binds: Vec<Placed<DB>>,
    varies: bool,
}

/// The values of some places.
enum Placed<DB: Positional> {
    Rendered(Arc<DB::Binds>),
    Value(DB::Value),
}

impl<DB: Positional> Clone for Placed<DB> {
    fn clone(&self) -> Self {
        match self {
            Self::Rendered(binds) => Self::Rendered(Arc::clone(binds)),
            Self::Value(value) => Self::Value(value.clone()),
        }
    }
}

impl<DB: Positional> Clone for Sql<DB> {
    fn clone(&self) -> Self {
        Self {
            text: self.text.clone(),
            binds: self.binds.clone(),
            varies: self.varies,
        }
    }
}

/// The text alone: values are nobody's business.
impl<DB: Positional> Debug for Sql<DB> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sql").field(&self.text).finish()
    }
}

impl<DB: Positional> Write for Sql<DB> {
    const QUOTE: char = <DB as Engine>::QUOTE;

    fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }
}

impl<DB: Positional> Sql<DB> {
    pub(crate) const fn new() -> Self {
        Self {
            text: String::new(),
            binds: Vec::new(),
            varies: false,
        }
    }

    /// Renders what Diesel can render.
    pub(crate) fn render(part: &dyn QueryFragment<DB>) -> QueryResult<Self> {
        let varies = !part.is_safe_to_cache_prepared(&DB::default())?;
        let (text, binds) = DB::rendered(part)?;
        Ok(Self {
            text,
            binds: vec![Placed::Rendered(Arc::new(binds))],
            varies,
        })
    }

    pub(crate) fn append(&mut self, part: &Self) -> &mut Self {
        self.text.push_str(&part.text);
        self.binds.extend(part.binds.iter().cloned());
        self.varies |= part.varies;
        self
    }

    pub(crate) fn bind(&mut self, value: impl Into<DB::Value>) -> &mut Self {
        self.text.push('?');
        self.binds.push(Placed::Value(value.into()));
        self
    }

    /// Writes values with commas between them.
    pub(crate) fn bind_all(&mut self, values: impl IntoIterator<Item = DB::Value>) -> &mut Self {
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

    /// Says that it is, although one of its parts is not.
    pub(crate) const fn keep(&mut self) {
        self.varies = false;
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl<DB: Positional> From<Script<DB>> for Sql<DB> {
    fn from(script: Script<DB>) -> Self {
        let mut sql = Self::new();
        sql.varies = !(script.keep && is_kept(Kind::Read, &script.shape()));
        for piece in script.into_pieces() {
            match piece {
                Piece::Sql(text) => sql.push(&text),
                Piece::Bind(bind) => sql.bind(DB::value(bind)),
            };
        }
        sql
    }
}

impl<DB: Positional> QueryFragment<DB> for Sql<DB> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        if self.varies {
            out.unsafe_to_cache_prepared();
        }
        out.push_sql(&self.text);
        for bind in &self.binds {
            match bind {
                Placed::Rendered(binds) => DB::push_binds(binds, out.reborrow())?,
                Placed::Value(value) => DB::push_value(value, out.reborrow())?,
            }
        }
        Ok(())
    }
}

impl<DB: Positional> QueryId for Sql<DB> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB: Positional> Query for Sql<DB> {
    type SqlType = Untyped;
}
