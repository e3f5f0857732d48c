//! The schema of a socket: what the connection needs to know of it, whatever its types and its scalar.

use std::ops::ControlFlow;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use juniper::http::{GraphQLRequest, GraphQLResponse, resolve_into_stream};
use juniper::{GraphQLSubscriptionType, GraphQLTypeAsync, OperationType, RootNode, ScalarValue};
use juniper_subscriptions::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;
use crate::http::{NO_REQUEST, error_object, with_codes};
use crate::limits::Limits;

/// A schema that a socket can serve: Juniper's `RootNode`, where everything in it can move between threads. Sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be served over a websocket",
    note = "it takes a `juniper::RootNode` whose queries, mutations and subscriptions share one context and are `Send + Sync`"
)]
pub trait SocketSchema: sealed::Sealed + Send + Sync + 'static {
    /// The context of its resolvers.
    type Context: Send + Sync + 'static;

    /// Judges an operation, and says of which kind it is.
    #[doc(hidden)]
    fn check(&self, limits: &Limits, asked: &Asked) -> Result<OperationType, Error>;

    /// Runs an operation, and says each answer, or the errors with which it ends. It is left where those who listen go.
    #[doc(hidden)]
    fn run<'r>(
        &'r self,
        asked: Asked,
        kind: OperationType,
        context: &'r Self::Context,
        say: &'r Say<'r>,
    ) -> BoxFuture<'r, ControlFlow<()>>;
}

/// Takes an answer, or errors, as JSON, and says whether somebody still listens.
pub(super) type Say<'r> =
    dyn Fn(Result<String, String>) -> BoxFuture<'r, ControlFlow<()>> + Send + Sync + 'r;

mod sealed {
    #[expect(unnameable_types, reason = "nobody else implements `SocketSchema`")]
    pub trait Sealed {}
}

/// An operation as a client sends it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(unnameable_types, reason = "schemas run it")]
pub struct Asked {
    query: String,
    #[serde(default)]
    operation_name: Value,
    #[serde(default)]
    variables: Value,
    #[serde(default)]
    extensions: Value,
}

impl Asked {
    /// Refuses what is there and of another type: an operation must not run without its variables because they are text.
    pub(super) fn check_types(&self) -> Result<(), Error> {
        let is_name = self.operation_name.is_null() || self.operation_name.is_string();
        let mut objects = [&self.variables, &self.extensions].into_iter();
        match is_name && objects.all(|value| value.is_null() || value.is_object()) {
            true => Ok(()),
            false => Err(NO_REQUEST),
        }
    }

    /// The token of its task. What is there and is no text is wrong, not absent.
    pub(super) fn task_token(&self) -> Result<Option<String>, ()> {
        match &self.extensions["rekuestTask"] {
            Value::Null => Ok(None),
            Value::String(token) => Ok(Some(token.clone())),
            _ => Err(()),
        }
    }
}

impl Asked {
    fn into_request<S: ScalarValue>(self) -> Result<GraphQLRequest<S>, Error> {
        let variables = serde_json::from_value(self.variables).map_err(|_| NO_REQUEST)?;
        let name = self.operation_name.as_str().map(ToOwned::to_owned);
        Ok(GraphQLRequest::new(self.query, name, variables))
    }
}

impl<Q, M, N, S> sealed::Sealed for RootNode<Q, M, N, S>
where
    Q: juniper::GraphQLType<S>,
    M: juniper::GraphQLType<S>,
    N: juniper::GraphQLType<S>,
    S: ScalarValue,
{
}

impl<Q, M, N, S, X> SocketSchema for RootNode<Q, M, N, S>
where
    Q: GraphQLTypeAsync<S, TypeInfo: Send + Sync, Context = X> + Send + 'static,
    M: GraphQLTypeAsync<S, TypeInfo: Send + Sync, Context = X> + Send + 'static,
    N: GraphQLSubscriptionType<S, TypeInfo: Send + Sync, Context = X> + Send + 'static,
    S: ScalarValue + Send + Sync + 'static,
    X: Send + Sync + 'static,
{
    type Context = X;

    fn check(&self, limits: &Limits, asked: &Asked) -> Result<OperationType, Error> {
        limits.check(&self.schema, &asked.query, asked.operation_name.as_str())
    }

    fn run<'r>(
        &'r self,
        asked: Asked,
        kind: OperationType,
        context: &'r X,
        say: &'r Say<'r>,
    ) -> BoxFuture<'r, ControlFlow<()>> {
        Box::pin(async move {
            let request: GraphQLRequest<S> = match asked.into_request() {
                Ok(request) => request,
                Err(error) => return say(Err(json!([error_object(error)]).to_string())).await,
            };
            if kind != OperationType::Subscription {
                let response = request.execute(self, context).await;
                let answer = match response.is_ok() {
                    true => Ok(serde_json::to_string(&response).unwrap_or_default()),
                    // What Juniper has against the operation.
                    false => Err(errors_of(&response)),
                };
                return say(answer).await;
            }
            let (stream, errors) = match resolve_into_stream(&request, self, context).await {
                Ok(resolved) => resolved,
                Err(error) => {
                    let errors = serde_json::to_value(&error).unwrap_or_default();
                    return say(Err(with_codes(errors).to_string())).await;
                }
            };
            let mut events = Connection::from_stream(stream, errors);
            while let Some(event) = events.next().await {
                // A list of errors that has none must not be there (GraphQL specification, §7.1.2).
                let event = GraphQLResponse::from_result(Ok((event.data, event.errors)));
                let event = serde_json::to_string(&event).unwrap_or_default();
                say(Ok(event)).await?;
            }
            ControlFlow::Continue(())
        })
    }
}

/// The errors of an operation that was not executed.
fn errors_of(response: &impl Serialize) -> String {
    let mut json = serde_json::to_value(response).unwrap_or_default();
    with_codes(json["errors"].take()).to_string()
}
