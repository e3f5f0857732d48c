//! GraphQL over HTTP (<https://graphql.github.io/graphql-over-http/draft/>): a request in, an answer out, with the limits
//! between them.
//!
//! | file | idea |
//! | --- | --- |
//! | `media.rs` | what requests are written in, and what answers may be written in |
//! | `operation.rs` | operations as clients send them |
//! | `refuse.rs` | refusals, as GraphQL says them |

mod media;
mod operation;
mod refuse;

use std::error::Error as StdError;

use http::header::ACCEPT;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use juniper::{
    GraphQLSubscriptionType, GraphQLType, GraphQLTypeAsync, OperationType, RootNode, ScalarValue,
};
use koherent_core::ErrorCode;

use crate::error::Error;
use crate::limits::{Limits, exceeded};

use media::{Media, is_json};
use operation::{Operation, Operations, read};
use refuse::{refusal, respond};

#[cfg(feature = "socket")]
pub(crate) use operation::NO_REQUEST;
#[cfg(feature = "socket")]
pub(crate) use refuse::error_object;
pub use refuse::refuse;
pub(crate) use refuse::with_codes;

/// Answers a `POST`, as GraphQL over HTTP says: one operation, or a list of them. What exceeds the limits is refused before
/// Juniper sees it.
///
/// | the request | `Accept: application/graphql-response+json` | `application/json`, or nothing |
/// | --- | --- | --- |
/// | `Content-Type` is not `application/json` | 415 | 415 |
/// | longer than [`Limits::body`] | 413 | 413 |
/// | not read to its end | 400 | 400 |
/// | no JSON, or no GraphQL request: `variables` that are text, say | 400 | 400 |
/// | not executed: it does not parse or validate, exceeds a limit | 400 | 200 |
/// | executed, whatever became of its fields | 200 | 200 |
///
/// Each error of what was not executed has `extensions { code reason }`. Of a list, all is executed, or nothing.
///
/// ```
/// # use juniper::{EmptyMutation, EmptySubscription, RootNode};
/// # struct Query;
/// # #[juniper::graphql_object]
/// # impl Query { fn hello() -> &'static str { "hello" } }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use http::Request;
/// use koherent_juniper::{Limits, answer_request};
///
/// let schema = RootNode::new(Query, EmptyMutation::new(), EmptySubscription::new());
/// let post = |query: &str| {
///     Request::post("/graphql").header("content-type", "application/json").body(query.to_owned()).unwrap()
/// };
/// let answered = answer_request(&schema, &(), &Limits::default(), post(r#"{"query": "{ hello }"}"#)).await;
/// assert_eq!((answered.status().as_u16(), answered.body().as_str()), (200, r#"{"data":{"hello":"hello"}}"#));
///
/// let answered = answer_request(&schema, &(), &Limits::default(), post(r#"{"query": "{ hello }", "variables": "{}"}"#)).await;
/// assert_eq!(answered.status(), 400);
/// # }
/// ```
pub async fn answer_request<Q, M, N, S, B>(
    schema: &RootNode<Q, M, N, S>,
    context: &Q::Context,
    limits: &Limits,
    request: Request<B>,
) -> Response<String>
where
    Q: GraphQLTypeAsync<S, TypeInfo: Sync, Context: Sync>,
    M: GraphQLTypeAsync<S, TypeInfo: Sync, Context = Q::Context>,
    N: GraphQLSubscriptionType<S, TypeInfo: Sync, Context = Q::Context> + Sync,
    S: ScalarValue + Send + Sync,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let media = Media::accepted(&parts.headers);
    if !is_json(&parts.headers) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let mut response = respond(media, status, refusal(NO_JSON));
        // RFC 9110 §15.5.16: what would be read.
        let json = HeaderValue::from_static(Media::Json.as_str());
        response.headers_mut().insert(ACCEPT, json);
        return response;
    }
    let body = match collect(limits, body).await {
        Ok(body) => body,
        Err((status, error)) => return respond(media, status, refusal(error)),
    };
    let answered = answer_body(schema, context, limits, &body).await;
    let status = match (media, answered.outcome) {
        (_, Outcome::Unreadable(status)) => status,
        (Media::GraphQl, Outcome::NotExecuted) => StatusCode::BAD_REQUEST,
        (_, Outcome::NotExecuted | Outcome::Executed) => StatusCode::OK,
    };
    respond(media, status, answered.json)
}

/// The body of a request, up to its limit.
async fn collect<B>(limits: &Limits, body: B) -> Result<bytes::Bytes, (StatusCode, Error)>
where
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let too_long = |is: String| {
        let error = exceeded("BODY_TOO_LONG", "body", is, limits.body);
        Err((StatusCode::PAYLOAD_TOO_LARGE, error))
    };
    let length = body.size_hint().lower();
    if length > limits.body as u64 {
        return too_long(length.to_string());
    }
    match Limited::new(body, limits.body).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => too_long("more".to_owned()),
        Err(error) => {
            tracing::debug!("a body that could not be read: {error}");
            Err((StatusCode::BAD_REQUEST, NOT_READ))
        }
    }
}

/// Answers the body of a `POST`, for services that look at its headers themselves; the others use [`answer_request`].
///
/// Where cookies sign people in, let nobody in whose `Content-Type` is not `application/json`: pages of other origins can send
/// everything else in their name. Bearer tokens need no such care.
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
    let answered = answer_body(schema, context, limits, body).await;
    let status = match answered.outcome {
        Outcome::Unreadable(status) => status,
        Outcome::NotExecuted => StatusCode::BAD_REQUEST,
        Outcome::Executed => StatusCode::OK,
    };
    respond(Media::Json, status, answered.json)
}

/// What became of a request.
enum Outcome {
    /// It is none.
    Unreadable(StatusCode),
    /// Nothing of it was executed.
    NotExecuted,
    /// Something was.
    Executed,
}

/// An answer, as JSON, and how it came about.
struct Answered {
    outcome: Outcome,
    json: String,
}

impl Answered {
    fn unreadable(status: StatusCode, error: Error) -> Self {
        Self {
            outcome: Outcome::Unreadable(status),
            json: refusal(error),
        }
    }

    const fn new(was_executed: bool, json: String) -> Self {
        let outcome = match was_executed {
            true => Outcome::Executed,
            false => Outcome::NotExecuted,
        };
        Self { outcome, json }
    }
}

async fn answer_body<Q, M, N, S>(
    schema: &RootNode<Q, M, N, S>,
    context: &Q::Context,
    limits: &Limits,
    body: &[u8],
) -> Answered
where
    Q: GraphQLTypeAsync<S, TypeInfo: Sync, Context: Sync>,
    M: GraphQLTypeAsync<S, TypeInfo: Sync, Context = Q::Context>,
    N: GraphQLSubscriptionType<S, TypeInfo: Sync, Context = Q::Context> + Sync,
    S: ScalarValue + Send + Sync,
{
    if body.len() > limits.body {
        let error = exceeded("BODY_TOO_LONG", "body", body.len(), limits.body);
        return Answered::unreadable(StatusCode::PAYLOAD_TOO_LARGE, error);
    }
    let operations: Operations<S> = match read(limits, body) {
        Ok(operations) => operations,
        Err(error) => return Answered::unreadable(StatusCode::BAD_REQUEST, error),
    };
    let operation_of = |operation: &Operation<S>| check(schema, limits, operation);
    match operations {
        Operations::One(operation) => {
            if let Err(error) = operation_of(&operation) {
                return Answered::new(false, refusal(error));
            }
            let (was_executed, answer) = execute(schema, context, operation).await;
            Answered::new(was_executed, answer)
        }
        Operations::Several(operations) => {
            // Nothing is executed where something is refused, so that all can be sent again.
            let refused: Vec<_> = operations.iter().map(operation_of).collect();
            if refused.iter().any(Result::is_err) {
                let answers = refused.into_iter();
                let answers = answers.map(|one| refusal(one.err().unwrap_or(NOT_EXECUTED)));
                return Answered::new(false, list(&answers.collect::<Vec<_>>()));
            }
            let mut answers = Vec::with_capacity(operations.len());
            let mut was_any_executed = false;
            for operation in operations {
                let (was_executed, answer) = execute(schema, context, operation).await;
                was_any_executed |= was_executed;
                answers.push(answer);
            }
            Answered::new(was_any_executed, list(&answers))
        }
    }
}

/// A list of answers, as JSON.
fn list(answers: &[String]) -> String {
    format!("[{}]", answers.join(","))
}

const NOT_EXECUTED: Error = Error::fixed(
    ErrorCode::BadRequest,
    "NOT_EXECUTED",
    "Another operation of this request is refused: nothing was done.",
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
    let token = extensions.and_then(|extensions| extensions.get("rekuestTask"));
    if token.is_some_and(|token| !token.is_null()) {
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
    let json = match response.is_ok() {
        true => serde_json::to_string(&response),
        false => serde_json::to_value(&response).map(|mut answer| {
            let errors = with_codes(answer["errors"].take());
            serde_json::json!({ "errors": errors }).to_string()
        }),
    };
    let json = json.unwrap_or_else(|_| refusal(Error::internal()));
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

const NO_JSON: Error = Error::fixed(
    ErrorCode::BadRequest,
    "MEDIA_TYPE_UNSUPPORTED",
    "Send JSON, and say so: `Content-Type: application/json`.",
);

const NOT_READ: Error = Error::fixed(
    ErrorCode::BadRequest,
    "BODY_UNREADABLE",
    "The body of the request did not come to its end.",
);
