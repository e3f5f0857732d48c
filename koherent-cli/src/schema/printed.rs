//! The tables of a file that `diesel print-schema` has written.
//!
//! A history has the types of its table, which are there to be read: also those of the application's own, and those that a patch of the
//! file has changed.

use diesel_table_macro_syntax::TableDecl;
use quote::ToTokens;
use syn::{Item, UseTree};

/// A table, as `diesel::table!` declares it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Printed {
    /// The modules around it.
    pub(super) modules: Vec<String>,
    pub(super) schema: Option<String>,
    pub(super) sql_name: String,
    pub(super) name: String,
    /// What it imports: paths as they are seen from anywhere.
    pub(super) imports: Vec<String>,
    pub(super) columns: Vec<PrintedColumn>,
}

/// A column.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PrintedColumn {
    pub(super) sql_name: String,
    pub(super) name: String,
    pub(super) declared: String,
}

/// Reads the tables of a file, whose module is at `path`.
pub(super) fn tables(text: &str, path: &str) -> Result<Vec<Printed>, String> {
    let file = syn::parse_file(text).map_err(|error| error.to_string())?;
    let mut tables = Vec::new();
    read(&file.items, path, &mut Vec::new(), &mut tables)?;
    Ok(tables)
}

fn read(
    items: &[Item],
    path: &str,
    modules: &mut Vec<String>,
    tables: &mut Vec<Printed>,
) -> Result<(), String> {
    for item in items {
        match item {
            Item::Macro(called) => {
                let segments = &called.mac.path.segments;
                if segments.last().is_some_and(|name| name.ident == "table") {
                    let table: TableDecl = syn::parse2(called.mac.tokens.clone())
                        .map_err(|error| error.to_string())?;
                    tables.push(printed(&table, path, modules));
                }
            }
            Item::Mod(module) => {
                if let Some((_, items)) = &module.content {
                    modules.push(module.ident.to_string());
                    read(items, path, modules, tables)?;
                    modules.pop();
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn printed(table: &TableDecl, path: &str, modules: &[String]) -> Printed {
    let around = modules
        .iter()
        .fold(path.to_owned(), |path, module| format!("{path}::{module}"));
    let imports = table.use_statements.iter().map(|import| {
        let tree = match &import.tree {
            // Seen from the table's own module, that is the one around it.
            UseTree::Path(parent) if parent.ident == "super" => {
                format!("{around}::{}", tokens(&parent.tree))
            }
            tree => tokens(tree),
        };
        format!("use {tree};")
    });
    let columns = table.column_defs.iter().map(|column| PrintedColumn {
        sql_name: column.sql_name.clone(),
        name: column.column_name.to_string(),
        declared: tokens(&column.tpe),
    });
    Printed {
        modules: modules.to_vec(),
        schema: table.schema.as_ref().map(ToString::to_string),
        sql_name: table.sql_name.clone(),
        name: table.table_name.to_string(),
        imports: imports.collect(),
        columns: columns.collect(),
    }
}

fn tokens(tokens: &impl ToTokens) -> String {
    let text = tokens.to_token_stream().to_string();
    text.replace(' ', "").replace(',', ", ")
}

#[cfg(test)]
mod tests {
    use super::{PrintedColumn, tables};

    #[test]
    fn what_diesel_prints_is_read() {
        let text = "pub mod sql_types { #[derive(diesel::sql_types::SqlType)] pub struct Mood; }
            pub mod lab {
                diesel::table! {
                    use diesel::sql_types::*;
                    use super::sql_types::Mood;

                    /// Of the lab.
                    lab.samples (id) {
                        id -> Int8,
                        /// How it is.
                        #[sql_name = \"type\"]
                        #[max_length = 20]
                        type_ -> Nullable<Array<Nullable<Mood>>>,
                    }
                }
            }
            diesel::allow_tables_to_appear_in_same_query!(lab::samples,);";
        let tables = tables(text, "crate::schema").unwrap();
        let [table] = &tables[..] else {
            panic!("{tables:?}");
        };
        assert_eq!(
            (table.schema.as_deref(), table.name.as_str()),
            (Some("lab"), "samples")
        );
        assert_eq!(
            table.imports,
            [
                "use diesel::sql_types::*;",
                "use crate::schema::lab::sql_types::Mood;"
            ]
        );
        let column = |sql_name: &str, name: &str, declared: &str| PrintedColumn {
            sql_name: sql_name.to_owned(),
            name: name.to_owned(),
            declared: declared.to_owned(),
        };
        let expected = [
            column("id", "id", "Int8"),
            column("type", "type_", "Nullable<Array<Nullable<Mood>>>"),
        ];
        assert_eq!(table.columns, expected);
        assert!(super::tables("no rust", "crate::schema").is_err());
    }
}
