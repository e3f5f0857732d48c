//! Writing SQL text: what all engines have in common.
//!
//! Identifiers come from Diesel's `table!` and are quoted; values are always bound. Engines that write values as `?` share
//! `positional/`; PostgreSQL, which numbers its values, has its own writer.

use crate::table::Name;

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
