//! One operation, from its message to its answers.

use std::ops::ControlFlow;

use futures_util::future::BoxFuture;
use juniper::OperationType;

use super::message::Message;
use super::schema::{Asked, SocketSchema};
use super::service::{Operation, SocketService};
use crate::error::Error;

/// Says a message to the client.
pub(super) type Say = dyn Fn(Message) -> BoxFuture<'static, ()> + Send + Sync;

/// Runs an operation to its end, and says each message to the client.
pub(super) async fn run<T, V>(
    schema: &T,
    service: &V,
    session: &V::Session,
    id: &str,
    operation: Operation,
    asked: Asked,
    say: &Say,
) where
    T: SocketSchema,
    V: SocketService<Context = T::Context>,
{
    let kind = operation.kind;
    let context = match service.context(session, &operation).await {
        Ok(context) => context,
        Err(error) => return say(Message::error(id, error)).await,
    };
    let answer = |answer: Result<String, String>| -> BoxFuture<'_, ControlFlow<()>> {
        Box::pin(async move {
            let is_event = kind == OperationType::Subscription && answer.is_ok();
            let signed_in = match is_event {
                true => service.still_signed_in(session).await,
                false => Ok(()),
            };
            let failure = match (answer, signed_in) {
                (Ok(answer), Ok(())) => {
                    say(Message::next(id, &answer)).await;
                    return ControlFlow::Continue(());
                }
                (Err(errors), _) => Message::errors(id, &errors),
                (_, Err(error)) => Message::error(id, error),
            };
            say(failure).await;
            ControlFlow::Break(())
        })
    };
    let ended = schema.run(asked, kind, &context, &answer).await;
    if ended.is_continue() {
        say(Message::complete(id)).await;
    }
}

/// The error with which a task token is refused that is there and is no text.
pub(super) const NO_TOKEN: Error = Error::fixed(
    koherent_core::ErrorCode::TaskUnauthenticated,
    "MALFORMED",
    "The task token of the operation is none: send the provenance token as text in extensions.rekuestTask.",
);

/// The error with which a mutation without a task token is refused.
pub(super) const NO_TASK: Error = Error::fixed(
    koherent_core::ErrorCode::TaskUnauthenticated,
    "TASK_TOKEN_MISSING",
    "Over a websocket a mutation needs the token of its task: send it in extensions.rekuestTask of the operation.",
);
