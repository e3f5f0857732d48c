//! Rows as they were: any query of Diesel's, asked of the past.
//!
//! `WITH samples AS (SELECT … FROM samples_history …) SELECT samples.name FROM samples` — a common table expression hides the
//! table of its name. So the query stays what it is, joins included, and finds the rows of then.

use chrono::{DateTime, Utc};
use diesel::query_builder::{AsQuery, AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error as DieselError;
use diesel::{QueryResult, RunQueryDsl};

use super::predicate::Written;
use super::select::push_same_row;
use crate::engine::Engine;
use crate::plain::audited_tables;
use crate::script::Script;
use crate::sql::Write as _;
use crate::table::TrackedTable;

/// A query, asked of the rows as they were at that time: those that had been created and not deleted, with the values that
/// they had. All tables in it must be audited; joins work as ever.
///
/// ```
/// # include!("../doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection_with_liver();
/// use koherent_diesel::{as_of, audited_update, entries_of};
///
/// let then = entries_of(samples::table, 1).load(conn)?[0].date;
/// # std::thread::sleep(std::time::Duration::from_millis(2));
/// let nightly = Attribution::system("nightly-import");
/// audited_update(samples::table.find(1), samples::name.eq("heart")).by(&nightly).execute(conn)?;
///
/// let query = samples::table.filter(samples::id.gt(0)).select(samples::name);
/// let names: Vec<String> = as_of(query, then).load(conn)?;
/// assert_eq!(names, ["liver"]);
/// # Ok(())
/// # }
/// ```
///
/// Limits, orders and filters go inside. What is not kept is not known: a query that names a column without history, or a
/// table without one, is an error, never the present. Rows that are older than their history are unknown before the first
/// entry (`koherent baseline` writes one). A time before which a transaction wrote, but after which it committed,
/// already shows what it wrote. SQL of your own (`diesel::dsl::sql`) is not looked into: tables that it names without quotes
/// are those of the present.
pub fn as_of<Q: AsQuery>(query: Q, date: DateTime<Utc>) -> Past<Q::Query> {
    Past::new(query, Moment::At(date))
}

/// A query, asked of the rows that are gone, as they were when they were deleted.
///
/// ```
/// # include!("../doctest_setup.rs");
/// # fn main() -> Result<(), koherent_diesel::Error> {
/// # let conn = &mut connection_with_liver();
/// use koherent_diesel::{audited_delete, deleted};
///
/// audited_delete(samples::table.find(1)).by(&Attribution::system("nightly-import")).execute(conn)?;
/// let names: Vec<String> = deleted(samples::table.find(1).select(samples::name)).load(conn)?;
/// assert_eq!(names, ["liver"]);
/// # Ok(())
/// # }
/// ```
///
/// With [`changed`](crate::changed) inside, the rows that a certain task deleted, say. As for columns and tables without history,
/// see [`as_of`].
pub fn deleted<Q: AsQuery>(query: Q) -> Past<Q::Query> {
    Past::new(query, Moment::Deletion)
}

/// A query that is asked of the past: [`as_of`], [`deleted`].
#[derive(Debug)]
#[must_use = "nothing is read until it is loaded"]
pub struct Past<Q> {
    query: Q,
    moment: Moment,
    written: Written,
}

#[derive(Debug, Clone, Copy)]
enum Moment {
    At(DateTime<Utc>),
    Deletion,
}

impl<Q> Past<Q> {
    fn new(query: impl AsQuery<Query = Q>, moment: Moment) -> Self {
        Self {
            query: query.as_query(),
            moment,
            written: Written::default(),
        }
    }
}

impl<Q: Query> Query for Past<Q> {
    type SqlType = Q::SqlType;
}

impl<Q, Conn> RunQueryDsl<Conn> for Past<Q> {}

impl<Q> QueryId for Past<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB, Q> QueryFragment<DB> for Past<Q>
where
    DB: Engine,
    Q: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let script = self.written.once::<DB>(|| {
            let tables = tables_in(&DB::text_in(&DB::render(&self.query)?), DB::QUOTE);
            let tables =
                tables.map_err(|problem| DieselError::QueryBuilderError(problem.into()))?;
            Ok(write(&tables, self.moment))
        })?;
        script.push_to(out.reborrow())?;
        self.query.walk_ast(out)
    }
}

/// `WITH samples AS (…), measurements AS (…) `.
fn write<DB: Engine>(tables: &[&'static TrackedTable], moment: Moment) -> Script<DB> {
    let mut sql = Script::new();
    for (at, table) in tables.iter().enumerate() {
        sql.push(if at > 0 { ", " } else { "WITH " });
        sql.identifier(table.name.table).push(" AS (SELECT ");
        for (at, column) in table.columns.iter().enumerate() {
            sql.push(if at > 0 { ", " } else { "" });
            DB::push_row_value(&mut sql, table, "h", column);
            sql.push(" AS ").identifier(column.name);
        }
        sql.push(" FROM ").table(table.history);
        sql.push(" AS h WHERE h.history_kind ");
        match moment {
            Moment::At(date) => sql.push("<> '-' AND h.history_date <= ").date(date),
            Moment::Deletion => sql.push("= '-'"),
        };
        sql.push(" AND NOT EXISTS (SELECT 1 FROM ")
            .table(table.history);
        sql.push(" AS n WHERE ");
        push_same_row(&mut sql, table, "n", "h");
        sql.push(" AND n.history_id > h.history_id");
        if let Moment::At(date) = moment {
            sql.push(" AND n.history_date <= ").date(date);
        }
        sql.push("))");
    }
    sql.push(" ");
    sql
}

/// The audited tables that a query names. Whatever it names beside them has no past.
fn tables_in(text: &str, quote: char) -> Result<Vec<&'static TrackedTable>, String> {
    let names = names_in(text, quote);
    let audited = audited_tables();
    let find = |name: &str| {
        audited
            .iter()
            .copied()
            .find(|table| table.name.table == name)
    };
    let aliases: Vec<_> = names
        .iter()
        .filter(|name| name.is_alias)
        .map(|name| name.parts[0].as_str())
        .collect();
    let mut found: Vec<&'static TrackedTable> = Vec::new();
    for name in names.iter().filter(|name| !name.is_alias) {
        let (table, column) = match &name.parts[..] {
            [table] => (table, None),
            [table, column] => (table, Some(column)),
            _ => {
                return Err(format!(
                    "`{}` stands in a schema of its own: the past of such tables cannot be queried; read their history",
                    name.parts.join(".")
                ));
            }
        };
        let is_history = |known: &&TrackedTable| known.history.table == table;
        if aliases.contains(&table.as_str()) || audited.iter().any(is_history) {
            continue;
        }
        let Some(tracked) = find(table) else {
            return Err(format!(
                "`{table}` is not audited, so nobody knows its past: leave it out of the query, or declare it with `audited!`"
            ));
        };
        if tracked.name.schema.is_some() {
            return Err(format!(
                "`{table}` stands in a schema of its own: the past of such tables cannot be queried; read their history"
            ));
        }
        if let Some(column) = column
            && !tracked.fields.contains(&column.as_str())
        {
            return Err(format!(
                "the history of `{table}` does not keep `{column}`: select the columns that it keeps"
            ));
        }
        if !found.iter().any(|known| std::ptr::eq(*known, tracked)) {
            found.push(tracked);
        }
    }
    Ok(found)
}

/// A quoted name in a statement, with what stands before its dots.
#[derive(Debug, PartialEq)]
struct Named {
    parts: Vec<String>,
    is_alias: bool,
}

fn names_in(text: &str, quote: char) -> Vec<Named> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find([quote, '\'']) {
        let (before, quoted) = rest.split_at(at);
        let is_text = quoted.starts_with('\'');
        let delimiter = if is_text { '\'' } else { quote };
        let mut parts = Vec::new();
        rest = quoted;
        while rest.starts_with(delimiter) {
            let (part, behind) = unquoted(rest, delimiter);
            parts.push(part);
            rest = behind;
            match rest.strip_prefix('.') {
                Some(behind) if behind.starts_with(delimiter) => rest = behind,
                _ => break,
            }
        }
        // Koherent's own conditions have aliases without quotes.
        if !is_text && !before.ends_with('.') {
            let is_alias = before.trim_end().to_ascii_uppercase().ends_with(" AS");
            names.push(Named { parts, is_alias });
        }
    }
    names
}

/// The text between two quotes, where doubled ones are part of it, and what stands behind.
fn unquoted(text: &str, quote: char) -> (String, &str) {
    let mut rest = &text[quote.len_utf8()..];
    let mut name = String::new();
    while let Some(at) = rest.find(quote) {
        name.push_str(&rest[..at]);
        rest = &rest[at + quote.len_utf8()..];
        if !rest.starts_with(quote) {
            return (name, rest);
        }
        name.push(quote);
        rest = &rest[quote.len_utf8()..];
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_with_their_qualifiers_and_texts_left_alone() {
        let text = r#"SELECT "a"."b", 'it''s "no" name' FROM ("a" INNER JOIN "odd ""name" AS "o" ON "x"."y"."z" = 1)"#;
        let named = |parts: &[&str], is_alias| Named {
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
            is_alias,
        };
        let expected = [
            named(&["a", "b"], false),
            named(&["a"], false),
            named(&["odd \"name"], false),
            named(&["o"], true),
            named(&["x", "y", "z"], false),
        ];
        assert_eq!(names_in(text, '"'), expected);
    }
}
