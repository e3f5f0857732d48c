//! Header smuggling over a raw socket: what HTTP clients do not send, and attackers do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use koherent_tests::lab::{Lab, access_token, task_token};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends these bytes as the headers of a mutation, and says status and body of each answer.
async fn send(lab: &Lab, headers: &[u8]) -> Vec<(u16, String)> {
    let body = json!({"query": "mutation { createSample(name: \"smuggled\") { id } }"}).to_string();
    let mut request = b"POST /graphql HTTP/1.1\r\nHost: lab\r\nContent-Type: application/json\r\n\
          Accept: application/graphql-response+json\r\n"
        .to_vec();
    request.extend(format!("Content-Length: {}\r\nConnection: close\r\n", body.len()).bytes());
    request.extend(headers);
    request.extend(b"\r\n");
    request.extend(body.bytes());
    let address = lab.url("").replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may answer and close before it has taken all.
    let _ = stream.write_all(&request).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
    let _ = read.await.expect("an answer");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let answers = text.split("HTTP/1.1 ").skip(1);
    answers
        .map(|answer| (answer[..3].parse().unwrap(), answer.to_owned()))
        .collect()
}

struct Attack {
    name: &'static str,
    headers: Vec<u8>,
}

fn attacks(login: &str, task: &str, other: &str) -> Vec<Attack> {
    let mut all = Vec::new();
    let mut attack = |name: &'static str, headers: &[&[u8]]| {
        let headers = headers
            .iter()
            .flat_map(|header| [*header, b"\r\n"].concat())
            .collect();
        all.push(Attack { name, headers });
    };
    let bearer = format!("Authorization: Bearer {login}").into_bytes();
    let header = |name: &str, value: &str| format!("{name}: {value}").into_bytes();
    let good = header("Rekuest-Task", task);

    attack(
        "two values of one header",
        &[&bearer, &good, &header("Rekuest-Task", other)],
    );
    attack("the same value twice", &[&bearer, &good, &good]);
    attack(
        "two values in another case",
        &[&bearer, &good, &header("REKUEST-TASK", other)],
    );
    for name in ["X-Rekuest-Task", "Provenance-Token", "X-Provenance-Token"] {
        attack("two header names", &[&bearer, &good, &header(name, other)]);
    }
    attack("an empty one before", &[&bearer, b"Rekuest-Task:", &good]);
    attack("an empty one alone", &[&bearer, b"Rekuest-Task:"]);
    attack(
        "comma joined",
        &[
            &bearer,
            &header("Rekuest-Task", &format!("{task}, {other}")),
        ],
    );
    attack(
        "comma joined, tight",
        &[&bearer, &header("Rekuest-Task", &format!("{task},{task}"))],
    );
    attack(
        "a trailing comma",
        &[&bearer, &header("Rekuest-Task", &format!("{task},"))],
    );
    attack(
        "quoted",
        &[&bearer, &header("Rekuest-Task", &format!("\"{task}\""))],
    );
    attack(
        "with a scheme",
        &[&bearer, &header("Rekuest-Task", &format!("Bearer {task}"))],
    );
    for name in [
        "Rekuest_Task",
        "rekuest_task",
        "REKUEST_TASK",
        "X_Rekuest-Task",
        "Provenance_Token",
    ] {
        attack("underscores", &[&bearer, &header(name, task)]);
        attack(
            "underscores beside the real one",
            &[&bearer, &good, &header(name, other)],
        );
    }
    attack(
        "a blank before the colon",
        &[&bearer, &header("Rekuest-Task ", task)],
    );
    attack(
        "a tab before the colon",
        &[&bearer, &header("Rekuest-Task\t", task)],
    );
    attack(
        "a blank in the name",
        &[&bearer, &header("Rekuest Task", task)],
    );
    for blank in [
        "\u{b}", "\u{c}", "\0", "\u{7f}", "\u{a0}", "\u{2003}", "\u{feff}",
    ] {
        attack(
            "white space of other kinds behind it",
            &[&bearer, &header("Rekuest-Task", &format!("{task}{blank}"))],
        );
        attack(
            "white space of other kinds before it",
            &[&bearer, &header("Rekuest-Task", &format!("{blank}{task}"))],
        );
    }
    let (first, second) = task.split_at(task.len() / 2);
    for fold in ["\r\n ", "\r\n\t", "\n ", "\r ", " ", "\t"] {
        attack(
            "folded or broken",
            &[
                &bearer,
                &header("Rekuest-Task", &format!("{first}{fold}{second}")),
            ],
        );
    }
    attack(
        "folded behind the name",
        &[&bearer, &header("Rekuest-Task", &format!("\r\n {task}"))],
    );
    attack(
        "obs-text",
        &[&bearer, &[good.as_slice(), b"\xff\xfe"].concat()],
    );
    attack(
        "obs-text within",
        &[
            &bearer,
            &header("Rekuest-Task", &format!("{first}\u{e9}{second}")),
        ],
    );
    attack(
        "Latin-1 within",
        &[
            &bearer,
            &[
                b"Rekuest-Task: ",
                first.as_bytes(),
                b"\xe9",
                second.as_bytes(),
            ]
            .concat(),
        ],
    );
    attack(
        "a carriage return alone",
        &[&bearer, &header("Rekuest-Task", &format!("{task}\rX: y"))],
    );
    for size in [16_385, 20_000, 60_000] {
        attack(
            "oversize",
            &[&bearer, &header("Rekuest-Task", &"x".repeat(size))],
        );
        attack(
            "oversize behind a good token",
            &[
                &bearer,
                &header("Rekuest-Task", &format!("{task}.{}", "x".repeat(size))),
            ],
        );
        attack(
            "an oversize login",
            &[&header(
                "Authorization",
                &format!("Bearer {}", "x".repeat(size)),
            )],
        );
    }
    attack("no login", &[&good]);
    attack("two logins", &[&bearer, &bearer, &good]);
    attack(
        "logins joined",
        &[&header(
            "Authorization",
            &format!("Bearer {login}, Bearer {login}"),
        )],
    );
    attack(
        "another scheme",
        &[&header("Authorization", &format!("Basic {login}"))],
    );
    attack("a scheme alone", &[b"Authorization: Bearer"]);
    attack(
        "two blanks in a login",
        &[&header("Authorization", &format!("Bearer  {login}"))],
    );
    attack(
        "a tab in a login",
        &[&header("Authorization", &format!("Bearer\t{login}"))],
    );
    attack(
        "a login with underscores",
        &[&header("Authorization_", &format!("Bearer {login}"))],
    );
    attack(
        "the tokens exchanged",
        &[
            &header("Authorization", &format!("Bearer {task}")),
            &header("Rekuest-Task", login),
        ],
    );
    attack(
        "a task token as login",
        &[&header("Authorization", &format!("Bearer {task}")), &good],
    );
    attack(
        "a login as task token",
        &[&bearer, &header("Rekuest-Task", login)],
    );
    // Where does the request end? Whoever disagrees with a proxy about it reads a second one.
    attack("two lengths", &[&bearer, b"Content-Length: 3"]);
    attack(
        "a length and chunks",
        &[&bearer, b"Transfer-Encoding: chunked, identity"],
    );
    all
}

#[tokio::test]
async fn smuggled_headers_are_refused_and_the_server_lives() {
    let lab = Lab::start().await;
    let login = access_token("agent-7", "robot");
    let (task, other) = (task_token("task-a"), task_token("task-b"));
    let attacks = attacks(&login, &task, &other);
    assert!(attacks.len() > 60);
    for Attack { name, headers } in attacks {
        let answers = send(&lab, &headers).await;
        let [(status, answer)] = &answers[..] else {
            panic!("{name}: {answers:?}")
        };
        assert!(matches!(status, 400 | 401), "{name}: {answer}");
        for secret in [&login, &task, &other] {
            assert!(
                !answer.contains(secret.rsplit_once('.').unwrap().1),
                "{name}: {answer}"
            );
        }
    }
    // Nothing was written, and good requests are served as before. Blanks and tabs around a value are none of it
    // (RFC 9110 §5.5): the server has taken them off before anybody sees the value.
    let samples = lab.data(None, "{ samples { id } }").await;
    assert_eq!(samples["samples"].as_array().unwrap().len(), 0);
    for (before, behind) in [("", ""), (" ", " "), ("\t ", "\t"), ("", "   ")] {
        let headers =
            format!("Authorization: Bearer {login}\r\nRekuest-Task:{before}{task}{behind}\r\n");
        let answers = send(&lab, headers.as_bytes()).await;
        assert_eq!(answers[0].0, 200, "{answers:?}");
    }
    let samples = lab.data(None, "{ samples { id } }").await;
    assert_eq!(samples["samples"].as_array().unwrap().len(), 4);
}
