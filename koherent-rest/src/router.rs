//! The router, and what OpenAPI says of it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use http::request::Parts;
use koherent_core::{Attribution, ErrorCode};
use koherent_diesel::{HistoryReader, HistoryScope};
use utoipa::OpenApi;

use crate::answer::{Activity, Change, Entry, Page, Task};
use crate::form::Asked;
use crate::problem::Problem;
use crate::question::{Form, Format, Kind, Order, Question, Sort};

/// `GET /activity` and `GET /activity/openapi.json`, for whoever the layers of koherent-tower say is asking: they see the
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
/// use koherent_diesel::{HistoryReader, HistoryScope};
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
            return Ok((
                private,
                [(CONTENT_TYPE, "application/json")],
                asked.page().await?,
            )
                .into_response());
        }
        Format::Jsonl => "application/x-ndjson",
        Format::Csv => "text/csv; charset=utf-8",
    };
    let body = Body::from_stream(asked.lines().await?);
    let mut response = (private, [(CONTENT_TYPE, kind)], body).into_response();
    if format == Format::Csv {
        let name = http::HeaderValue::from_static("attachment; filename=\"activity.csv\"");
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Activity", description = "Who changed what, through which client, under which verified task"),
    paths(activity),
    components(schemas(Activity, Change, Entry, Form, Format, Kind, Order, Page<Activity>, Page<Change>, Problem, Sort, Task))
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
