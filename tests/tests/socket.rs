//! The lab's websocket: the protocol with its codes, signing in, staying signed in, and a task per operation.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use koherent_core::testing::test_issuer;
use koherent_tests::lab::{LOGIN, Lab, access_token, altered_task_token, task_token};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What a server says: a message, or why it closes.
#[derive(Debug)]
enum Said {
    Message(Value),
    Closed(u16),
}

impl Socket {
    /// Connects, with a login in the headers that must not count.
    async fn connect(lab: &Lab) -> Self {
        Self::connect_as(lab, Some("graphql-transport-ws"), None, None)
            .await
            .unwrap()
    }

    async fn connect_as(
        lab: &Lab,
        protocol: Option<&str>,
        origin: Option<&str>,
        task_header: Option<&'static str>,
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let url = lab.url("/graphql").replace("http:", "ws:");
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        if let Some(protocol) = protocol {
            headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        if let Some(origin) = origin {
            headers.insert("origin", origin.parse().unwrap());
        }
        let login = format!("Bearer {}", access_token("agent-7", "robot"));
        headers.insert("authorization", login.parse().unwrap());
        if let Some(name) = task_header {
            headers.insert(name, task_token("task-a").parse().unwrap());
        }
        let (socket, _) = connect_async(request).await?;
        Ok(Self(socket))
    }

    async fn say(&mut self, message: Value) {
        self.say_text(message.to_string()).await;
    }

    async fn say_text(&mut self, text: String) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn hear(&mut self) -> Said {
        let heard = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return Said::Message(serde_json::from_str(&text).unwrap());
                    }
                    Some(Ok(Message::Close(Some(frame)))) => {
                        return Said::Closed(frame.code.into());
                    }
                    Some(Ok(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
        heard.await.expect("something is said within 30 s")
    }

    async fn message(&mut self) -> Value {
        match self.hear().await {
            Said::Message(message) => message,
            closed @ Said::Closed(_) => panic!("{closed:?}"),
        }
    }

    async fn sign_in(lab: &Lab, payload: Value) -> Result<Self, String> {
        let mut socket = Self::connect(lab).await;
        socket
            .say(json!({"type": "connection_init", "payload": payload}))
            .await;
        match socket.hear().await {
            Said::Message(message) if message["type"] == "connection_ack" => Ok(socket),
            other => Err(format!("{other:?}")),
        }
    }

    async fn signed_in(lab: &Lab) -> Self {
        let payload = json!({"token": access_token("agent-7", "robot")});
        Self::sign_in(lab, payload).await.unwrap()
    }

    /// The answer to one operation.
    async fn ask(&mut self, query: &str) -> Value {
        self.ask_with(query, json!({})).await
    }

    /// The answer to one operation with these extensions.
    async fn ask_with(&mut self, query: &str, extensions: Value) -> Value {
        let payload = json!({"query": query, "extensions": extensions});
        self.say(json!({"id": "1", "type": "subscribe", "payload": payload}))
            .await;
        let message = self.message().await;
        assert_eq!(message["id"], "1");
        if message["type"] == "error" {
            return json!({"errors": message["payload"]});
        }
        assert_eq!(message["type"], "next");
        assert_eq!(self.message().await["type"], "complete");
        message["payload"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn login_comes_in_the_payload_and_reads() {
    let lab = Lab::start().await;
    lab.data(None, "mutation { createSample(name: \"heart\") { id } }")
        .await;
    let payload = json!({"token": access_token("agent-7", "robot")});
    let mut socket = Socket::sign_in(&lab, payload).await.unwrap();
    let answer = socket
        .ask("{ samples { name provenance { user { sub } } } }")
        .await;
    assert_eq!(answer["data"]["samples"][0]["name"], "heart");
    assert_eq!(
        answer["data"]["samples"][0]["provenance"][0]["user"]["sub"],
        "agent-7"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn payload_without_a_good_login_is_refused_whatever_the_headers_say() {
    let lab = Lab::start().await;
    let expired = test_issuer(LOGIN).sign(
        &json!({"alg": "EdDSA", "kid": "test-1"}),
        &json!({"iss": LOGIN, "aud": "lab", "sub": "ann", "exp": 1_700_000_000}),
    );
    for payload in [
        json!({}),
        json!(null),
        json!({"token": null}),
        json!({"token": 7}),
        json!({"token": ""}),
        json!({"token": "x.y.z"}),
        json!({"token": [access_token("agent-7", "robot")]}),
        json!({"token": format!("Bearer {}", access_token("agent-7", "robot"))}),
        json!({"token": task_token("task-a")}),
        json!({"token": expired}),
        json!({"Authorization": access_token("agent-7", "robot")}),
    ] {
        let refused = Socket::sign_in(&lab, payload.clone()).await;
        let said = refused
            .err()
            .unwrap_or_else(|| panic!("{payload} was accepted"));
        assert!(said.contains("4403"), "{payload}: {said}");
    }
    // Nothing is answered before the login.
    let mut socket = Socket::connect(&lab).await;
    let query = json!({"query": "{ samples { id } }"});
    socket
        .say(json!({"id": "1", "type": "subscribe", "payload": query}))
        .await;
    let said = socket.hear().await;
    assert!(matches!(said, Said::Closed(4401)), "{said:?}");
}

/// Headers belong to the connection, not to an operation: the task token in them does not count.
#[tokio::test(flavor = "multi_thread")]
async fn mutations_need_the_token_of_their_task() {
    let lab = Lab::start().await;
    let mut socket = Socket::signed_in(&lab).await;
    let create = "mutation { createSample(name: \"x\") { id provenance { task { taskId } } } }";
    let (body, _) = task_token("task-a")
        .rsplit_once('.')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let spliced = format!(
        "{body}.{}",
        task_token("task-b").rsplit_once('.').unwrap().1
    );
    let others = altered_task_token("task-b", |token| token.actor("somebody", "else"));
    for (extensions, reason) in [
        (json!({}), "TASK_TOKEN_MISSING"),
        (json!(null), "TASK_TOKEN_MISSING"),
        (json!({"rekuestTask": null}), "TASK_TOKEN_MISSING"),
        (
            json!({"rekuesttask": task_token("task-a")}),
            "TASK_TOKEN_MISSING",
        ),
        (json!({"rekuestTask": 7}), "MALFORMED"),
        (json!({"rekuestTask": [task_token("task-a")]}), "MALFORMED"),
        (json!({"rekuestTask": ""}), "MALFORMED"),
        (json!({"rekuestTask": spliced}), "BAD_SIGNATURE"),
        (
            json!({"rekuestTask": access_token("agent-7", "robot")}),
            "UNTRUSTED_ISSUER",
        ),
        (json!({"rekuestTask": others}), "ACTOR_MISMATCH"),
    ] {
        let answer = socket.ask_with(create, extensions.clone()).await;
        let error = &answer["errors"][0];
        assert_eq!(
            error["extensions"]["reason"], reason,
            "{extensions}: {answer}"
        );
        assert!(error["extensions"]["code"].is_string(), "{answer}");
    }
    // A read that brings a bad token is refused as well: present and wrong is never absent.
    let answer = socket
        .ask_with("{ samples { id } }", json!({"rekuestTask": "x.y.z"}))
        .await;
    assert!(answer["errors"].is_array(), "{answer}");
    assert_eq!(
        lab.data(None, "{ samples { id } }").await["samples"],
        json!([])
    );

    // Two operations of one connection, each under its own task.
    for task in ["task-a", "task-b"] {
        let answer = socket
            .ask_with(create, json!({"rekuestTask": task_token(task)}))
            .await;
        assert_eq!(
            answer["data"]["createSample"]["provenance"][0]["task"]["taskId"], task,
            "{answer}"
        );
    }
    let answer = socket
        .ask_with(
            "{ samples { id } }",
            json!({"rekuestTask": task_token("task-c")}),
        )
        .await;
    assert_eq!(answer["data"]["samples"].as_array().unwrap().len(), 2);
}

/// Each case with the code that the protocol says.
#[tokio::test(flavor = "multi_thread")]
async fn protocol_is_kept_with_its_codes() {
    let lab = Lab::start().await;
    let subscribe =
        |id: &str, query: &str| json!({"id": id, "type": "subscribe", "payload": {"query": query}});
    let read = "{ samples { id } }";
    // What is said after signing in, and the code with which the connection is closed.
    let cases: [(&str, Vec<String>, u16); 9] = [
        ("no JSON", vec!["{".into()], 4400),
        ("no message", vec!["[]".into()], 4400),
        (
            "an unknown message",
            vec![json!({"type": "start"}).to_string()],
            4400,
        ),
        (
            "a subscribe without an id",
            vec![json!({"type": "subscribe", "payload": {"query": read}}).to_string()],
            4400,
        ),
        (
            "a subscribe without a query",
            vec![json!({"id": "1", "type": "subscribe", "payload": {}}).to_string()],
            4400,
        ),
        (
            "an id that is no text",
            vec![json!({"id": 1, "type": "subscribe", "payload": {"query": read}}).to_string()],
            4400,
        ),
        (
            "signing in twice",
            vec![json!({"type": "connection_init"}).to_string()],
            4429,
        ),
        (
            "a complete without an id",
            vec![json!({"type": "complete"}).to_string()],
            4400,
        ),
        (
            "the same id twice",
            vec![
                subscribe(
                    "1",
                    "subscription { provenance(table: \"samples\") { id } }",
                )
                .to_string(),
                subscribe("1", read).to_string(),
            ],
            4409,
        ),
    ];
    for (case, said, code) in cases {
        let mut socket = Socket::signed_in(&lab).await;
        for text in said {
            socket.say_text(text).await;
        }
        let heard = socket.hear().await;
        assert!(
            matches!(heard, Said::Closed(closed) if closed == code),
            "{case}: {heard:?}"
        );
    }
    // Before signing in.
    let mut socket = Socket::connect(&lab).await;
    socket.say(subscribe("1", read)).await;
    assert!(matches!(socket.hear().await, Said::Closed(4401)));
    let mut socket = Socket::connect(&lab).await;
    socket
        .say(json!({"type": "connection_init", "payload": {"token": "x"}}))
        .await;
    assert!(matches!(socket.hear().await, Said::Closed(4403)));
    // Bytes are no messages.
    let mut socket = Socket::signed_in(&lab).await;
    socket
        .0
        .send(Message::binary(b"{}".to_vec()))
        .await
        .unwrap();
    assert!(matches!(socket.hear().await, Said::Closed(4400)));
    // Another protocol, or none.
    for protocol in [None, Some("graphql-ws")] {
        match Socket::connect_as(&lab, protocol, None, None).await {
            Ok(mut socket) => assert!(
                matches!(socket.hear().await, Said::Closed(4406)),
                "{protocol:?}"
            ),
            // This client looks for the protocol itself.
            Err(error) => assert!(error.to_string().contains("protocol"), "{error}"),
        }
    }
    // A page of another origin does not even get a connection.
    let error = Socket::connect_as(
        &lab,
        Some("graphql-transport-ws"),
        Some("https://evil.example"),
        None,
    )
    .await
    .err();
    assert!(error.unwrap().to_string().contains("403"));
    let own = lab.url("");
    Socket::connect_as(&lab, Some("graphql-transport-ws"), Some(&own), None)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_answered_and_ended_one_by_one() {
    let lab = Lab::start().await;
    let mut socket = Socket::signed_in(&lab).await;
    socket.say(json!({"type": "ping"})).await;
    assert_eq!(socket.message().await["type"], "pong");
    socket
        .say(json!({"type": "pong", "payload": {"any": 1}}))
        .await;
    // An end of nothing is nothing.
    socket.say(json!({"id": "9", "type": "complete"})).await;
    // Juniper's own errors, and those of limits, end the operation and not the connection.
    for (query, part) in [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "Unknown field"),
        ("{ a: samples { id } b: nothing }", "Unknown field"),
        ("subscription { nothing }", "Unknown field"),
        ("fragment a on Query { ...a } { ...a }", "FRAGMENT_CYCLE"),
    ] {
        let answer = socket.ask(query).await;
        assert!(
            answer["errors"].to_string().contains(part),
            "{query}: {answer}"
        );
        assert_eq!(answer["data"], Value::Null);
    }
    // As many as the settings allow, and no more; one that is ended makes room.
    let watch = "subscription { provenance(table: \"samples\") { id } }";
    for id in 0..16 {
        let id = format!("watch {id}");
        socket
            .say(json!({"id": id, "type": "subscribe", "payload": {"query": watch}}))
            .await;
    }
    let answer = socket.ask("{ samples { id } }").await;
    assert_eq!(
        answer["errors"][0]["extensions"]["reason"], "TOO_MANY_OPERATIONS",
        "{answer}"
    );
    socket
        .say(json!({"id": "watch 3", "type": "complete"}))
        .await;
    let answer = socket.ask("{ samples { id } }").await;
    assert_eq!(answer["data"]["samples"], json!([]), "{answer}");
    // An id can be used again when its operation has ended.
    let answer = socket.ask("{ samples { id } }").await;
    assert_eq!(answer["data"]["samples"], json!([]), "{answer}");
}

/// What is committed is told to those who watch it, in its order, and nothing else is.
#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_as_they_are_committed() {
    let lab = Lab::start().await;
    let create = |name: &str| format!("mutation {{ createSample(name: \"{name}\") {{ id }} }}");
    lab.data(None, &create("before")).await;
    let mut socket = Socket::signed_in(&lab).await;
    let fields = "kind key cursor table task { taskId } effectiveChanges { field newValue }";
    let watches = [
        ("all", "subscription { provenance { FIELDS } }"),
        (
            "table",
            "subscription { provenance(table: \"samples\") { FIELDS } }",
        ),
        (
            "row",
            "subscription { provenance(table: \"samples\", key: 2) { FIELDS } }",
        ),
        (
            "task",
            "subscription { provenance(taskId: \"task-b\") { FIELDS } }",
        ),
        (
            "tags",
            "subscription { provenance(table: \"tags\") { FIELDS } }",
        ),
    ];
    for (id, query) in watches {
        let payload = json!({"query": query.replace("FIELDS", fields)});
        socket
            .say(json!({"id": id, "type": "subscribe", "payload": payload}))
            .await;
    }
    // They have been polled when this is answered, and watch a second later at the latest.
    socket.ask("{ samples { id } }").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    lab.data(Some(&task_token("task-a")), &create("heart"))
        .await;
    lab.data(
        Some(&task_token("task-b")),
        "mutation { updateSample(id: 2, note: \"x\") { id } }",
    )
    .await;
    // Nothing of this is committed.
    let login = format!("Bearer {}", access_token("agent-7", "robot"));
    let failed = lab
        .post(
            &[("Authorization", &login)],
            "mutation { updateSample(id: 99, note: \"x\") { id } }",
        )
        .await;
    assert!(failed.body["errors"].is_array(), "{}", failed.body);
    lab.data(
        None,
        "mutation { tagSample(id: 2, label: \"kept\") { id } }",
    )
    .await;

    let mut told: std::collections::BTreeMap<String, Vec<String>> = Default::default();
    let mut cursor = None;
    for _ in 0..4 + 2 + 2 + 1 + 1 {
        let message = socket.message().await;
        assert_eq!(message["payload"]["errors"], Value::Null, "{message}");
        assert_eq!(message["type"], "next", "{message}");
        let entry = &message["payload"]["data"]["provenance"];
        if entry["kind"] == "CREATE" && entry["table"] == "samples" {
            cursor = Some(entry["cursor"].clone());
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let line = format!(
            "{} {} {}",
            text(&entry["kind"]),
            text(&entry["table"]),
            text(&entry["key"])
        );
        told.entry(text(&message["id"])).or_default().push(line);
    }
    let created = "CREATE samples 2";
    let updated = "UPDATE samples 2";
    let (tag, link) = ("CREATE tags 1", "CREATE sample_tags [\"2\",\"1\"]");
    told.get_mut("all").unwrap()[2..].sort_unstable();
    let mut all = vec![created, updated, link, tag];
    all[2..].sort_unstable();
    let lines = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(told["all"], lines(&all));
    assert_eq!(told["table"], lines(&[created, updated]));
    assert_eq!(told["row"], lines(&[created, updated]));
    assert_eq!(told["task"], lines(&[updated]));
    assert_eq!(told["tags"], lines(&[tag]));

    // From the place of an entry on: first what came behind it, then what is new.
    let cursor = cursor.unwrap();
    let mut resumed = Socket::signed_in(&lab).await;
    let query = format!(
        "subscription {{ provenance(table: \"samples\", key: 2, after: {cursor}) {{ kind }} }}"
    );
    resumed
        .say(json!({"id": "1", "type": "subscribe", "payload": {"query": query}}))
        .await;
    assert_eq!(
        resumed.message().await["payload"]["data"]["provenance"]["kind"],
        "UPDATE"
    );
    lab.data(None, "mutation { deleteSample(id: 2) { id } }")
        .await;
    assert_eq!(
        resumed.message().await["payload"]["data"]["provenance"]["kind"],
        "DELETE"
    );

    for (query, reason) in [
        (
            "subscription { provenance(table: \"users\") { id } }",
            "TABLE_UNKNOWN",
        ),
        (
            "subscription { provenance(after: \"yesterday\") { id } }",
            "CURSOR_INVALID",
        ),
    ] {
        let answer =
            resumed.say(json!({"id": "2", "type": "subscribe", "payload": {"query": query}}));
        answer.await;
        let mut said = resumed.message().await.to_string();
        if !said.contains("complete") {
            said += &resumed.message().await.to_string();
        }
        assert!(said.contains(reason), "{query}: {said}");
    }
}

/// A connection is no run of work: where the token of one stands in its headers, it is refused and not overheard.
#[tokio::test(flavor = "multi_thread")]
async fn task_of_a_connection_is_refused() {
    let lab = Lab::start().await;
    let protocol = Some("graphql-transport-ws");
    for name in [
        "rekuest-task",
        "x-rekuest-task",
        "provenance-token",
        "x-provenance-token",
    ] {
        let refused = Socket::connect_as(&lab, protocol, None, Some(name)).await;
        match refused.err().unwrap() {
            tokio_tungstenite::tungstenite::Error::Http(answer) => assert_eq!(answer.status(), 400),
            other => panic!("{other}"),
        }
    }
    Socket::connect(&lab).await;
}

/// Juniper joins the streams of several root fields, drops those of one name, and panics where one of a fragment fails.
#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_have_one_field_and_say_what_is_wrong_with_it() {
    let lab = Lab::start().await;
    let mut socket = Socket::signed_in(&lab).await;
    for query in [
        "subscription { provenance { id } b: provenance { id } }",
        "subscription { provenance { id } ...F } fragment F on Subscription { provenance { kind } }",
        "subscription { provenance { id } __typename }",
    ] {
        let said = socket.ask(query).await;
        assert_eq!(
            said["errors"][0]["extensions"]["reason"], "SUBSCRIPTION_SEVERAL",
            "{said}"
        );
    }
    let query =
        "subscription { ...F } fragment F on Subscription { provenance(table: \"nope\") { id } }";
    let said = socket.ask(query).await;
    assert_eq!(
        said["errors"][0]["extensions"]["reason"], "TABLE_UNKNOWN",
        "{said}"
    );
    let still = socket.ask("{ samples { id } }").await;
    assert_eq!(still["data"]["samples"], json!([]));
}

/// A socket lives longer than a token: what expires while it is open reads nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn login_that_expires_ends_what_the_socket_may_read() {
    use koherent_core::{Clock as _, SystemClock};
    let lab = Lab::start().await;
    let expires = SystemClock.since_epoch().as_secs() + 6;
    let token = test_issuer(LOGIN).sign(
        &json!({"alg": "EdDSA", "kid": "test-1"}),
        &json!({"iss": LOGIN, "aud": "lab", "sub": "ann", "exp": expires}),
    );
    let mut socket = Socket::sign_in(&lab, json!({ "token": token }))
        .await
        .unwrap();
    let before = socket.ask("{ samples { id } }").await;
    assert_eq!(before["data"]["samples"], json!([]));
    while SystemClock.since_epoch().as_secs() < expires {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let after = socket.ask("{ samples { id } }").await;
    assert_eq!(
        after["errors"][0]["extensions"]["reason"], "SIGNED_OUT",
        "{after}"
    );
    // A socket that asks for nothing more is closed all the same, when it is next looked at.
    assert!(matches!(socket.hear().await, Said::Closed(4403)));
}

/// Clients do not ping by themselves: a quiet one that has signed in stays, and one that has not does not.
#[tokio::test(flavor = "multi_thread")]
async fn quiet_socket_stays_if_somebody_signed_in() {
    let lab = Lab::start().await;
    let payload = json!({"token": access_token("agent-7", "robot")});
    let mut signed_in = Socket::sign_in(&lab, payload).await.unwrap();
    let mut nobody = Socket::connect(&lab).await;
    assert!(matches!(nobody.hear().await, Said::Closed(4408)));
    tokio::time::sleep(Duration::from_secs(8)).await;
    let answer = signed_in.ask("{ samples { id } }").await;
    assert_eq!(answer["data"]["samples"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_beyond_the_limit_end_the_socket() {
    let lab = Lab::start().await;
    let mut socket = Socket::connect(&lab).await;
    let payload = json!({"token": "x".repeat(1 << 20)});
    let message = json!({"type": "connection_init", "payload": payload}).to_string();
    // It may be closed before it has taken all; who is still there is told why.
    let _ = socket.0.send(Message::text(message)).await;
    match socket.0.next().await {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), 1009),
        other => assert!(!matches!(other, Some(Ok(_))), "{other:?}"),
    }
    lab.data(None, "{ samples { id } }").await;
}

/// An operation must not run without its variables because they are text.
#[tokio::test(flavor = "multi_thread")]
async fn an_operation_whose_variables_are_no_object_does_not_run() {
    let lab = Lab::start().await;
    let mut socket = Socket::signed_in(&lab).await;
    let query = "mutation m($name: String = \"by default\") { createSample(name: $name) { id } }";
    let extensions = json!({"rekuestTask": task_token("task-a")});
    let cases = [
        ("variables", json!("{\"name\": \"x\"}")),
        ("variables", json!(["x"])),
        ("variables", json!(7)),
        ("operationName", json!(7)),
        ("operationName", json!(["m"])),
        ("extensions", json!("x")),
    ];
    for (member, value) in cases {
        let mut payload = json!({"query": query, "extensions": extensions});
        payload[member] = value;
        socket
            .say(json!({"id": "1", "type": "subscribe", "payload": payload}))
            .await;
        let message = socket.message().await;
        assert_eq!(message["type"], "error", "{payload}");
        let error = &message["payload"][0]["extensions"];
        assert_eq!(
            *error,
            json!({"code": "BAD_REQUEST", "reason": "REQUEST_INVALID"})
        );
    }
    let answer = socket.ask("{ samples { id } }").await;
    assert_eq!(answer["data"]["samples"], json!([]), "nothing was created");
    let answer = socket.ask_with(query, extensions).await;
    assert!(answer["data"]["createSample"]["id"].is_string(), "{answer}");
}

/// The token of a task is at fault, and not the login, which clients would renew.
#[tokio::test(flavor = "multi_thread")]
async fn errors_of_a_socket_say_which_token_is_to_be_renewed() {
    let lab = Lab::start().await;
    let mut socket = Socket::signed_in(&lab).await;
    let create = "mutation { createSample(name: \"x\") { id } }";
    let expired = altered_task_token("task-a", |token| token.claim("exp", 1_700_000_001));
    for (token, reason) in [
        (json!(null), "TASK_TOKEN_MISSING"),
        (json!(7), "MALFORMED"),
        (json!("x.y.z"), "MALFORMED"),
        (json!(expired), "EXPIRED"),
    ] {
        let answer = socket
            .ask_with(create, json!({ "rekuestTask": token }))
            .await;
        let error = &answer["errors"][0]["extensions"];
        assert_eq!(
            *error,
            json!({"code": "TASK_UNAUTHENTICATED", "reason": reason})
        );
    }
    let answer = socket.ask("{ nothing }").await;
    let error = &answer["errors"][0]["extensions"];
    assert_eq!(
        *error,
        json!({"code": "BAD_REQUEST", "reason": "GRAPHQL_VALIDATION_FAILED"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_closed_with_1001_when_the_service_ends() {
    let settings = lab::server::Settings::default();
    let lab = Lab::start_set(settings.clone()).await;
    let mut watching = Socket::signed_in(&lab).await;
    let watch = "subscription { provenance(table: \"samples\") { id } }";
    watching
        .say(json!({"id": "1", "type": "subscribe", "payload": {"query": watch}}))
        .await;
    let mut waiting = Socket::connect(&lab).await;
    let mut asking = Socket::signed_in(&lab).await;
    assert!(asking.ask("{ samples { id } }").await["errors"].is_null());
    settings.shutdown.begin();
    for socket in [&mut watching, &mut waiting, &mut asking] {
        let said = socket.hear().await;
        assert!(matches!(said, Said::Closed(1001)), "{said:?}");
    }
}

/// Clients of the old protocol read in the reason what is spoken; some look for the header by its exact name.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_names_its_protocol_as_clients_look_for_it() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let lab = Lab::start().await;
    for (protocol, expected) in [
        ("graphql-ws", "this service speaks graphql-transport-ws"),
        (
            "graphql-transport-ws",
            "\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n",
        ),
    ] {
        let mut stream = TcpStream::connect(lab.address()).await.unwrap();
        let request = format!(
            "GET /graphql HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut heard = String::new();
        let listening = async {
            while !heard.contains(expected) {
                let mut bytes = [0; 1024];
                let read = stream.read(&mut bytes).await.unwrap();
                assert!(read > 0, "{heard:?} lacks {expected}");
                heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        };
        let heard_in_time = tokio::time::timeout(Duration::from_secs(30), listening).await;
        heard_in_time.expect("it is said within 30 s");
    }
}
