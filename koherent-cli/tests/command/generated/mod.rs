//! A schema as `diesel print-schema` writes it, and what `koherent schema` writes beside it.

pub mod koherent_schema;
pub mod schema;
