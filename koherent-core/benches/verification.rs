//! What verification costs, as ratios measured side by side in one run: `cargo bench -p koherent-core`.
//!
//! Each line compares two ways to do the same amount of work. They take turns in short rounds; what is printed is the median
//! of each, and the median of the ratios of neighbouring rounds, so that whatever else the machine does meets both.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark, whose output is its purpose"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use koherent_core::mint::TokenIssuer;
use koherent_core::testing::test_issuer;
use koherent_core::token::args_hash;
use koherent_tower::access::DEVELOPMENT_ISSUER;
use koherent_tower::{AccessVerifier, PrincipalLayer, ProvenanceLayer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const ROUNDS: usize = 301;

fn main() {
    // `cargo test --all-targets` runs this too; it has nothing to test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    first_sight();
    seen_before();
    arguments(1 << 10);
    arguments(1 << 20);
    requests();
}

/// A token that was never seen, against the bare check of its signature: other tokens of the same kind, so that neither way
/// sees anything twice.
fn first_sight() {
    const EACH: usize = 10;
    let issuer = test_issuer("rekuest");
    let mint = |kind: &str| -> Vec<String> {
        let tokens = 0..ROUNDS * EACH;
        tokens
            .map(|n| issuer.task(&format!("{kind}-{n}")).mint())
            .collect()
    };
    let (checked, verified) = (mint("bare"), mint("task"));
    let signed: Vec<(&str, Signature)> = checked
        .iter()
        .map(|token| {
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            (signed, Signature::from_slice(&signature).unwrap())
        })
        .collect();
    let public = public_key(&issuer);
    let verifier = issuer.verifier("lab");
    let (mut signed, mut unseen) = (signed.iter(), verified.iter());
    let compared = compare(
        EACH,
        || {
            for (signed, signature) in signed.by_ref().take(EACH) {
                let verdict = public.verify_strict(black_box(signed.as_bytes()), signature);
                verdict.unwrap();
            }
        },
        || {
            for token in unseen.by_ref().take(EACH) {
                verifier.verify(black_box(token)).unwrap();
            }
        },
    );
    report(
        "token, first sight",
        "bare verify_strict",
        &compared,
        "at most 1.15 ×",
    );
}

fn public_key(issuer: &TokenIssuer) -> VerifyingKey {
    let jwks: serde_json::Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let point = jwks["keys"][0]["x"].as_str().unwrap();
    let point = URL_SAFE_NO_PAD.decode(point).unwrap();
    VerifyingKey::from_bytes(&point.try_into().unwrap()).unwrap()
}

/// A token that was seen before, against the first sight.
fn seen_before() {
    let issuer = test_issuer("rekuest");
    let token = issuer.task("task-a").mint();
    let remembering = issuer.verifier("lab");
    let forgetful = issuer.verifier("lab").with_cached_tokens(0);
    remembering.verify(&token).unwrap();
    let compared = compare(
        20,
        || (0..20).for_each(|_| drop(forgetful.verify(black_box(&token)).unwrap())),
        || (0..20).for_each(|_| drop(remembering.verify(black_box(&token)).unwrap())),
    );
    report(
        "task token, seen before",
        "first sight",
        &compared,
        "at most 2 µs",
    );

    let (access, login) = login();
    access.verify(&login).unwrap();
    let anew = access.clone().with_cached_tokens(0);
    let compared = compare(
        20,
        || (0..20).for_each(|_| drop(anew.verify(black_box(&login)).unwrap())),
        || (0..20).for_each(|_| drop(access.verify(black_box(&login)).unwrap())),
    );
    report(
        "access token, seen before",
        "first sight",
        &compared,
        "at most 2 µs",
    );
}

/// The canonical hash of arguments, against SHA-256 of the same bytes.
fn arguments(size: usize) {
    use sha2::{Digest as _, Sha256};
    let mut text = String::from("{");
    let mut number = 0;
    while text.len() < size {
        text.push_str(&format!(
            "\"field{number}\": [\"a value\", {number}, {number}.5, null], "
        ));
        number += 1;
    }
    text.push_str("\"last\": {}}");
    let times = ((1 << 16) / size).max(1);
    let compared = compare(
        times,
        || (0..times).for_each(|_| _ = black_box(Sha256::digest(black_box(&text)))),
        || (0..times).for_each(|_| drop(black_box(args_hash(black_box(text.as_bytes())).unwrap()))),
    );
    let megabytes = text.len() as f64 / 1e6 / compared.other.as_secs_f64();
    let aim = format!("{megabytes:.0} MB/s");
    report(
        &format!("args hash, {} KiB", size >> 10),
        "bare SHA-256",
        &compared,
        &aim,
    );
}

/// Requests over loopback, through both layers with the same two tokens, against the same service without layers.
fn requests() {
    const CONNECTIONS: usize = 8;
    const EACH: usize = 20;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (access, login) = login();
    let issuer = test_issuer("rekuest");
    let task = issuer.task("task-a").actor("agent-7", "robot").mint();
    let plain = Router::new().route("/", get(async || "ok"));
    let layered = plain
        .clone()
        .layer(ProvenanceLayer::new(issuer.verifier("lab")))
        .layer(PrincipalLayer::new(access));
    let request = format!(
        "GET / HTTP/1.1\r\nHost: lab\r\nAuthorization: Bearer {login}\r\nRekuest-Task: {task}\r\n\r\n"
    );
    let clients = |app: Router| {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(listener, app).await });
            let mut clients = Vec::new();
            for _ in 0..CONNECTIONS {
                let client = TcpStream::connect(address).await.unwrap();
                client.set_nodelay(true).unwrap();
                clients.push(client);
            }
            clients
        })
    };
    let (mut plain, mut layered) = (clients(plain), clients(layered));
    let round = |clients: &mut Vec<TcpStream>| {
        let moved = std::mem::take(clients);
        let request = request.clone();
        *clients = runtime.block_on(async move {
            let tasks = moved.into_iter().map(|mut client| {
                let request = request.clone();
                tokio::spawn(async move {
                    let mut answer = [0; 1024];
                    for _ in 0..EACH {
                        client.write_all(request.as_bytes()).await.unwrap();
                        let length = client.read(&mut answer).await.unwrap();
                        assert!(answer[..length].starts_with(b"HTTP/1.1 200 "));
                    }
                    client
                })
            });
            let mut clients = Vec::new();
            for task in tasks.collect::<Vec<_>>() {
                clients.push(task.await.unwrap());
            }
            clients
        });
    };
    let compared = compare(
        CONNECTIONS * EACH,
        || round(&mut plain),
        || round(&mut layered),
    );
    let per_second = |each: Duration| 1.0 / each.as_secs_f64();
    let aim = format!(
        "{:.0} against {:.0} requests/s",
        per_second(compared.other),
        per_second(compared.base)
    );
    report(
        "request through both layers",
        "without them",
        &compared,
        &aim,
    );
}

fn login() -> (AccessVerifier, String) {
    let issuer = TokenIssuer::new(DEVELOPMENT_ISSUER, "dev", &[9; 32]);
    let header = serde_json::json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "dev"});
    let claims = serde_json::json!({
        "iss": DEVELOPMENT_ISSUER, "aud": "lab", "sub": "agent-7", "client_id": "robot", "org": "bio",
        "roles": ["staff", "imaging"], "scope": "read write", "preferred_username": "Agent 7",
        "iat": 1_700_000_000, "exp": 4_102_444_800_u64,
    });
    let access = AccessVerifier::development("lab", &issuer.jwks()).unwrap();
    (access, issuer.sign(&header, &claims))
}

/// What two ways to do a piece of work cost.
struct Compared {
    base: Duration,
    other: Duration,
    /// The median of the ratios of neighbouring rounds, which whatever else the machine does meets both.
    ratio: f64,
}

/// Lets two ways to do that many pieces of work take turns.
fn compare(pieces: usize, mut base: impl FnMut(), mut other: impl FnMut()) -> Compared {
    let time = |way: &mut dyn FnMut()| {
        let start = Instant::now();
        way();
        start.elapsed().as_secs_f64() / pieces as f64
    };
    let mut pairs: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| (time(&mut base), time(&mut other)))
        .collect();
    let mut median = |of: fn(&(f64, f64)) -> f64| {
        pairs.sort_by(|a, b| of(a).total_cmp(&of(b)));
        of(&pairs[ROUNDS / 2])
    };
    Compared {
        base: Duration::from_secs_f64(median(|pair| pair.0)),
        other: Duration::from_secs_f64(median(|pair| pair.1)),
        ratio: median(|pair| pair.1 / pair.0),
    }
}

fn report(what: &str, against: &str, compared: &Compared, note: &str) {
    let Compared { base, other, ratio } = compared;
    println!("{what:<28} {other:>10.2?}   {ratio:>6.3} × {against} ({base:.2?})   {note}");
}
