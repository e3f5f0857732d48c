//! The service: two layers, one endpoint, and what operators and people need around it.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use bytes::Bytes;
use koherent_core::Verifier;
use koherent_juniper::{Limits, answer};
use koherent_tower::{AccessVerifier, Attribution, Presence, PrincipalLayer, ProvenanceLayer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::trace::TraceLayer;

use crate::database::Database;
use crate::graphql::{Lab, Schema, schema};
use crate::trust::Trust;
use crate::{metrics, socket};

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) schema: Arc<Schema>,
    pub(crate) database: Database,
    pub(crate) access: AccessVerifier,
    pub(crate) tasks: Verifier,
    pub(crate) limits: Limits,
    metrics: PrometheusHandle,
}

/// The whole service, ready to be served or called by a test.
///
/// # Errors
///
/// Where nothing can be counted ([`metrics::recorder`]).
pub fn app(trust: Trust, database: Database) -> Result<Router> {
    let limits = Limits::default();
    let app = App {
        schema: Arc::new(schema()),
        database,
        access: trust.access.clone(),
        tasks: trust.provenance.clone(),
        limits,
        metrics: metrics::recorder()?,
    };
    let histories = app.database.histories.clone();
    let signed_in = PrincipalLayer::new(trust.access).with_presence(Presence::Required);
    Ok(Router::new()
        .route("/graphql", post(graphql))
        .merge(koherent_rest::router(histories)) // GET /activity: the same histories without GraphQL
        .route_layer(ProvenanceLayer::new(trust.provenance)) // second: under which task
        .route_layer(signed_in) // first: who is calling
        .route("/graphql", get(socket::upgrade)) // outside of the layers: it signs in by itself
        .route(
            "/graphiql",
            get(Html(include_str!("../assets/graphiql/index.html"))),
        )
        .route("/graphiql/{file}", get(graphiql_asset))
        .route("/healthz", get("ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(count))
        .layer(RequestBodyLimitLayer::new(limits.body))
        .layer(TraceLayer::new_for_http())
        .with_state(app))
}

async fn count(State(app): State<App>) -> impl IntoResponse {
    const TEXT: &str = "text/plain; version=0.0.4";
    ([(CONTENT_TYPE, TEXT)], app.metrics.render())
}

async fn graphql(
    State(app): State<App>,
    Attribution(attribution): Attribution,
    body: Bytes,
) -> http::Response<String> {
    let context = Lab::new(&app.database, attribution);
    answer(&app.schema, &context, &app.limits, &body).await
}

/// Ready means: the database answers.
async fn ready(State(app): State<App>) -> Result<&'static str, (StatusCode, &'static str)> {
    use diesel_async::RunQueryDsl as _;
    let not_ready = |error: koherent_diesel::Error| {
        tracing::error!("not ready: {error}");
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer\n",
        )
    };
    let nobody = koherent_core::Attribution::system("readiness probe");
    let mut conn = app.database.pool.get(nobody).await.map_err(not_ready)?;
    let one = diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("1"));
    one.execute(&mut conn)
        .await
        .map_err(|error| not_ready(error.into()))?;
    Ok("ready\n")
}

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

/// Serves until Ctrl-C or a termination signal, and lets running requests finish.
///
/// # Errors
///
/// Where the listener fails.
pub async fn serve(listener: TcpListener, app: Router) -> Result<()> {
    axum::serve(listener, app)
        .with_graceful_shutdown(stop_signal())
        .await
        .context("the server failed")
}

async fn stop_signal() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! { _ = interrupted => {}, _ = terminated.recv() => {} }
            return;
        }
    }
    let _ = interrupted.await;
}
