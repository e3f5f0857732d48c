//! What stands in the parentheses: `samples, key = self.id, as_of = self.as_of`.

use syn::parse::{Parse, ParseStream};
use syn::{Expr, Ident, Path, Token, Type};

pub(crate) struct Arguments {
    /// The module of the audited table.
    pub(crate) table: Path,
    pub(crate) key: Expr,
    pub(crate) as_of: Option<Expr>,
    pub(crate) entry: Option<Type>,
    pub(crate) context: Option<Type>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        const EXAMPLE: &str = "say of which table it shows a row, and its key: `#[provenance(samples, key = self.id)]`";
        let table = input
            .parse()
            .map_err(|error| syn::Error::new(error.span(), EXAMPLE))?;
        let (mut key, mut as_of, mut entry, mut context) = (None, None, None, None);
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
                other => {
                    let problem =
                        format!("`{other}` is none of `key`, `as_of`, `entry` and `context`");
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
        })
    }
}
