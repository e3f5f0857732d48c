//! Inputs to begin with, from the conformance vectors and the documentation: for the tests, and for the fuzzers, for which
//! `cargo run -p koherent-tests --example seeds` writes them.

use koherent_core::testing::test_issuer;
use serde_json::Value;

use crate::inputs::{ACCESS, TASK};

/// The names of the targets in [`inputs`](crate::inputs).
pub const TARGETS: [&str; 5] = ["token", "headers", "key_set", "arguments", "config"];

/// The seeds of that target.
///
/// # Panics
///
/// Where there is no such target, or a vector file is not as it should be.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let texts = match target {
        "token" => tokens(),
        "headers" => header_sets(),
        "key_set" => key_sets(),
        "arguments" => arguments(),
        "config" => configurations(),
        other => panic!("no target is called {other}"),
    };
    texts.into_iter().map(String::into_bytes).collect()
}

fn vectors(file: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors");
    let text = std::fs::read_to_string(format!("{folder}/{file}")).expect("a vector file");
    serde_json::from_str(&text).expect("a vector file")
}

fn tokens() -> Vec<String> {
    let mut all = vec![TASK.clone(), ACCESS.clone()];
    for file in ["tokens.json", "interop.json"] {
        let vectors = vectors(file);
        let cases = vectors["cases"].as_array().expect("cases");
        let tokens = cases.iter().filter_map(|case| case["token"].as_str());
        all.extend(
            tokens
                .filter(|token| token.len() < 4096)
                .map(ToOwned::to_owned),
        );
    }
    all
}

fn header_sets() -> Vec<String> {
    let (task, access) = (&*TASK, &*ACCESS);
    let other = &tokens()[2];
    let mut all = vec![
        String::new(),
        format!("authorization: Bearer {access}\nrekuest-task: {task}"),
        format!("Authorization: bearer {access}\nRekuest-Task: {task}\nX-Request-Id: 7"),
        format!(
            "authorization: Bearer {access}\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        ),
        format!("authorization: Bearer {access}\nrekuest-task: {task}\nrekuest-task: {other}"),
        format!("authorization: Bearer {access}\nrekuest_task: {task}"),
        format!("authorization: Bearer {access}, Bearer {access}\nrekuest-task: {task},{task}"),
        format!("rekuest-task: {task}\nauthorization: Basic {access}"),
    ];
    for name in ["x-rekuest-task", "provenance-token", "x-provenance-token"] {
        all.push(format!("authorization: Bearer {access}\n{name}: {task}"));
    }
    all
}

fn key_sets() -> Vec<String> {
    let vectors = vectors("tokens.json");
    let alternatives = vectors["alt_configs"]
        .as_object()
        .expect("settings")
        .values();
    let configs = alternatives.chain([&vectors["config"]]);
    let issuers = configs.flat_map(|config| config["issuers"].as_array().expect("issuers"));
    let mut all: Vec<String> = issuers.map(|issuer| issuer["jwks"].to_string()).collect();
    // Real keys of each type, under short ids.
    let point = "VMeb76kS4b_Hpy89zdK8wmxnGz20GbcgU4P2TSBgHRE";
    all.push(format!(
        r#"{{"keys": [{{"kty": "RSA", "kid": "r", "n": "rGJmQIp53fkDZDmVbd8YpWbYOV5vL4uPDkXNTO-gCLyPidW0FZv0HtEqdv6gAKKppnK-CWX1ejO8uKkIS6Z1ycGIy-VR-u9y4paDTXH_oZwT8j4w9Q0_hiHLfDHIg8EQz8tMJRxu0PvW-CvRAvC9bPqem-UIbGwqwP-GrYabmy1ggGnPrJrA4dRoao5iRXFpaLrhwCfZMZbGN3fdbl3oagMSpXyx6usvHQhsW0BCZfx-WTOaVne4QurTVDicIE3tkpqB0EujfK3Uo-SCco0FwjyHWfpCk09LLu8heQILEAtvwuQk39853XMHunNyHhkBLgJet5oTLFD6csD2-0_bSQ", "e": "AQAB"}},
        {{"kty": "EC", "crv": "P-256", "kid": "e", "x": "kNByNKPkJbS30emUMXz4yCWeHdXyil4uOqmhc40Pg5k", "y": "48dGD1_xLqhsneCYoydIW6py6STg7a0VNNV53Udhlng", "key_ops": ["verify"]}},
        {{"kty": "EC", "crv": "P-384", "kid": "f", "x": "xPMMemSqIpH8-1Vv76PM-pyv05GYmUFNA1jTs3WotWUzdKJbybTbt_SL11vBya0p", "y": "aBtjQgUAVnRfscYQ8oZob_TL8Qg53vxWdQVJ1XBQDHjKcsbWIEvOHs_dHP9SBjxJ", "alg": "ES384", "use": "sig"}},
        {{"kty": "OKP", "crv": "Ed25519", "kid": "o", "x": "{point}"}}, {{"kty": "oct", "kid": "s", "k": "AAAA"}}]}}"#
    ));
    all.push(test_issuer("rekuest").jwks());
    all.push(test_issuer("https://login.example").jwks());
    all.push(r#"{"revoked": ["a", "b"]}"#.to_owned());
    all
}

fn arguments() -> Vec<String> {
    let vectors = vectors("canonical_json.json");
    let cases = vectors["cases"].as_array().expect("cases");
    let inputs = cases.iter().filter_map(|case| case["input"].as_str());
    inputs
        .filter(|input| input.len() < 1000)
        .map(ToOwned::to_owned)
        .collect()
}

fn configurations() -> Vec<String> {
    let toml = "[auth]\naudience = \"lab\"\nleeway_seconds = 5\norganizations = [\"bio\"]\n\
                revocations_uri = \"https://login.example/revoked\"\n[[auth.issuers]]\niss = \"https://login.example\"\n\
                jwks_uri = \"https://login.example/jwks.json\"\nalgorithms = [\"RS256\"]\n\n[provenance]\n\
                audience = \"lab\"\nalgorithms = [\"Ed25519\", \"EdDSA\"]\ninsecure_http = true\n\
                [[provenance.issuers]]\niss = \"rekuest\"\njwks = { keys = [] }\n";
    let json = r#"{"auth": {"audience": "lab", "issuers": [{"iss": "a", "jwks": {"keys": []}, "algorithms": ["RS256"]}]},
        "provenance": {"audience": "*", "issuers": [{"iss": "b", "jwks_uri": "http://127.0.0.1:9000/"}]}}"#;
    let variables = "LAB_AUTH__AUDIENCE=lab\nLAB_AUTH__ISSUERS__0__ISS=a\nLAB_AUTH__ISSUERS__0__JWKS={\"keys\": []}\n\
                     LAB_AUTH__ISSUERS__0__ALGORITHMS=RS256,ES256\nLAB_AUTH__INSECURE_HTTP=false\n\
                     LAB_PROVENANCE__AUDIENCE=lab\nLAB_PROVENANCE__ISSUERS__0__ISS=b\n\
                     LAB_PROVENANCE__ISSUERS__0__JWKS_URI=http://[::1]/\n";
    [toml, json, variables].map(ToOwned::to_owned).into()
}
