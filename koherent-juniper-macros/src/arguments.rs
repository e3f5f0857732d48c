//! What stands in the parentheses: `samples, key = self.id, as_of = self.as_of`.

use syn::parse::{Parse, ParseStream};
use syn::{Expr, Ident, LitStr, Path, Token, Type};

pub(crate) struct Arguments {
    /// The module of the audited table.
    pub(crate) table: Path,
    pub(crate) key: Expr,
    pub(crate) as_of: Option<Expr>,
    pub(crate) entry: Option<Type>,
    pub(crate) context: Option<Type>,
    /// The name of the field.
    pub(crate) field: Option<LitStr>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        const EXAMPLE: &str = "say of which table it shows a row, and its key: `#[provenance(samples, key = self.id)]`";
        let table = input
            .parse()
            .map_err(|error| syn::Error::new(error.span(), EXAMPLE))?;
        let (mut key, mut as_of, mut entry) = (None, None, None);
        let (mut context, mut field) = (None, None);
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let name: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let was_there = match name.to_string().as_str() {
                "key" => key.replace(input.parse()?).is_some(),
                "as_of" => as_of.replace(input.parse()?).is_some(),
                "entry" => entry.replace(input.parse()?).is_some(),
                "context" => context.replace(input.parse()?).is_some(),
                "field" => field.replace(field_name(input)?).is_some(),
                other => {
                    let problem = format!(
                        "`{other}` is none of `key`, `as_of`, `entry`, `context` and `field`"
                    );
                    return Err(syn::Error::new(name.span(), problem));
                }
            };
            if was_there {
                let problem = format!("`{name}` is said twice");
                return Err(syn::Error::new(name.span(), problem));
            }
        }
        let key = key.ok_or_else(|| input.error(EXAMPLE))?;
        Ok(Self {
            table,
            key,
            as_of,
            entry,
            context,
            field,
        })
    }
}

/// A name that a field can have (GraphQL specification, section 2.1.9); those with two underscores are GraphQL's own.
fn field_name(input: ParseStream<'_>) -> syn::Result<LitStr> {
    const EXAMPLE: &str =
        "say what the field is called, as a name of GraphQL: `field = \"provenanceEntries\"`";
    let name: LitStr = input
        .parse()
        .map_err(|error| syn::Error::new(error.span(), EXAMPLE))?;
    let text = name.value();
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_name = text.bytes().next().is_some_and(is_letter)
        && text
            .bytes()
            .all(|byte| is_letter(byte) || byte.is_ascii_digit());
    if !is_name || text.starts_with("__") {
        return Err(syn::Error::new(name.span(), EXAMPLE));
    }
    Ok(name)
}
