//! Operations as clients send them.

use juniper::http::GraphQLRequest;
use juniper::{InputValue, ScalarValue};
use koherent_core::ErrorCode;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::limits::{Limits, exceeded};

#[derive(Deserialize)]
#[serde(untagged, bound = "S: ScalarValue")]
pub(super) enum Operations<S> {
    One(Operation<S>),
    Several(Vec<Operation<S>>),
}

/// An operation as clients send it. What is there and of another type is refused, not dropped: a mutation must not run with
/// its defaults because its variables are text (GraphQL over HTTP, §"Request Parameters").
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "S: ScalarValue")]
pub(super) struct Operation<S> {
    pub(super) query: String,
    pub(super) operation_name: Option<String>,
    #[serde(default, deserialize_with = "variables")]
    variables: Option<InputValue<S>>,
    pub(super) extensions: Option<Map<String, Value>>,
}

fn variables<'de, D, S>(from: D) -> Result<Option<InputValue<S>>, D::Error>
where
    D: Deserializer<'de>,
    S: ScalarValue,
{
    match InputValue::deserialize(from)? {
        InputValue::Null => Ok(None),
        object @ InputValue::Object(_) => Ok(Some(object)),
        _ => Err(serde::de::Error::custom("`variables` is no object")),
    }
}

impl<S: ScalarValue> Operation<S> {
    pub(super) fn into_request(self) -> GraphQLRequest<S> {
        GraphQLRequest::new(self.query, self.operation_name, self.variables)
    }
}

/// Reads the body of a request. What fails here is no GraphQL request at all.
pub(super) fn read<S: ScalarValue>(limits: &Limits, body: &[u8]) -> Result<Operations<S>, Error> {
    let operations = serde_json::from_slice(body).map_err(|error| {
        tracing::debug!("a body that is no GraphQL request: {error}");
        NO_REQUEST
    })?;
    match operations {
        Operations::Several(several) if several.len() > limits.batch => {
            let (is, most) = (several.len(), limits.batch);
            Err(exceeded("BATCH_TOO_LONG", "batch", is, most))
        }
        Operations::Several(several) if several.is_empty() => Err(NO_REQUEST),
        operations => Ok(operations),
    }
}

pub(crate) const NO_REQUEST: Error = Error::fixed(
    ErrorCode::BadRequest,
    "REQUEST_INVALID",
    "This is no GraphQL request: send JSON such as {\"query\": \"{ __typename }\", \"variables\": {}}. `query` and \
     `operationName` are text, `variables` and `extensions` are objects.",
);
