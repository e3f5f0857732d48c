//! The service: two layers, one endpoint, and what operators and people need around it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use axum::response::{Html, IntoResponse, Redirect};
use axum::routing::{get, post};
use bytes::Bytes;
use koherent_core::{ErrorCode, Verifier};
use koherent_diesel::Idempotency;
use koherent_juniper::{Limits, answer_request, refuse};
use koherent_tower::serve::{ServeLimits, Shutdown, serve as serve_within};
use koherent_tower::{
    AccessVerifier, Attribution, DEFAULT_HEADERS, DrainLayer, Presence, PrincipalLayer,
    ProvenanceLayer, Rejection, Responder,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tower_http::cors::CorsLayer;
use tower_http::trace::TraceLayer;

use crate::database::Database;
use crate::graphql::{Lab, Schema, schema};
use crate::readiness::{self, Readiness};
use crate::trust::Trust;
use crate::{idempotency, metrics, socket};

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) schema: Arc<Schema>,
    pub(crate) database: Database,
    pub(crate) access: AccessVerifier,
    pub(crate) tasks: Verifier,
    pub(crate) limits: Limits,
    pub(crate) readiness: Readiness,
    pub(crate) settings: Settings,
    metrics: PrometheusHandle,
}

/// How the service is run.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "`..Settings::default()` says the rest"
)]
pub struct Settings {
    /// The pages of other origins that may use the service (CORS), such as `https://notebook.example`.
    pub origins: Vec<HeaderValue>,
    /// Limits of connections and of the end.
    pub serve: ServeLimits,
    /// Who says when it ends.
    pub shutdown: Shutdown,
}

/// The whole service, ready to be served or called by a test.
///
/// # Errors
///
/// Where nothing can be counted ([`metrics::recorder`]).
pub fn app(trust: Trust, database: Database) -> Result<Router> {
    app_with(trust, database, Settings::default())
}

/// The same, with settings.
///
/// # Errors
///
/// As [`app`].
pub fn app_with(trust: Trust, database: Database, settings: Settings) -> Result<Router> {
    let cors = cors(&settings.origins);
    let app = App {
        schema: Arc::new(schema()),
        database,
        access: trust.access.clone(),
        tasks: trust.provenance.clone(),
        limits: Limits::default(),
        readiness: Readiness::new(),
        settings,
        metrics: metrics::recorder()?,
    };
    let histories = app.database.histories.clone();
    let tasks = ProvenanceLayer::new(trust.provenance);
    let logins = PrincipalLayer::new(trust.access).with_presence(Presence::Required);
    let as_graphql = Responder::by_request(as_graphql);
    let graphql = Router::new()
        .route("/graphql", post(graphql))
        .route("/graphql/", post(graphql))
        .route_layer(tasks.clone().with_responder(as_graphql.clone())) // second: under which task
        .route_layer(logins.clone().with_responder(as_graphql)) // first: who is calling
        .route("/graphql", get(upgrade_or_help)) // outside of the layers: a socket signs in by itself
        .route("/graphql/", get(upgrade_or_help));
    // GET /activity: the same histories without GraphQL
    let activity = koherent_rest::router(histories)
        .route_layer(tasks)
        .route_layer(logins);
    Ok(Router::new()
        .merge(graphql)
        .merge(activity)
        .route("/", get(Html(HELP)))
        .route(
            "/graphiql",
            get(Html(include_str!("../assets/graphiql/index.html"))),
        )
        .route("/graphiql/{file}", get(graphiql_asset))
        .route("/healthz", get("ok\n"))
        .route("/readyz", get(readiness::ready))
        .route("/metrics", get(count))
        .layer(cors)
        .layer(DrainLayer::new()) // whatever is answered early, the connection stays usable
        .layer(TraceLayer::new_for_http())
        .with_state(app))
}

/// What pages of other origins may send, where any may.
fn cors(origins: &[HeaderValue]) -> CorsLayer {
    if origins.is_empty() {
        return CorsLayer::new();
    }
    let key = http::HeaderName::from_static("idempotency-key");
    let headers = [http::header::AUTHORIZATION, CONTENT_TYPE, key];
    let headers = headers.into_iter().chain(DEFAULT_HEADERS);
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(headers.collect::<Vec<_>>())
        .max_age(Duration::from_secs(600))
}

/// The refusals of the layers, as clients of GraphQL read them.
fn as_graphql(rejection: &Rejection, headers: &HeaderMap) -> Response<Bytes> {
    let (code, reason) = (rejection.specific_code(), rejection.reason());
    let refused = rejection.response();
    refuse(headers, &refused, code, reason, rejection.public_text()).map(Bytes::from)
}

async fn count(State(app): State<App>) -> impl IntoResponse {
    const TEXT: &str = "text/plain; version=0.0.4";
    ([(CONTENT_TYPE, TEXT)], app.metrics.render())
}

async fn graphql(
    State(app): State<App>,
    Attribution(attribution): Attribution,
    request: Request,
) -> Response<String> {
    let (parts, body) = request.into_parts();
    let key = match idempotency::key(&parts.headers) {
        Ok(key) => key,
        Err(idempotency::Unreadable) => return unkeyed(&parts.headers, KEY_UNREADABLE),
    };
    let context = Lab::new(&app.database, attribution);
    let Some(key) = key else {
        let request = Request::from_parts(parts, body);
        return answer_request(&app.schema, &context, &app.limits, request).await;
    };
    // The same key is the same payload.
    let Ok(body) = axum::body::to_bytes(body, app.limits.body).await else {
        return unkeyed(&parts.headers, BODY_UNREADABLE);
    };
    let context = context.with_idempotency(Some(Idempotency::new(&key, &body)));
    let request = Request::from_parts(parts, Body::from(body));
    answer_request(&app.schema, &context, &app.limits, request).await
}

const KEY_UNREADABLE: (&str, &str) = (
    "IDEMPOTENCY_KEY_UNREADABLE",
    "Give one Idempotency-Key: a string of at most 255 characters, in quotes.",
);

const BODY_UNREADABLE: (&str, &str) = (
    "BODY_UNREADABLE",
    "The body is too large, or did not come to its end.",
);

fn unkeyed(headers: &HeaderMap, (reason, text): (&str, &str)) -> Response<String> {
    let mut refused = Response::new(());
    *refused.status_mut() = StatusCode::BAD_REQUEST;
    refuse(headers, &refused, ErrorCode::BadRequest, reason, text)
}

/// A websocket where one is asked for. Browsers are shown GraphiQL, and everybody else how to ask.
async fn upgrade_or_help(
    State(app): State<App>,
    headers: HeaderMap,
    request: Request,
) -> axum::response::Response {
    use axum::extract::FromRequestParts as _;
    use axum::extract::ws::WebSocketUpgrade;
    let (mut parts, _) = request.into_parts();
    if let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &app).await {
        return socket::upgrade(app, &headers, upgrade);
    }
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains("text/html")) {
        return Redirect::to("/graphiql").into_response();
    }
    const TEXT: &str = "Send queries and mutations with POST, as JSON such as {\"query\": \"{ __typename }\"}; subscriptions \
                        need a websocket of the protocol graphql-transport-ws. /graphiql shows the schema.";
    let mut refused = Response::new(());
    *refused.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let help = refuse(
        &headers,
        &refused,
        ErrorCode::BadRequest,
        "METHOD_NOT_ALLOWED",
        TEXT,
    );
    let (parts, body) = help.into_parts();
    // That no query is answered here is the business of HTTP, whatever the client accepts.
    let allowed = [(ALLOW, "POST"), (CONTENT_TYPE, media(&parts.headers))];
    (StatusCode::METHOD_NOT_ALLOWED, allowed, body).into_response()
}

fn media(headers: &HeaderMap) -> &str {
    let media = headers.get(CONTENT_TYPE);
    media
        .and_then(|media| media.to_str().ok())
        .unwrap_or_default()
}

/// What is where.
const HELP: &str = "<!doctype html><html lang=\"en\"><title>lab</title><h1>lab</h1>\
<p>A small imaging-lab service that keeps the provenance of every sample.</p><ul>\
<li><a href=\"/graphiql\">/graphiql</a>: ask, in the browser\
<li>POST /graphql: GraphQL; a websocket there speaks graphql-transport-ws\
<li>GET /activity: who changed what, as JSON, JSON lines or CSV; <a href=\"/activity/openapi.json\">its description</a>\
<li><a href=\"/healthz\">/healthz</a>, <a href=\"/readyz\">/readyz</a>, <a href=\"/metrics\">/metrics</a></ul></html>";

/// GraphiQL's files, from the binary: a lab has no internet.
async fn graphiql_asset(
    axum::extract::Path(file): axum::extract::Path<String>,
) -> impl IntoResponse {
    macro_rules! asset {
        ($name:literal, $kind:literal) => {
            (
                $kind,
                &include_bytes!(concat!("../assets/graphiql/", $name, ".gz"))[..],
            )
        };
    }
    let (kind, bytes) = match file.as_str() {
        "graphiql.min.css" => asset!("graphiql.min.css", "text/css"),
        "graphiql.min.js" => asset!("graphiql.min.js", "text/javascript"),
        "react.production.min.js" => asset!("react.production.min.js", "text/javascript"),
        "react-dom.production.min.js" => asset!("react-dom.production.min.js", "text/javascript"),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_ENCODING, "gzip"),
        (CACHE_CONTROL, "public, max-age=86400"),
    ];
    (headers, bytes).into_response()
}

/// Takes the address.
///
/// # Errors
///
/// Where it cannot be had; the message says what to do.
pub async fn bind(listen: &str) -> Result<TcpListener> {
    if !listen.contains(':') {
        bail!("`{listen}` is no address: give HOST:PORT with --listen, such as 127.0.0.1:8080");
    }
    TcpListener::bind(listen).await.with_context(|| {
        format!(
            "cannot listen on {listen}: stop what listens there, or choose another address with --listen"
        )
    })
}

/// Serves until the first signal to end, and lets what is under way finish, within the limit: see
/// [`koherent_tower::serve`].
pub async fn serve(listener: TcpListener, app: Router) {
    serve_with(listener, app, Settings::default()).await;
}

/// The same, with settings: those of the app.
pub async fn serve_with(listener: TcpListener, app: Router, settings: Settings) {
    serve_within(listener, app, settings.serve, settings.shutdown).await;
}
