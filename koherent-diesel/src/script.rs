//! A statement that reads: text and values in their order, before an engine numbers or places them.
//!
//! What is asked of histories is written once for all engines. Where they differ, [`Engine`] has a word for it.

use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::AstPass;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Binary, HasSqlType, Text};

use crate::engine::Engine;
use crate::sql::Write;

/// 1000-01-01 00:00:00.
pub(crate) const FIRST_DATE: DateTime<Utc> =
    DateTime::from_timestamp_secs(-30_610_224_000).unwrap();

/// 9999-12-31 23:59:59.
pub(crate) const LAST_DATE: DateTime<Utc> = DateTime::from_timestamp_secs(253_402_300_799).unwrap();

/// A statement that reads, or a part of one.
#[expect(
    missing_debug_implementations,
    unnameable_types,
    reason = "values are nobody's business"
)]
pub struct Script<DB> {
    pieces: Vec<Piece>,
    /// Whether its text is one of few, and worth keeping as a prepared statement.
    pub(crate) keep: bool,
    engine: PhantomData<fn() -> DB>,
}

#[derive(Clone)]
pub(crate) enum Piece {
    Sql(String),
    Bind(Bind),
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
#[expect(unnameable_types, reason = "engines bind them")]
pub enum Bind {
    Text(String),
    Integer(i64),
    Bytes(Vec<u8>),
}

impl Bind {
    /// As text; bytes as base64.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::Bytes(bytes) => STANDARD.encode(bytes),
        }
    }
}

/// Binds a value in a statement of Diesel's.
pub(crate) fn bind_any<'b, DB>(value: &'b Bind, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()>
where
    DB: Backend + HasSqlType<BigInt> + HasSqlType<Text> + HasSqlType<Binary>,
    i64: ToSql<BigInt, DB>,
    str: ToSql<Text, DB>,
    [u8]: ToSql<Binary, DB>,
{
    match value {
        Bind::Text(text) => out.push_bind_param::<Text, str>(text),
        Bind::Integer(number) => out.push_bind_param::<BigInt, i64>(number),
        Bind::Bytes(bytes) => out.push_bind_param::<Binary, [u8]>(bytes),
    }
}

impl<DB> Clone for Script<DB> {
    fn clone(&self) -> Self {
        Self {
            pieces: self.pieces.clone(),
            keep: self.keep,
            engine: PhantomData,
        }
    }
}

impl<DB> Script<DB> {
    pub(crate) const fn new() -> Self {
        Self {
            pieces: Vec::new(),
            keep: true,
            engine: PhantomData,
        }
    }

    pub(crate) fn into_pieces(self) -> Vec<Piece> {
        self.pieces
    }

    /// Writes a value's place.
    pub(crate) fn bind(&mut self, value: Bind) -> &mut Self {
        self.pieces.push(Piece::Bind(value));
        self
    }

    /// Writes a text's place.
    pub(crate) fn text(&mut self, text: impl Into<String>) -> &mut Self {
        self.bind(Bind::Text(text.into()))
    }

    /// How many values it has.
    pub(crate) fn values(&self) -> usize {
        let is_bind = |piece: &&Piece| matches!(piece, Piece::Bind(_));
        self.pieces.iter().filter(is_bind).count()
    }

    /// The text alone, with `?` for values: what tells one statement from another.
    pub(crate) fn shape(&self) -> String {
        let mut shape = String::new();
        for piece in &self.pieces {
            shape.push_str(match piece {
                Piece::Sql(sql) => sql,
                Piece::Bind(_) => "?",
            });
        }
        shape
    }
}

impl<DB: Engine> Script<DB> {
    /// Writes a moment as the engine compares it with dates of entries. No entry is older than the first year that all engines
    /// write with four digits, or younger than the last.
    pub(crate) fn date(&mut self, date: DateTime<Utc>) -> &mut Self {
        let (before, after) = DB::DATE;
        let date = date.clamp(FIRST_DATE, LAST_DATE);
        self.push(before);
        self.text(date.format(DB::DATE_FORMAT).to_string());
        self.push(after)
    }
}

impl<DB: Engine> Write for Script<DB> {
    const QUOTE: char = DB::QUOTE;

    fn push(&mut self, text: &str) -> &mut Self {
        match self.pieces.last_mut() {
            Some(Piece::Sql(sql)) => sql.push_str(text),
            _ => self.pieces.push(Piece::Sql(text.to_owned())),
        }
        self
    }
}

impl<DB: Engine> Script<DB> {
    /// Writes it into a statement of Diesel's.
    pub(crate) fn push_to<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        for piece in &self.pieces {
            match piece {
                Piece::Sql(sql) => out.push_sql(sql),
                Piece::Bind(bind) => DB::push_bind(bind, out.reborrow())?,
            }
        }
        Ok(())
    }
}
