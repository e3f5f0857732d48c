//! A statement that reads: text and values in their order, before an engine numbers or places them.
//!
//! What is asked of histories is written once for all engines. Where they differ, [`Engine`] has a word for it.

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::query_builder::AstPass;

use crate::engine::Engine;
use crate::sql::Write;

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
    /// Writes a moment as the engine compares it with dates of entries.
    pub(crate) fn date(&mut self, date: DateTime<Utc>) -> &mut Self {
        let (before, after) = DB::DATE;
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
