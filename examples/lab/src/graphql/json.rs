//! JSON as a GraphQL scalar.

use juniper::graphql_scalar;
use serde_json::Value;

/// A JSON document, as text: `"{\"stain\": \"HE\"}"`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[graphql_scalar]
#[graphql(name = "JSON", with = json_text, parse_token(String))]
pub struct Json(pub Value);

mod json_text {
    use super::{Json, Value};

    pub(super) fn to_output(json: &Json) -> String {
        json.0.to_string()
    }

    pub(super) fn from_input(text: &str) -> Result<Json, Box<str>> {
        serde_json::from_str::<Value>(text)
            .map(Json)
            .map_err(|error| {
                format!("give JSON as text, such as \"{{\\\"stain\\\": \\\"HE\\\"}}\": {error}")
                    .into()
            })
    }
}
