//! Statements and their parts: PostgreSQL numbers its values, so a part must be written so that it can stand anywhere.

use diesel::QueryResult;
use diesel::pg::{Pg, PgQueryBuilder};
use diesel::query_builder::{QueryBuilder as _, QueryFragment};
use diesel::result::Error as DieselError;

use super::collect::Binds;
use crate::engine::Engine as _;
use crate::prepared::{Kind, is_kept};
use crate::script::{Bind, Piece, Script};
use crate::sql::Write;

/// A part that Diesel has rendered: the text between its values, and the values.
#[derive(Debug, Clone)]
pub struct Part {
    /// One more than there are values.
    texts: Vec<String>,
    binds: Binds,
    /// Whether its text is worth keeping as a prepared statement.
    keep: bool,
}

impl Part {
    pub(super) fn render(part: &dyn QueryFragment<Pg>) -> QueryResult<Self> {
        let binds = Binds::collect(part)?;
        Ok(Self {
            texts: texts(part, binds.len())?,
            binds,
            keep: part.is_safe_to_cache_prepared(&Pg)?,
        })
    }

    pub(super) const fn values(&self) -> usize {
        self.binds.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.texts.iter().all(String::is_empty)
    }

    /// The text, with a `$` for each value.
    pub(super) fn text(&self) -> String {
        self.texts.join("$")
    }
}

/// The text of a part between its values. Where these stand cannot be seen in one text: `$1` may be in a literal. But they
/// are the only thing that changes when the part is rendered again, behind another value.
fn texts(part: &dyn QueryFragment<Pg>, values: usize) -> QueryResult<Vec<String>> {
    let mut first = PgQueryBuilder::default();
    part.to_sql(&mut first, &Pg)?;
    let first = first.finish();
    if values == 0 {
        return Ok(vec![first]);
    }
    let mut second = PgQueryBuilder::default();
    second.push_bind_param();
    part.to_sql(&mut second, &Pg)?;
    let second = second.finish();
    split(&first, &second["$1".len()..], values).ok_or_else(|| {
        DieselError::QueryBuilderError(
            "a part of the statement renders differently each time".into(),
        )
    })
}

/// Splits two texts where the first has `$n` and the second `$n+1`, for n from 1 to `values`.
fn split(mut first: &str, mut second: &str, values: usize) -> Option<Vec<String>> {
    let mut texts = Vec::with_capacity(values + 1);
    for n in 1..=values {
        let (here, there) = (format!("${n}"), format!("${}", n + 1));
        let mut at = 0;
        loop {
            at += first[at..].find(&here)?;
            // The same text before it, and another number behind.
            if second.get(..at) == Some(&first[..at])
                && second.get(at..)?.starts_with(&there)
                && !is_longer(&first[at + here.len()..], &second[at + there.len()..])
            {
                break;
            }
            at += 1;
        }
        texts.push(first[..at].to_owned());
        first = &first[at + here.len()..];
        second = &second[at + there.len()..];
    }
    (first == second).then(|| {
        texts.push(first.to_owned());
        texts
    })
}

/// Whether a number goes on.
fn is_longer(first: &str, second: &str) -> bool {
    let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    digit(first) || digit(second)
}

/// A statement that is being written.
#[derive(Debug, Clone)]
pub(super) struct Sql {
    pub(super) text: String,
    pub(super) binds: Binds,
    /// Whether its text is worth keeping as a prepared statement.
    pub(super) keep: bool,
}

impl Write for Sql {
    const QUOTE: char = '"';

    fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }
}

/// The object ids of `text` and `text[]`, which are the same everywhere.
const TEXT: (u32, u32) = (25, 1009);

impl Sql {
    pub(super) fn new() -> Self {
        Self {
            text: String::with_capacity(512),
            binds: Binds::default(),
            keep: true,
        }
    }

    /// Writes a part.
    pub(super) fn part(&mut self, part: Part) -> &mut Self {
        let mut number = self.binds.len();
        for (at, text) in part.texts.iter().enumerate() {
            if at > 0 {
                number += 1;
                self.place(number);
            }
            self.text.push_str(text);
        }
        self.binds.append(part.binds);
        self.keep &= part.keep;
        self
    }

    /// Writes `$n`.
    pub(super) fn place(&mut self, number: usize) {
        self.text.push('$');
        self.text.push_str(&number.to_string());
    }

    /// Writes a text, or NULL.
    pub(super) fn bind(&mut self, text: Option<String>) -> &mut Self {
        let (oid, array) = TEXT;
        self.binds.push(oid, array, text.map(String::into_bytes));
        self.place(self.binds.len());
        self
    }

    /// Writes texts with commas between them.
    pub(super) fn bind_all(
        &mut self,
        texts: impl IntoIterator<Item = Option<String>>,
    ) -> &mut Self {
        for (at, text) in texts.into_iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.bind(text);
        }
        self
    }

    /// Writes `prefix0, prefix1, …`.
    pub(super) fn numbered(&mut self, prefix: &str, count: usize) -> &mut Self {
        for at in 0..count {
            self.push(if at > 0 { ", " } else { "" })
                .push(prefix)
                .push(&at.to_string());
        }
        self
    }
}

/// Values are sent as text; what they are, the statement says.
impl From<Script<Pg>> for Sql {
    fn from(script: Script<Pg>) -> Self {
        let mut sql = Self::new();
        sql.keep = script.keep && is_kept(Kind::Read, &script.shape());
        for piece in script.into_pieces() {
            match piece {
                Piece::Sql(text) => {
                    sql.push(&text);
                }
                Piece::Bind(Bind::Text(text)) => {
                    sql.bind(Some(text));
                }
                Piece::Bind(bind) => {
                    sql.push("CAST(")
                        .bind(Some(Pg::bind_text(bind)))
                        .push(" AS bigint)");
                }
            }
        }
        sql
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_literals_left_alone() {
        let first = r#"WHERE a = $1 AND b = '$1 $2 $3' AND c = $2 OR d = '$2' AND e IN ($3, $4)"#;
        let second = r#"WHERE a = $2 AND b = '$1 $2 $3' AND c = $3 OR d = '$2' AND e IN ($4, $5)"#;
        let texts = split(first, second, 4).unwrap();
        let expected = [
            "WHERE a = ",
            " AND b = '$1 $2 $3' AND c = ",
            " OR d = '$2' AND e IN (",
            ", ",
            ")",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn many_values_are_found() {
        let render = |from: usize| {
            let places: Vec<_> = (from..from + 1200).map(|n| format!("${n}")).collect();
            format!("VALUES ({})", places.join(", "))
        };
        assert_eq!(split(&render(1), &render(2), 1200).unwrap().len(), 1201);
    }

    #[test]
    fn texts_that_differ_otherwise_are_refused() {
        assert_eq!(split("a $1 b", "a $2 c", 1), None);
        assert_eq!(split("a", "a", 1), None);
    }
}
