//! One operation, from its message to its answers.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use juniper::http::{GraphQLRequest, resolve_into_stream};
use juniper::{
    DefaultScalarValue, GraphQLError, GraphQLSubscriptionType, GraphQLTypeAsync, OperationType,
    RootNode, SchemaType,
};
use juniper_subscriptions::Connection;
use serde_json::Value;

use super::message;
use super::service::{Operation, SocketService};
use crate::error::Error;

/// Runs operations: what a connection knows of the schema.
pub(super) trait Run<S>: Send + Sync {
    fn schema(&self) -> &SchemaType<DefaultScalarValue>;

    /// Runs an operation to its end, and says each message to the client.
    fn run<'r>(
        &'r self,
        session: &'r S,
        id: &'r str,
        operation: Operation,
        request: GraphQLRequest,
        say: &'r (dyn Fn(Value) -> BoxFuture<'r, ()> + Send + Sync),
    ) -> BoxFuture<'r, ()>;
}

struct Runner<Q, M, N, V>
where
    Q: GraphQLTypeAsync<DefaultScalarValue>,
    M: GraphQLTypeAsync<DefaultScalarValue, Context = Q::Context>,
    N: GraphQLSubscriptionType<DefaultScalarValue, Context = Q::Context>,
    Q::TypeInfo: Sync,
    Q::Context: Sync,
    M::TypeInfo: Sync,
    N::TypeInfo: Sync,
{
    schema: Arc<RootNode<Q, M, N>>,
    service: V,
}

pub(super) fn runner<Q, M, N, V>(
    schema: Arc<RootNode<Q, M, N>>,
    service: V,
) -> Arc<dyn Run<V::Session>>
where
    Q: GraphQLTypeAsync<DefaultScalarValue, TypeInfo: Send + Sync, Context = V::Context>
        + Send
        + Sync
        + 'static,
    M: GraphQLTypeAsync<DefaultScalarValue, TypeInfo: Send + Sync, Context = V::Context>
        + Send
        + Sync
        + 'static,
    N: GraphQLSubscriptionType<DefaultScalarValue, TypeInfo: Send + Sync, Context = V::Context>
        + Send
        + Sync
        + 'static,
    V: SocketService,
{
    Arc::new(Runner { schema, service })
}

impl<Q, M, N, V> Run<V::Session> for Runner<Q, M, N, V>
where
    Q: GraphQLTypeAsync<DefaultScalarValue, TypeInfo: Send + Sync, Context = V::Context>
        + Send
        + Sync
        + 'static,
    M: GraphQLTypeAsync<DefaultScalarValue, TypeInfo: Send + Sync, Context = V::Context>
        + Send
        + Sync
        + 'static,
    N: GraphQLSubscriptionType<DefaultScalarValue, TypeInfo: Send + Sync, Context = V::Context>
        + Send
        + Sync
        + 'static,
    V: SocketService,
{
    fn schema(&self) -> &SchemaType<DefaultScalarValue> {
        &self.schema.schema
    }

    fn run<'r>(
        &'r self,
        session: &'r V::Session,
        id: &'r str,
        operation: Operation,
        request: GraphQLRequest,
        say: &'r (dyn Fn(Value) -> BoxFuture<'r, ()> + Send + Sync),
    ) -> BoxFuture<'r, ()> {
        Box::pin(async move {
            let context = match self.service.context(session, &operation).await {
                Ok(context) => context,
                Err(error) => return say(message::error(id, error)).await,
            };
            if operation.kind != OperationType::Subscription {
                let response = request.execute(&self.schema, &context).await;
                let json = serde_json::to_value(&response);
                say(message::next(id, &json.unwrap_or_default())).await;
                return say(message::complete(id)).await;
            }
            let (stream, errors) = match resolve_into_stream(&request, &self.schema, &context).await
            {
                Ok(resolved) => resolved,
                Err(error) => return say(refused(id, &error)).await,
            };
            let mut events = Connection::from_stream(stream, errors);
            while let Some(event) = events.next().await {
                if let Err(error) = self.service.still_signed_in(session).await {
                    return say(message::error(id, error)).await;
                }
                let event = serde_json::to_value(&event).unwrap_or_default();
                say(message::next(id, &event)).await;
            }
            say(message::complete(id)).await;
        })
    }
}

/// What Juniper has against an operation.
fn refused(id: &str, error: &GraphQLError) -> Value {
    let errors = serde_json::to_value(error).unwrap_or_default();
    serde_json::json!({ "id": id, "type": "error", "payload": errors })
}

/// The error with which a task token is refused that is there and is no text.
pub(super) const NO_TOKEN: Error = Error::fixed(
    koherent_core::ErrorCode::Unauthenticated,
    "MALFORMED",
    "The task token of the operation is none: send the provenance token as text in extensions.rekuestTask.",
);

/// The error with which a mutation without a task token is refused.
pub(super) const NO_TASK: Error = Error::fixed(
    koherent_core::ErrorCode::Unauthenticated,
    "TASK_TOKEN_MISSING",
    "Over a websocket a mutation needs the token of its task: send it in extensions.rekuestTask of the operation.",
);
