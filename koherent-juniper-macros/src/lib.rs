//! `#[provenance]`, of [koherent-juniper](https://docs.rs/koherent-juniper): a field that shows who changed a row.

mod arguments;
mod expand;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Adds the field `provenance` to an object: who changed the row, through which client, under which task, and what exactly.
///
/// It stands above `#[graphql_object]`, and says of which audited table the object shows a row, and its key:
///
/// ```text
/// #[provenance(samples, key = self.id)]
/// #[graphql_object(context = Lab)]
/// impl Sample { … }
/// ```
///
/// The field takes `filters`, `pagination`, `after` and `order`. Beside it stands `provenanceCount`, which takes `filters`: a list
/// ends at a page, the count says how much there is. Further settings: `as_of = self.as_of` leaves out what happened
/// later than an `Option<DateTime<Utc>>`; `entry = crate::graphql::ProvenanceEntry` names the type of
/// `provenance_types!`; `context = Lab` names the context, where `#[graphql_object]` does not;
/// `field = "provenanceEntries"` calls the field so, and the other `provenanceEntriesCount`.
#[proc_macro_attribute]
pub fn provenance(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as arguments::Arguments);
    match expand::expand(arguments, item.into()) {
        Ok(tokens) => tokens.into(),
        Err(error) => error.into_compile_error().into(),
    }
}
