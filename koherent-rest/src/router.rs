//! The router, and what OpenAPI says of it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, LINK};
use http::request::Parts;
use koherent_core::{Attribution, ErrorCode};
use koherent_diesel::{HistoryFilter, HistoryReader, HistoryScope, Outcome, feed};
use utoipa::OpenApi;

use crate::answer::{
    Activity, Change, Counted, Entry, Link, LinkedRow, Page, Task, TransactionOutcome,
};
use crate::form::Asked;
use crate::problem::Problem;
use crate::question::{Form, Format, Kind, Order, Question, Sort};

/// `GET /activity`, `/activity/count`, `/activity/outcome`, `/activity/{table}/{id}` and `/activity/openapi.json`, for whoever the layers of koherent-tower say is asking: they see the
/// histories of their own organization. Without an [`Attribution`] in the request's extensions the answer is 401.
pub fn router<S>(reader: HistoryReader) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router_for(reader, |request| {
        match request.extensions.get::<Attribution>() {
            Some(attribution) => Ok(HistoryScope::own(attribution)),
            None => {
                const TEXT: &str = "Nobody is signed in: send an access token.";
                Err(Problem::new(
                    ErrorCode::Unauthenticated,
                    "NOT_SIGNED_IN",
                    TEXT,
                ))
            }
        }
    })
}

/// The same router with another rule for what whoever asks may see.
///
/// ```
/// use koherent_diesel::{HistoryFilter, HistoryReader, HistoryScope, feed};
///
/// fn for_auditors(reader: HistoryReader) -> axum::Router {
///     koherent_rest::router_for(reader, |_| Ok(HistoryScope::All)) // behind a layer that lets auditors in alone
/// }
/// ```
pub fn router_for<S, F>(reader: HistoryReader, scope: F) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    F: Fn(&Parts) -> Result<HistoryScope, Problem> + Send + Sync + 'static,
{
    let served = Arc::new(Served {
        reader,
        scope: Box::new(scope),
    });
    Router::new()
        .route("/activity", get(activity))
        .route("/activity/count", get(count))
        .route("/activity/outcome", get(outcome))
        .route("/activity/{table}/{id}", get(entry))
        .with_state(served)
        .route("/activity/openapi.json", get(async || Json(openapi())))
}

/// What whoever asks may see.
type Rule = dyn Fn(&Parts) -> Result<HistoryScope, Problem> + Send + Sync;

struct Served {
    reader: HistoryReader,
    scope: Box<Rule>,
}

/// Who changed what.
#[utoipa::path(
    get,
    path = "/activity",
    params(Question),
    responses(
        (status = 200, description = "What was found. With `form=activity` and `form=changes` the items are these; as JSON lines and CSV, everything that matches is streamed", content(
            (Page<Entry> = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/csv"),
        )),
        (status = 400, description = "A parameter cannot be used", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Nobody is signed in", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is busy", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn activity(
    State(served): State<Arc<Served>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let (request, _) = request.into_parts();
    let reader = served.reader.within((served.scope)(&request)?);
    let question = Question::read(query.as_deref().unwrap_or_default(), &request.headers)?;
    let format = question.format();
    let asked = Asked::new(reader, question)?;
    // Who may see it may change at any time.
    let private = [(CACHE_CONTROL, "private, no-store")];
    let kind = match format {
        Format::Json => {
            let (page, next) = asked.page().await?;
            let json = [(CONTENT_TYPE, "application/json")];
            let mut response = (private, json, page).into_response();
            let link = next.and_then(|next| link(query.as_deref().unwrap_or_default(), &next));
            if let Some(link) = link {
                response.headers_mut().insert(LINK, link);
            }
            return Ok(response);
        }
        Format::Jsonl => "application/x-ndjson",
        Format::Csv => "text/csv; charset=utf-8",
    };
    let body = Body::from_stream(asked.lines().await?);
    let mut response = (private, [(CONTENT_TYPE, kind)], body).into_response();
    if format == Format::Csv {
        let name = HeaderValue::from_static("attachment; filename=\"activity.csv\"");
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// The next page, as `Link` says it (RFC 8288): relative to what was asked, wherever the router is nested.
fn link(query: &str, next: &str) -> Option<HeaderValue> {
    let is_kept = |parameter: &&str| {
        let name = parameter.split('=').next();
        !parameter.is_empty() && !matches!(name, Some("after" | "offset"))
    };
    let mut parameters: Vec<&str> = query.split('&').filter(is_kept).collect();
    let after = format!("after={next}");
    parameters.push(&after);
    HeaderValue::from_str(&format!("<?{}>; rel=\"next\"", parameters.join("&"))).ok()
}

/// How many entries there are, or, with `form=changes`, changes: of `limit`, `offset`, `after` and `order` nothing counts.
#[utoipa::path(
    get,
    path = "/activity/count",
    params(Question),
    responses(
        (status = 200, description = "How many", body = Counted),
        (status = 400, description = "A parameter cannot be used", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Nobody is signed in", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is busy", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn count(
    State(served): State<Arc<Served>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let (request, _) = request.into_parts();
    let reader = served.reader.within((served.scope)(&request)?);
    let question = Question::read(query.as_deref().unwrap_or_default(), &request.headers)?;
    let count = Asked::new(reader, question)?.count().await?;
    let private = [(CACHE_CONTROL, "private, no-store")];
    Ok((private, Json(Counted { count })).into_response())
}

/// Whether a transaction was committed: that of a problem with the code `OUTCOME_UNKNOWN`, by its member `transaction`. The answer waits for a
/// server that is still working on it.
#[utoipa::path(
    get,
    path = "/activity/outcome",
    params(("transaction" = String, Query, description = "The id of the transaction, a UUID")),
    responses(
        (status = 200, description = "What became of it", body = TransactionOutcome),
        (status = 400, description = "The id is missing, or is no UUID", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Nobody is signed in", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is busy", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn outcome(
    State(served): State<Arc<Served>>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (request, _) = request.into_parts();
    let reader = served.reader.within((served.scope)(&request)?);
    let unreadable = || {
        const TEXT: &str = "Give `transaction`, the id of a transaction: a UUID.";
        Problem::new(ErrorCode::BadRequest, "TRANSACTION_UNREADABLE", TEXT)
    };
    let Query(parameters) = query.map_err(|_| unreadable())?;
    let id = parameters.get("transaction").ok_or_else(unreadable)?;
    let transaction = id.parse().map_err(|_| unreadable())?;
    // In all audited tables of the program, whichever of them the reader shows: it may have been made in another.
    let question = koherent_diesel::outcome(transaction);
    let outcome = TransactionOutcome {
        transaction: transaction.to_string(),
        committed: reader.outcome(question).await? == Outcome::Committed,
    };
    let private = [(CACHE_CONTROL, "private, no-store")];
    Ok((private, Json(outcome)).into_response())
}

/// One entry, by the table of its row and its number there.
#[utoipa::path(
    get,
    path = "/activity/{table}/{id}",
    params(
        ("table" = String, Path, description = "The table of the row"),
        ("id" = i64, Path, description = "The entry's number in the history of its table"),
    ),
    responses(
        (status = 200, description = "The entry", body = Entry),
        (status = 401, description = "Nobody is signed in", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none, or it is not for whoever asks", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is busy", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn entry(
    State(served): State<Arc<Served>>,
    Path((table, id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (request, _) = request.into_parts();
    let reader = served.reader.within((served.scope)(&request)?);
    let none = || {
        const TEXT: &str = "There is no such entry, or you may not see it.";
        Problem::new(ErrorCode::NotFound, "ENTRY_UNKNOWN", TEXT)
    };
    let (Some(table), Ok(id)) = (reader.table(&table), id.parse::<i64>()) else {
        return Err(none());
    };
    let query = feed([table])
        .filter(HistoryFilter::new().entry(id))
        .limit(1);
    let found = reader.entries(query).await?;
    let entry = Entry::of(found.first().ok_or_else(none)?, Some(table));
    let private = [(CACHE_CONTROL, "private, no-store")];
    Ok((private, Json(entry)).into_response())
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Activity", description = "Who changed what, through which client, under which verified task"),
    paths(activity, count, outcome, entry),
    components(schemas(Activity, Change, Counted, Entry, Form, Format, Kind, Link, LinkedRow, Order, Page<Activity>, Page<Change>, Problem, Sort, Task, TransactionOutcome))
)]
struct Document;

/// The OpenAPI document of the router.
///
/// ```
/// assert!(koherent_rest::openapi().paths.paths.contains_key("/activity"));
/// ```
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
