//! The `audited!` line to paste, with the names that `diesel print-schema` gives.

use crate::registry::Audited;

/// The line to paste.
pub(crate) fn declaration(audited: &Audited) -> String {
    let list =
        |names: &mut dyn Iterator<Item = &str>| names.map(rust_name).collect::<Vec<_>>().join(", ");
    format!(
        "koherent_diesel::audited!({} ({}) => {} ({}));",
        rust_name(&audited.table),
        list(&mut audited.key.iter().map(String::as_str)),
        rust_name(&audited.history),
        list(&mut audited.kept.iter().map(|(name, _)| name.as_str())),
    )
}

/// The name that `diesel print-schema` gives a table or a column.
pub(crate) fn rust_name(name: &str) -> String {
    const RESERVED: [&str; 52] = [
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
        "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
        "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
        "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type",
        "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "table",
    ];
    let mut rust: String = name
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect();
    if rust.starts_with(|c: char| c.is_ascii_digit()) {
        rust.insert(0, '_');
    }
    if RESERVED.contains(&rust.as_str()) {
        rust.push('_');
    }
    rust
}
