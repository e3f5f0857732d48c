//! Writing SQL text: what all engines have in common.
//!
//! Identifiers come from Diesel's `table!` and are quoted; values are always bound. Engines that write values as `?` share
//! `positional/`; PostgreSQL, which numbers its values, has its own writer.

use crate::table::{Name, TrackedTable};

/// Writing SQL text.
pub(crate) trait Write {
    /// What identifiers are quoted with.
    const QUOTE: char;

    fn push(&mut self, text: &str) -> &mut Self;

    fn identifier(&mut self, name: &str) -> &mut Self {
        let mut quoted = String::with_capacity(name.len() + 2);
        quoted.push(Self::QUOTE);
        for character in name.chars() {
            if character == Self::QUOTE {
                quoted.push(character);
            }
            quoted.push(character);
        }
        quoted.push(Self::QUOTE);
        self.push(&quoted)
    }

    fn table(&mut self, name: Name) -> &mut Self {
        if let Some(schema) = name.schema {
            self.identifier(schema).push(".");
        }
        self.identifier(name.table)
    }

    /// Writes names with commas between them, each behind `prefix`.
    fn identifiers<'n>(
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
}

/// Whether a text is what Diesel renders of `table.find(key)` with plain values: each key column equal to one value.
/// `expected` is the same, written by hand.
pub(crate) fn is_plain_key(text: &str, expected: &str) -> bool {
    let bare = |text: &str| text.replace(['(', ')', ' '], "");
    bare(text) == bare(expected)
}

/// ` WHERE table.key = …`, with a value's place at each column.
pub(crate) fn push_plain_key<W: Write>(
    sql: &mut W,
    table: &TrackedTable,
    mut place: impl FnMut(&mut W),
) {
    for (at, column) in table.key.iter().enumerate() {
        sql.push(if at > 0 { " AND " } else { " WHERE " })
            .table(table.name);
        sql.push(".").identifier(column).push(" = ");
        place(sql);
    }
}
