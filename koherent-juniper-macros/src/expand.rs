//! The method that becomes the field.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::quote;
use syn::parse::ParseStream;
use syn::{Attribute, Expr, Ident, ImplItem, ItemImpl, Meta, Token, Type, parse_quote};

use crate::arguments::Arguments;

pub(crate) fn expand(arguments: Arguments, item: TokenStream) -> syn::Result<TokenStream> {
    const PLACE: &str = "`#[provenance]` stands above `#[graphql_object]`, on the `impl` of an object: \
                         it adds a method, which the other makes a field";
    let misplaced = |_| syn::Error::new(Span::call_site(), PLACE);
    let mut object: ItemImpl = syn::parse2(item).map_err(misplaced)?;
    let is_object = |attribute: &&Attribute| {
        let segments = &attribute.path().segments;
        segments
            .last()
            .is_some_and(|last| last.ident == "graphql_object")
    };
    let attribute = object.attrs.iter().find(is_object);
    let attribute = attribute.ok_or_else(|| syn::Error::new(Span::call_site(), PLACE))?;
    let context = match arguments.context {
        Some(context) => context,
        None => context_in(attribute).ok_or_else(|| {
            syn::Error::new(
                Span::call_site(),
                "say which context the object has: `#[graphql_object(context = Lab)]`",
            )
        })?,
    };
    let entry: Type = match arguments.entry {
        Some(entry) => entry,
        None => parse_quote!(::koherent_juniper::ProvenanceEntry),
    };
    let as_of: Expr = arguments
        .as_of
        .unwrap_or_else(|| parse_quote!(::core::option::Option::None));
    let (table, key) = (arguments.table, arguments.key);
    let name = arguments
        .field
        .map_or_else(|| "provenance".to_owned(), |field| field.value());
    let count_name = format!("{name}Count");
    let field: ImplItem = parse_quote! {
        /// Who changed it, through which client, under which task, and what exactly; newest first.
        #[graphql(name = #name)]
        async fn provenance(
            &self,
            context: &#context,
            filters: ::core::option::Option<::koherent_juniper::ProvenanceFilter>,
            pagination: ::core::option::Option<::koherent_juniper::OffsetPaginationInput>,
            after: ::core::option::Option<::std::string::String>,
            order: ::core::option::Option<::koherent_juniper::HistoryOrder>,
        ) -> ::core::result::Result<::std::vec::Vec<#entry>, ::koherent_juniper::Error> {
            let provenance: &::koherent_juniper::Provenance = ::juniper::FromContext::from(context);
            let as_of = #as_of;
            let ask = ::koherent_juniper::Ask { filters, pagination, after, order, as_of };
            provenance.of_row(#table::table, #key, ask).await
        }
    };
    let count: ImplItem = parse_quote! {
        /// How many entries there are, however many of them a list shows.
        #[graphql(name = #count_name)]
        async fn provenance_count(
            &self,
            context: &#context,
            filters: ::core::option::Option<::koherent_juniper::ProvenanceFilter>,
        ) -> ::core::result::Result<i32, ::koherent_juniper::Error> {
            let provenance: &::koherent_juniper::Provenance = ::juniper::FromContext::from(context);
            let as_of = #as_of;
            let ask = ::koherent_juniper::Ask { filters, as_of, ..::core::default::Default::default() };
            provenance.count_of_row(#table::table, #key, ask).await
        }
    };
    object.items.extend([field, count]);
    Ok(quote!(#object))
}

/// `context = Lab` in `#[graphql_object(…)]`.
fn context_in(attribute: &Attribute) -> Option<Type> {
    let Meta::List(list) = &attribute.meta else {
        return None;
    };
    let context = |settings: ParseStream<'_>| {
        let mut context = None;
        // Other settings are Juniper's affair, whatever stands behind their names.
        while !settings.is_empty() {
            let is_setting = settings.peek(Ident) && settings.peek2(Token![=]);
            if is_setting
                && matches!(
                    &*settings.fork().parse::<Ident>()?.to_string(),
                    "context" | "Context"
                )
            {
                settings.parse::<Ident>()?;
                settings.parse::<Token![=]>()?;
                context = Some(settings.parse::<Type>()?);
            } else {
                settings.parse::<TokenTree>()?;
            }
        }
        Ok(context)
    };
    list.parse_args_with(context).ok().flatten()
}
