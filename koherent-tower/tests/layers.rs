//! The two layers around a router: what reaches the handler, and what is answered instead of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use http::{HeaderValue, Request, Response, StatusCode, header};
use koherent_core::mint::TokenIssuer;
use koherent_core::testing::test_issuer;
use koherent_tower::access::DEVELOPMENT_ISSUER;
use koherent_tower::{
    AccessVerifier, Attribution, LoginChecked, Presence, Principal, PrincipalLayer, Provenance,
    ProvenanceLayer, Rejection, Responder, current,
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Counts how often the handler runs: a refused request must not reach it.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicUsize>);

impl Calls {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

async fn whoami(
    Extension(Calls(calls)): Extension<Calls>,
    who: Option<Attribution>,
    task: Option<Provenance>,
) -> String {
    calls.fetch_add(1, Ordering::SeqCst);
    let ambient = current().and_then(|who| who.user().map(ToString::to_string));
    let user = who
        .as_ref()
        .and_then(|Attribution(who)| who.user().map(ToString::to_string));
    assert_eq!(
        ambient, user,
        "the ambient attribution is the extracted one"
    );
    let task = task.map(|Provenance(token)| token.task().task_id.to_string());
    format!(
        "{} under {}",
        user.as_deref().unwrap_or("nobody"),
        task.as_deref().unwrap_or("nothing")
    )
}

fn login_issuer() -> TokenIssuer {
    TokenIssuer::new(DEVELOPMENT_ISSUER, "dev", &[9; 32])
}

fn bearer(sub: &str, client: &str) -> String {
    let claims = json!({
        "iss": DEVELOPMENT_ISSUER, "aud": "lab", "sub": sub, "client_id": client,
        "iat": 1_700_000_000, "exp": 4_102_444_800_u64,
    });
    format!(
        "Bearer {}",
        login_issuer().sign(&json!({"alg": "EdDSA", "kid": "dev"}), &claims)
    )
}

fn access() -> AccessVerifier {
    AccessVerifier::development("lab", &login_issuer().jwks()).unwrap()
}

fn provenance() -> ProvenanceLayer {
    ProvenanceLayer::new(test_issuer("rekuest").verifier("lab"))
}

fn task_token() -> String {
    test_issuer("rekuest")
        .task("task-a")
        .actor("agent-7", "robot")
        .mint()
}

fn app(calls: &Calls) -> Router {
    Router::new()
        .route("/", get(whoami))
        .layer(Extension(calls.clone()))
}

fn full_app(calls: &Calls) -> Router {
    app(calls)
        .layer(provenance())
        .layer(PrincipalLayer::new(access()))
}

fn request(headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().uri("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20)
        .await
        .unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn get_ok(app: Router, headers: &[(&str, &str)]) -> String {
    let response = app.oneshot(request(headers)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    text(response).await
}

/// Status and reason of a refusal, which must be a problem document.
async fn refused(app: Router, request: Request<Body>) -> (u16, String) {
    let response = app.oneshot(request).await.unwrap();
    let status = response.status();
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
    assert_eq!(
        response.headers().contains_key(header::WWW_AUTHENTICATE),
        status == 401
    );
    let problem: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(problem["status"], status.as_u16());
    (
        status.as_u16(),
        problem["reason"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test]
async fn login_and_task_reach_the_handler() {
    let calls = Calls::default();
    let (agent, task) = (bearer("agent-7", "robot"), task_token());
    let headers = [
        ("authorization", agent.as_str()),
        ("rekuest-task", task.as_str()),
    ];
    assert_eq!(
        get_ok(full_app(&calls), &headers).await,
        "agent-7 under task-a"
    );
    assert_eq!(
        get_ok(full_app(&calls), &headers[..1]).await,
        "agent-7 under nothing"
    );
    assert_eq!(get_ok(full_app(&calls), &[]).await, "nobody under nothing");
    for name in [
        "Rekuest-Task",
        "X-Rekuest-Task",
        "Provenance-Token",
        "X-Provenance-Token",
    ] {
        let headers = [("AUTHORIZATION", agent.as_str()), (name, task.as_str())];
        assert_eq!(
            get_ok(full_app(&calls), &headers).await,
            "agent-7 under task-a"
        );
    }
    let lower = agent.replace("Bearer", "bearer");
    let headers = [("authorization", lower.as_str())];
    assert_eq!(
        get_ok(full_app(&calls), &headers).await,
        "agent-7 under nothing"
    );
}

#[tokio::test]
async fn present_and_wrong_is_never_absent() {
    let calls = Calls::default();
    let (agent, task) = (bearer("agent-7", "robot"), task_token());
    let login = ("authorization", agent.as_str());
    let issuer = test_issuer("rekuest");
    let other_actor = issuer.task("task-a").actor("agent-8", "robot").mint();
    let expired = issuer
        .task("task-a")
        .actor("agent-7", "robot")
        .valid(1, 2)
        .mint();
    let long = "a".repeat(20_000);
    let expired_login = login_issuer().sign(
        &json!({"alg": "EdDSA", "kid": "dev"}),
        &json!({"iss": DEVELOPMENT_ISSUER, "aud": "lab", "sub": "x", "exp": 2}),
    );
    let expired_login = format!("Bearer {expired_login}");
    for (headers, expected) in [
        (vec![login, ("rekuest-task", "")], (401, "MALFORMED")),
        (vec![login, ("rekuest-task", "garbage")], (401, "MALFORMED")),
        (vec![login, ("rekuest-task", &expired)], (401, "EXPIRED")),
        (vec![login, ("rekuest-task", &long)], (400, "TOO_LARGE")),
        (
            vec![login, ("rekuest-task", &other_actor)],
            (403, "ACTOR_MISMATCH"),
        ),
        (
            vec![login, ("rekuest-task", &task), ("rekuest-task", &task)],
            (400, "HEADER_REPEATED"),
        ),
        (
            vec![
                login,
                ("rekuest-task", &task),
                ("x-provenance-token", &task),
            ],
            (400, "HEADER_REPEATED"),
        ),
        (
            vec![login, ("rekuest_task", &task)],
            (400, "HEADER_MISNAMED"),
        ),
        (vec![("rekuest-task", &task)], (401, "TOKEN_WITHOUT_LOGIN")),
        (vec![login, login], (400, "HEADER_REPEATED")),
        (vec![("authorization", "")], (400, "HEADER_UNREADABLE")),
        (
            vec![("authorization", "Bearer ")],
            (400, "HEADER_UNREADABLE"),
        ),
        (
            vec![("authorization", "Basic YTpi")],
            (400, "HEADER_UNREADABLE"),
        ),
        (vec![("authorization", "Bearer x")], (401, "MALFORMED")),
        (vec![("authorization", &expired_login)], (401, "EXPIRED")),
    ] {
        let (status, reason) = refused(full_app(&calls), request(&headers)).await;
        assert_eq!((status, reason.as_str()), expected);
    }
    let mut unreadable = request(&[login]);
    unreadable.headers_mut().insert(
        "rekuest-task",
        HeaderValue::from_bytes(b"\xff\xfe").unwrap(),
    );
    assert_eq!(
        refused(full_app(&calls), unreadable).await,
        (400, "HEADER_UNREADABLE".into())
    );
    assert_eq!(calls.count(), 0, "no refused request reached the handler");
}

#[tokio::test]
async fn required_presence_refuses_absence() {
    let calls = Calls::default();
    let required = || {
        app(&calls)
            .layer(provenance().with_presence(Presence::Required))
            .layer(PrincipalLayer::new(access()))
    };
    let agent = bearer("agent-7", "robot");
    let refusal = refused(required(), request(&[("authorization", &agent)])).await;
    assert_eq!(refusal, (401, "TOKEN_MISSING".into()));
    let login = app(&calls).layer(PrincipalLayer::new(access()).with_presence(Presence::Required));
    assert_eq!(
        refused(login, request(&[])).await,
        (401, "TOKEN_MISSING".into())
    );
    assert_eq!(calls.count(), 0);
}

#[tokio::test]
async fn layers_in_the_wrong_order_are_found_at_the_first_request() {
    let calls = Calls::default();
    let wrong = app(&calls)
        .layer(PrincipalLayer::new(access()))
        .layer(provenance());
    let (agent, task) = (bearer("agent-7", "robot"), task_token());
    let headers = [
        ("authorization", agent.as_str()),
        ("rekuest-task", task.as_str()),
    ];
    let none = app(&calls).layer(provenance());
    let opted_out = app(&calls)
        .layer(PrincipalLayer::new(access()))
        .layer(provenance().without_actor_binding());
    for app in [wrong, none, opted_out] {
        for headers in [&headers[..], &headers[..1], &[]] {
            let answer = refused(app.clone(), request(headers)).await;
            assert_eq!(answer, (500, "LAYER_MISSING".into()));
        }
    }
    let text = Rejection::NoLoginLayer.to_string();
    assert!(
        text.contains(".layer(provenance).layer(principal)"),
        "{text}"
    );
    assert_eq!(calls.count(), 0);
}

/// Without a task token there is no refusal to find the wrong order by; but a signed-in user must not become nobody.
#[tokio::test]
async fn wrong_order_never_makes_a_signed_in_user_nobody() {
    let ann = bearer("ann", "lab-ui");
    let headers = [("authorization", ann.as_str())];
    let optional = get(async |who: Option<Attribution>| format!("{}", who.is_none()));
    let required = get(async |Attribution(_): Attribution| "somebody");
    for route in [optional, required] {
        let app: Router = Router::new()
            .route("/", route)
            .layer(PrincipalLayer::new(access()))
            .layer(provenance());
        assert_eq!(
            refused(app, request(&headers)).await,
            (500, "LAYER_MISSING".into())
        );
    }
}

/// A service that looks at the attribution before its future is polled sees it as well.
#[tokio::test]
async fn current_attribution_is_there_while_the_service_is_called() {
    use tower_layer::Layer as _;
    let inner = tower::service_fn(|_: Request<()>| {
        let user = current().and_then(|who| who.user().map(ToString::to_string));
        std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(
            Body::from(user.unwrap_or_default()),
        )))
    });
    let service = PrincipalLayer::new(access()).layer(provenance().layer(inner));
    let ann = bearer("ann", "lab-ui");
    let request = Request::builder()
        .header("authorization", ann)
        .body(())
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(text(response.map(Body::new)).await, "ann");
}

#[tokio::test]
async fn opting_out_of_actor_binding_attributes_to_the_tokens_actor() {
    let calls = Calls::default();
    let unbound = app(&calls).layer(provenance().without_actor_binding());
    let task = task_token();
    assert_eq!(
        get_ok(unbound, &[("rekuest-task", &task)]).await,
        "agent-7 under task-a"
    );
}

#[tokio::test]
async fn login_of_the_applications_own_is_bound_as_well() {
    let calls = Calls::default();
    let own_login = |client: &'static str| {
        app(&calls)
            .layer(provenance())
            .layer(axum::middleware::map_request(
                move |mut request: Request<Body>| async move {
                    let principal = koherent_core::Principal::new("own", "agent-7", client);
                    request.extensions_mut().insert(LoginChecked);
                    request.extensions_mut().insert(principal);
                    request
                },
            ))
    };
    let task = task_token();
    let headers = [("rekuest-task", task.as_str())];
    assert_eq!(
        get_ok(own_login("robot"), &headers).await,
        "agent-7 under task-a"
    );
    let refusal = refused(own_login("other"), request(&headers)).await;
    assert_eq!(refusal, (403, "ACTOR_MISMATCH".into()));
}

#[tokio::test]
async fn extractors_without_their_layer_say_which_one_is_missing() {
    let calls = Calls::default();
    assert_eq!(
        refused(app(&calls), request(&[])).await,
        (500, "LAYER_MISSING".into())
    );
    let required: Router = Router::new()
        .route(
            "/",
            get(async |Principal(who): Principal| who.subject.to_string()),
        )
        .layer(PrincipalLayer::new(access()));
    assert_eq!(
        refused(required, request(&[])).await,
        (401, "TOKEN_MISSING".into())
    );
}

#[tokio::test]
async fn rejection_travels_with_the_response_and_a_responder_replaces_it() {
    let calls = Calls::default();
    let responder = Responder::new(|rejection| {
        let mut response = Response::new(rejection.reason().into());
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    });
    let app = app(&calls)
        .layer(provenance().with_responder(responder))
        .layer(Extension(LoginChecked));
    let response = app
        .oneshot(request(&[("rekuest-task", "x")]))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(
        response.extensions().get::<Rejection>().unwrap().reason(),
        "MALFORMED"
    );
    assert_eq!(text(response).await, "MALFORMED");
}

#[tokio::test]
async fn extractors_answer_with_the_layers_responder() {
    let responder = Responder::new(|_| {
        let mut response = Response::new("short and stout".into());
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    });
    let app: Router = Router::new()
        .route("/", get(async |Provenance(_): Provenance| "never"))
        .layer(provenance().with_responder(responder))
        .layer(Extension(LoginChecked));
    let response = app.oneshot(request(&[])).await.unwrap();
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
}

#[test]
fn layer_without_a_header_to_look_at_is_refused() {
    assert!(provenance().with_headers([]).is_err());
}

#[tokio::test]
async fn correlation_id_is_taken_from_the_trace_and_is_no_task() {
    let app = || {
        let handler = async |Attribution(who): Attribution| {
            assert!(who.task().is_none());
            who.context().unwrap()["correlation_id"].to_string()
        };
        Router::new()
            .route("/", get(handler))
            .layer(provenance())
            .layer(PrincipalLayer::new(access()))
    };
    let ann = bearer("ann", "lab-ui");
    let login = ("authorization", ann.as_str());
    let trace = (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    );
    for broken in [
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-<script>alert(1)</script>12345678-0-0",
    ] {
        let id = get_ok(
            app(),
            &[login, ("traceparent", broken), ("x-request-id", "r-1")],
        )
        .await;
        assert_eq!(id, "\"r-1\"");
    }
    let id = get_ok(app(), &[login, trace, ("x-request-id", "r-1")]).await;
    assert_eq!(id, "\"4bf92f3577b34da6a3ce929d0e0e4736\"");
    assert_eq!(
        get_ok(app(), &[login, ("x-request-id", "r-1")]).await,
        "\"r-1\""
    );
}

/// Any service of `http` types, not only axum's.
#[tokio::test]
async fn layers_wrap_any_service() {
    use http_body_util::{BodyExt as _, Full};
    use tower_layer::Layer as _;
    let inner = tower::service_fn(async |request: Request<()>| {
        let known = request
            .extensions()
            .get::<koherent_core::Principal>()
            .is_some();
        Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::from(
            known.to_string(),
        )))
    });
    let service = PrincipalLayer::new(access()).layer(provenance().layer(inner));
    let ann = bearer("ann", "lab-ui");
    let request = Request::builder()
        .header("authorization", ann)
        .body(())
        .unwrap();
    let body = service.oneshot(request).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "true");
}

/// Who acts in the principal's stead stands in the attribution, with and without a task.
#[tokio::test]
async fn an_impersonator_is_kept_with_each_change() {
    let claims = json!({
        "iss": DEVELOPMENT_ISSUER, "aud": "lab", "sub": "agent-7", "client_id": "robot", "act": {"sub": "admin"},
        "exp": 4_102_444_800_u64,
    });
    let token = login_issuer().sign(&json!({"alg": "EdDSA", "kid": "dev"}), &claims);
    let login = format!("Bearer {token}");
    let context =
        async |Attribution(who): Attribution| who.context().unwrap_or_default().to_string();
    let app = Router::new()
        .route("/", get(context))
        .layer(provenance())
        .layer(PrincipalLayer::new(access()));
    let task = task_token();
    for task in [None, Some(("Rekuest-Task", task.as_str()))] {
        let headers: Vec<_> = [("Authorization", login.as_str())]
            .into_iter()
            .chain(task)
            .collect();
        let kept: Value = serde_json::from_str(&get_ok(app.clone(), &headers).await).unwrap();
        assert_eq!(kept["impersonator"], "admin", "{kept}");
    }
}

/// A responder sees what the client accepts.
#[tokio::test]
async fn a_responder_may_answer_by_the_headers_of_the_request() {
    let by_accept = Responder::by_request(|rejection, headers| {
        let mut response = rejection.response();
        let is_plain = headers
            .get(header::ACCEPT)
            .is_some_and(|kind| kind == "text/plain");
        if is_plain {
            *response.body_mut() = rejection.public_text().into();
        }
        response
    });
    let layer = PrincipalLayer::new(access()).with_presence(Presence::Required);
    // Refused by the layer, and by an extractor.
    let required = app(&Calls::default()).layer(layer.with_responder(by_accept.clone()));
    let handler = async |Principal(_): Principal| "somebody";
    let extracted = Router::new()
        .route("/", get(handler))
        .layer(PrincipalLayer::new(access()).with_responder(by_accept));
    for app in [required, extracted] {
        for (accepted, begins) in [("text/plain", "Sign in"), ("*/*", "{")] {
            let response = app
                .clone()
                .oneshot(request(&[("Accept", accepted)]))
                .await
                .unwrap();
            assert_eq!(response.status(), 401);
            assert!(text(response).await.starts_with(begins), "{accepted}");
        }
    }
}
