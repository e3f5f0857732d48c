//! Configurations: the same in TOML, JSON and the environment, and every fault with its key.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use koherent_core::testing::{TestFetcher, test_issuer};
use koherent_tower::config::{Config, ConfigError, UnknownHash};
use serde_json::{Value, json};

fn valid() -> Value {
    json!({
        "auth": {
            "audience": "lab",
            "issuers": [
                {"iss": "https://login.example", "jwks": {"keys": []}, "algorithms": ["RS256", "ES256"]},
                {"iss": "https://other.example", "jwks_uri": "https://other.example/jwks", "algorithms": ["EdDSA"]},
            ],
            "understood_claims": ["collabs", "cnf"], "narrowing_claims": ["shared_with"], "impersonator_claim": "impersonator",
            "leeway_seconds": 5,
            "organizations": ["bio", "chem"],
            "revocations_uri": "https://login.example/revoked",
            "refresh_interval_seconds": 30,
        },
        "provenance": {
            "audience": "lab",
            "algorithms": ["Ed25519"],
            "issuers": [{"iss": "rekuest", "jwks_uri": "http://127.0.0.1:9000/jwks"}],
            "max_key_age_seconds": 300,
            "insecure_http": true,
            "cached_tokens": 0,
            "unknown_args_hash": "keep",
        },
    })
}

fn fetcher() -> TestFetcher {
    TestFetcher::serving("{\"keys\": []}")
}

fn build(config: &Config) -> Result<(), ConfigError> {
    config.access_verifier(&fetcher())?;
    config.provenance_verifier(&fetcher())?;
    Ok(())
}

/// The environment's way to say the same.
fn variables(value: &Value, name: &str, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) if !members.contains_key("keys") => {
            for (key, member) in members {
                variables(member, &format!("{name}__{}", key.to_uppercase()), into);
            }
        }
        Value::Array(items) if items.iter().all(Value::is_object) => {
            for (at, item) in items.iter().enumerate() {
                variables(item, &format!("{name}__{at}"), into);
            }
        }
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            into.push((name.to_owned(), items.join(", ")));
        }
        Value::String(text) => into.push((name.to_owned(), text.clone())),
        other => into.push((name.to_owned(), other.to_string())),
    }
}

fn in_environment(config: &Value) -> Vec<(String, String)> {
    let mut all = vec![
        ("PATH".to_owned(), "/bin".to_owned()),
        ("LAB_LISTEN".to_owned(), "x".to_owned()),
    ];
    variables(&config["auth"], "LAB_AUTH", &mut all);
    variables(&config["provenance"], "LAB_PROVENANCE", &mut all);
    all
}

#[test]
fn all_three_forms_say_the_same() {
    let json = Config::from_json(&valid().to_string()).unwrap();
    let toml = Config::from_toml(&toml::to_string(&valid()).unwrap()).unwrap();
    let environment = Config::from_variables("LAB", in_environment(&valid()))
        .unwrap()
        .unwrap();
    for config in [json, toml, environment] {
        build(&config).unwrap();
        assert_eq!(config.auth.issuers[0].algorithms, ["RS256", "ES256"]);
        assert_eq!(config.auth.issuers[1].iss, "https://other.example");
        assert_eq!(
            config.auth.organizations.as_deref().unwrap(),
            ["bio", "chem"]
        );
        assert_eq!(config.auth.leeway_seconds, 5);
        assert_eq!(config.provenance.cached_tokens, Some(0));
        assert!(config.provenance.insecure_http && !config.auth.insecure_http);
        assert_eq!(config.provenance.algorithms, ["Ed25519"]);
        assert_eq!(config.auth.understood_claims, ["collabs", "cnf"]);
        assert_eq!(config.auth.narrowing_claims, ["shared_with"]);
        assert_eq!(
            config.auth.impersonator_claim.as_deref(),
            Some("impersonator")
        );
        assert_eq!(config.provenance.unknown_args_hash, UnknownHash::Keep);
    }
    for none in [
        "LAB_LISTEN",
        "LAB_AUTHOR",
        "LAB_PROVENANCES",
        "AUTH__AUDIENCE",
        "LAB_AUTH_SERVICE_HOST",
        "LAB_AUTH_PORT_80_TCP",
        "LAB_AUTH_TOKEN",
    ] {
        let variables = [(none.to_owned(), "x".to_owned())];
        assert!(Config::from_variables("LAB", variables).unwrap().is_none());
    }
    let whole = [
        ("LAB_AUTH", &valid()["auth"]),
        ("LAB_PROVENANCE", &valid()["provenance"]),
    ];
    let whole = whole.map(|(name, value)| (name.to_owned(), value.to_string()));
    build(&Config::from_variables("LAB", whole).unwrap().unwrap()).unwrap();
    assert!(
        Config::from_variables("LAB", [("LAB_LISTEN".into(), "x".into())])
            .unwrap()
            .is_none()
    );
}

/// Faults that each form has alike: a change of the valid configuration, and the key that the error must name.
#[test]
fn every_fault_is_refused_with_its_key() {
    let set = |pointer: &str, value: Value| {
        let mut config = valid();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key] = value;
        config
    };
    let remove = |parent: &str, key: &str| {
        let mut config = valid();
        config
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(key);
        config
    };
    for (config, key, words) in [
        (
            set("/auth/understood_claims", json!([" "])),
            "auth.understood_claims[0]",
            "blank",
        ),
        (
            set("/auth/narrowing_claims", json!(["x", ""])),
            "auth.narrowing_claims[1]",
            "blank",
        ),
        (
            set("/provenance/unknown_args_hash", json!("ignore")),
            "provenance.unknown_args_hash",
            "unknown variant",
        ),
        (set("/auth/audience", json!(" ")), "auth.audience", "blank"),
        (
            set("/provenance/audience", json!("")),
            "provenance.audience",
            "blank",
        ),
        (
            set("/auth/audience", json!("lab ")),
            "auth.audience",
            "begins or ends with a blank",
        ),
        (
            remove("/auth", "audience"),
            "auth",
            "missing field `audience`",
        ),
        (
            set("/auth/audiance", json!("lab")),
            "auth.audiance",
            "unknown field",
        ),
        (
            set("/auth/issuers/0/algorithm", json!("x")),
            "auth.issuers[0].algorithm",
            "unknown field",
        ),
        (
            set("/auth/issuers/0/algorithms", json!([])),
            "auth.issuers[0].algorithms",
            "no algorithm",
        ),
        (
            set("/auth/issuers/1/algorithms", json!(["none"])),
            "auth.issuers[1].algorithms",
            "\"none\"",
        ),
        (
            set("/auth/issuers/0/algorithms", json!(["HS256"])),
            "auth.issuers[0].algorithms",
            "HS256",
        ),
        (
            set("/provenance/algorithms", json!([])),
            "provenance.algorithms",
            "no algorithm",
        ),
        (
            set("/provenance/algorithms", json!(["RS256"])),
            "provenance.algorithms",
            "RS256",
        ),
        (set("/auth/issuers", json!([])), "auth.issuers", "no issuer"),
        (
            set("/provenance/issuers", json!([])),
            "provenance.issuers",
            "no issuer",
        ),
        (
            set("/auth/issuers/1/iss", json!("https://login.example")),
            "auth.issuers",
            "twice",
        ),
        (
            set("/auth/issuers/0/iss", json!("")),
            "auth.issuers[0].iss",
            "blank",
        ),
        (
            set("/auth/issuers/0/iss", json!(" a")),
            "auth.issuers[0].iss",
            "begins or ends with a blank",
        ),
        (
            set("/auth/issuers/0/iss", json!("koherent-development")),
            "auth.issuers[0].iss",
            "cannot be configured",
        ),
        (
            remove("/auth/issuers/0", "jwks"),
            "auth.issuers[0]",
            "no keys",
        ),
        (
            set("/auth/issuers/0/jwks_uri", json!("https://a.example/")),
            "auth.issuers[0]",
            "both",
        ),
        (
            set("/auth/issuers/0/jwks", json!({"keys": 7})),
            "auth.issuers[0].jwks",
            "no JSON Web Key Set",
        ),
        (
            set("/auth/issuers/0/jwks", json!("/no/such/file")),
            "auth.issuers[0].jwks",
            "cannot read",
        ),
        (
            set("/auth/issuers/1/jwks_uri", json!("http://other.example/")),
            "auth.issuers[1].jwks_uri",
            "insecure_http",
        ),
        (
            set("/auth/revocations_uri", json!("http://other.example/")),
            "auth.revocations_uri",
            "insecure_http",
        ),
        (
            set("/auth/leeway_seconds", json!(61)),
            "auth.leeway_seconds",
            "too much",
        ),
        (
            set("/provenance/leeway_seconds", json!(1000)),
            "provenance.leeway_seconds",
            "too much",
        ),
        (
            set("/auth/refresh_interval_seconds", json!(0)),
            "auth.refresh_interval_seconds",
            "cannot be used",
        ),
        (
            set("/provenance/max_key_age_seconds", json!(90_000)),
            "provenance.max_key_age_seconds",
            "cannot be used",
        ),
        (
            set("/provenance/refresh_interval_seconds", json!(301)),
            "provenance.max_key_age_seconds",
            "cannot be used",
        ),
        (
            set("/auth/organizations", json!(["bio", " "])),
            "auth.organizations[1]",
            "blank",
        ),
    ] {
        let forms = [
            ("JSON", Config::from_json(&config.to_string())),
            (
                "TOML",
                Config::from_toml(&toml::to_string(&config).unwrap()),
            ),
        ];
        for (form, read) in forms {
            let error = read.and_then(|config| build(&config)).unwrap_err();
            assert_eq!(error.key(), key, "{form}: {error}");
            assert!(error.to_string().contains(words), "{form}: {error}");
        }
        // Empty lists and blank items cannot be written in variables.
        if !config.to_string().contains("[]") && words != "blank" {
            let read = Config::from_variables("LAB", in_environment(&config));
            let error = read.and_then(|config| build(&config.unwrap())).unwrap_err();
            assert!(error.to_string().contains(words), "environment: {error}");
            assert!(
                error.to_string().starts_with("environment, LAB_"),
                "{error}"
            );
        }
    }
}

#[test]
fn variables_that_make_no_sense_are_named() {
    for (name, value, words) in [
        ("LAB_AUTH__ISSUERS__3__ISS", "x", "without a gap"),
        ("LAB_AUTH__ISSUERS__X__ISS", "x", "without a gap"),
        ("LAB_AUTH__LEEWAY_SECONDS", "five", "whole number"),
        ("LAB_PROVENANCE__INSECURE_HTTP", "yes", "true or false"),
        ("LAB_AUTH__ISSUERS__0__JWKS", "{", "not JSON"),
        ("LAB_AUTH__AUDIENCE__X", "x", "another variable"),
        (
            "LAB_AUTH__TYPO",
            "x",
            "environment, LAB_AUTH__TYPO: `auth.typo`: unknown field `typo`",
        ),
        (
            "LAB_AUTH__ISSUERS__1__TYPO",
            "x",
            "environment, LAB_AUTH__ISSUERS__1__TYPO: `auth.issuers[1].typo`",
        ),
        ("LAB_AUTH____", "x", "unknown field"),
        ("LAB_AUTH_AUDIENCE", "x", "it looks like a setting"),
        ("LAB_PROVENANCE_ISSUERS", "x", "it looks like a setting"),
        ("LAB__AUTH__AUDIENCE", "x", "it looks like a setting"),
        ("LAB__AUTH__ORGANIZATIONS", "x", "it looks like a setting"),
        ("LABAUTH__AUDIENCE", "x", "it looks like a setting"),
        ("LAB_auth__AUDIENCE", "x", "it looks like a setting"),
        ("LAB_AUTH", "{}", "another variable"),
        ("LAB_AUTH__Audience", "x", "another variable"),
    ] {
        let mut all = in_environment(&valid());
        all.retain(|(known, _)| known != name);
        all.push((name.to_owned(), value.to_owned()));
        let error = Config::from_variables("LAB", all).unwrap_err().to_string();
        assert!(error.contains(words), "{name}: {error}");
    }
}

#[test]
fn any_audience_is_allowed() {
    let mut config = valid();
    config["auth"]["audience"] = json!("*");
    config["provenance"]["audience"] = json!("*");
    build(&Config::from_json(&config.to_string()).unwrap()).unwrap();
}

/// Paths are relative to the file, and inline key sets are used as they are.
#[test]
fn files_are_found_beside_the_configuration_and_keys_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = test_issuer("rekuest");
    std::fs::write(folder.path().join("keys.json"), issuer.jwks()).unwrap();
    let mut config = valid();
    config["provenance"]["issuers"][0] = json!({"iss": "rekuest", "jwks": "keys.json"});
    for (name, text) in [
        ("lab.json", config.to_string()),
        ("lab.toml", toml::to_string(&config).unwrap()),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let verifier = Config::read(&path)
            .unwrap()
            .provenance_verifier(&fetcher())
            .unwrap();
        verifier.verify(&issuer.task("task-a").mint()).unwrap();
    }
    let nowhere = Config::read(folder.path().join("no.toml"))
        .unwrap_err()
        .to_string();
    assert!(nowhere.contains("no.toml"), "{nowhere}");
}
