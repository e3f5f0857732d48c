//! GraphQL over HTTP: a body in, an answer out, with the limits between them.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use juniper::http::GraphQLRequest;
use juniper::{
    GraphQLSubscriptionType, GraphQLType, GraphQLTypeAsync, InputValue, IntoFieldError as _,
    OperationType, RootNode, ScalarValue,
};
use koherent_core::ErrorCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::Error;
use crate::limits::{Limits, exceeded};

/// Answers the body of a `POST`: one operation, or a list of them. What exceeds the limits is refused before Juniper sees it.
///
/// It does not look at headers. Where cookies sign people in, let nobody in whose `Content-Type` is not `application/json`:
/// pages of other origins can send everything else in their name. Bearer tokens need no such care.
///
/// The status is 200 for what was executed, whatever became of its fields, and 400 for what was not: of a list, all or nothing; 413 where the body is too
/// long. The answer is JSON in either case.
///
/// ```
/// # use juniper::{EmptyMutation, EmptySubscription, RootNode};
/// # struct Query;
/// # #[juniper::graphql_object]
/// # impl Query { fn hello() -> &'static str { "hello" } }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use koherent_juniper::{Limits, answer};
///
/// let schema = RootNode::new(Query, EmptyMutation::new(), EmptySubscription::new());
/// let answered = answer(&schema, &(), &Limits::default(), br#"{"query": "{ hello }"}"#).await;
/// assert_eq!((answered.status().as_u16(), answered.body().as_str()), (200, r#"{"data":{"hello":"hello"}}"#));
/// # }
/// ```
pub async fn answer<Q, M, N, S>(
    schema: &RootNode<Q, M, N, S>,
    context: &Q::Context,
    limits: &Limits,
    body: &[u8],
) -> Response<String>
where
    Q: GraphQLTypeAsync<S, TypeInfo: Sync, Context: Sync>,
    M: GraphQLTypeAsync<S, TypeInfo: Sync, Context = Q::Context>,
    N: GraphQLSubscriptionType<S, TypeInfo: Sync, Context = Q::Context> + Sync,
    S: ScalarValue + Send + Sync,
{
    let operations: Operations<S> = match read(limits, body) {
        Ok(operations) => operations,
        Err((status, error)) => return respond(status, refusal(error)),
    };
    let operation_of = |operation: &Operation<S>| check(schema, limits, operation);
    match operations {
        Operations::One(operation) => {
            if let Err(error) = operation_of(&operation) {
                return respond(StatusCode::BAD_REQUEST, refusal(error));
            }
            let (was_executed, answer) = execute(schema, context, operation).await;
            respond(status(was_executed), answer)
        }
        Operations::Several(operations) => {
            // Nothing is executed where something is refused, so that all can be sent again.
            let refused: Vec<_> = operations.iter().map(operation_of).collect();
            if refused.iter().any(Result::is_err) {
                let answers = refused.into_iter();
                let answers = answers.map(|one| refusal(one.err().unwrap_or(NOT_EXECUTED)));
                return respond(StatusCode::BAD_REQUEST, list(&answers.collect::<Vec<_>>()));
            }
            let mut answers = Vec::with_capacity(operations.len());
            let mut was_any_executed = false;
            for operation in operations {
                let (was_executed, answer) = execute(schema, context, operation).await;
                was_any_executed |= was_executed;
                answers.push(answer);
            }
            respond(status(was_any_executed), list(&answers))
        }
    }
}

/// A list of answers, as JSON.
fn list(answers: &[String]) -> String {
    format!("[{}]", answers.join(","))
}

const fn status(was_executed: bool) -> StatusCode {
    match was_executed {
        true => StatusCode::OK,
        false => StatusCode::BAD_REQUEST,
    }
}

const NOT_EXECUTED: Error = Error::fixed(
    ErrorCode::BadRequest,
    "NOT_EXECUTED",
    "Another operation of this request is refused: nothing was done.",
);

#[derive(Deserialize)]
#[serde(untagged, bound = "S: ScalarValue")]
enum Operations<S> {
    One(Operation<S>),
    Several(Vec<Operation<S>>),
}

/// An operation as clients send it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "S: ScalarValue")]
pub(crate) struct Operation<S> {
    pub(crate) query: String,
    pub(crate) operation_name: Option<String>,
    pub(crate) variables: Option<InputValue<S>>,
    extensions: Option<Value>,
}

impl<S: ScalarValue> Operation<S> {
    pub(crate) fn into_request(self) -> GraphQLRequest<S> {
        GraphQLRequest::new(self.query, self.operation_name, self.variables)
    }
}

fn read<S: ScalarValue>(
    limits: &Limits,
    body: &[u8],
) -> Result<Operations<S>, (StatusCode, Error)> {
    if body.len() > limits.body {
        let error = exceeded("BODY_TOO_LONG", "body", body.len(), limits.body);
        return Err((StatusCode::PAYLOAD_TOO_LARGE, error));
    }
    let bad = |error| (StatusCode::BAD_REQUEST, error);
    let operations = serde_json::from_slice(body).map_err(|error| {
        tracing::debug!("a body that is no GraphQL request: {error}");
        bad(NO_REQUEST)
    })?;
    match operations {
        Operations::Several(several) if several.len() > limits.batch => {
            let error = exceeded("BATCH_TOO_LONG", "batch", several.len(), limits.batch);
            Err(bad(error))
        }
        Operations::Several(several) if several.is_empty() => Err(bad(NO_REQUEST)),
        operations => Ok(operations),
    }
}

pub(crate) const NO_REQUEST: Error = Error::fixed(
    ErrorCode::BadRequest,
    "REQUEST_INVALID",
    "This is no GraphQL request: send JSON such as {\"query\": \"{ __typename }\", \"variables\": {}}.",
);

/// Whether an operation may be executed.
fn check<Q, M, N, S>(
    schema: &RootNode<Q, M, N, S>,
    limits: &Limits,
    operation: &Operation<S>,
) -> Result<(), Error>
where
    Q: GraphQLType<S>,
    M: GraphQLType<S, Context = Q::Context>,
    N: GraphQLType<S, Context = Q::Context>,
    S: ScalarValue,
{
    // The token of a task that is there must not count for nothing.
    let extensions = operation.extensions.as_ref();
    if extensions.is_some_and(|extensions| !extensions["rekuestTask"].is_null()) {
        return Err(MISPLACED_TASK);
    }
    let name = operation.operation_name.as_deref();
    match limits.check(&schema.schema, &operation.query, name)? {
        OperationType::Subscription => Err(SUBSCRIPTION),
        _ => Ok(()),
    }
}

/// Executes an operation that may be executed. Says whether it was.
async fn execute<Q, M, N, S>(
    schema: &RootNode<Q, M, N, S>,
    context: &Q::Context,
    operation: Operation<S>,
) -> (bool, String)
where
    Q: GraphQLTypeAsync<S, TypeInfo: Sync, Context: Sync>,
    M: GraphQLTypeAsync<S, TypeInfo: Sync, Context = Q::Context>,
    N: GraphQLSubscriptionType<S, TypeInfo: Sync, Context = Q::Context> + Sync,
    S: ScalarValue + Send + Sync,
{
    let response = operation.into_request().execute(schema, context).await;
    // As text, which keeps the order in which the fields were asked for (GraphQL specification, §7.2.2).
    let json = serde_json::to_string(&response).unwrap_or_else(|_| refusal(Error::internal()));
    (response.is_ok(), json)
}

const MISPLACED_TASK: Error = Error::fixed(
    ErrorCode::BadRequest,
    "TASK_TOKEN_MISPLACED",
    "Over HTTP the token of a task comes in the header Rekuest-Task: extensions.rekuestTask is for websockets.",
);

const SUBSCRIPTION: Error = Error::fixed(
    ErrorCode::BadRequest,
    "SUBSCRIPTION_OVER_HTTP",
    "A subscription needs a websocket: connect with the protocol graphql-transport-ws.",
);

/// An answer with one error, and nothing else.
fn refusal(error: Error) -> String {
    json!({ "errors": [error_object(error)] }).to_string()
}

/// An error as clients see it.
pub(crate) fn error_object(error: Error) -> Value {
    let error: juniper::FieldError = error.into_field_error();
    json!({ "message": error.message(), "extensions": error.extensions() })
}

fn respond(status: StatusCode, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
