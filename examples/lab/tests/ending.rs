//! How the `lab` process ends, whatever its clients do.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;

struct Lab {
    process: Child,
    address: String,
    login: String,
    _folder: TempDir,
}

impl Lab {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = || {
            let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
            lab.current_dir(folder.path())
                .env_clear()
                .env("RUST_LOG", "error");
            lab
        };
        let mut process = lab()
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("http://").unwrap();
        let address = rest.split('/').next().unwrap().to_owned();
        // It says more, which nobody must leave in the pipe.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let login = lab().args(["token", "access"]).output().unwrap();
        let login = String::from_utf8(login.stdout).unwrap().trim().to_owned();
        Self {
            process,
            address,
            login,
            _folder: folder,
        }
    }

    fn client(&self, sent: &str) -> TcpStream {
        let mut client = TcpStream::connect(&self.address).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        client.write_all(sent.as_bytes()).unwrap();
        client
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for the end, for longer than any limit that a test sets.
    fn ends(mut self) -> Option<ExitStatus> {
        for _ in 0..400 {
            if let Some(status) = self.process.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn answer(client: &mut TcpStream) -> String {
    let mut bytes = [0; 4096];
    let read = client.read(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..read]).to_ascii_lowercase()
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: lab\r\n\r\n";

/// Half a head, half a body, an answer that is not read, silence: each kept the process for ever.
#[test]
fn the_process_ends_within_its_limit_whatever_clients_do() {
    for name in ["TERM", "INT"] {
        let lab = Lab::start(&["--shutdown-seconds", "1"]);
        let half_body = format!(
            "POST /graphql HTTP/1.1\r\nHost: lab\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: 100\r\n\r\n{{",
            lab.login
        );
        let _silent = lab.client("");
        let _half_head = lab.client("POST /graphql HTTP/1.1\r\nHos");
        let _half_body = lab.client(&half_body);
        let mut kept = lab.client(HEALTH);
        assert!(answer(&mut kept).starts_with("http/1.1 200"));
        lab.signal(name);
        // What arrives meanwhile is answered, and told that it is the last.
        let said = answer(&mut lab.client(HEALTH));
        assert!(said.contains("connection: close"), "{said}");
        let status = lab.ends().expect("the process ends");
        assert!(status.success(), "{name}: {status}");
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    // The limit is longer than the test waits.
    let lab = Lab::start(&["--shutdown-seconds", "3600"]);
    let mut half_head = lab.client("POST /graphql HTTP/1.1\r\nHos");
    let mut kept = lab.client(HEALTH);
    assert!(answer(&mut kept).starts_with("http/1.1 200"));
    lab.signal("TERM");
    // The first one has begun when the connection that waits for nothing is closed.
    assert_eq!(kept.read(&mut [0; 16]).unwrap(), 0);
    lab.signal("INT");
    assert!(lab.ends().is_some());
    assert!(matches!(half_head.read(&mut [0; 16]), Ok(0) | Err(_)));
}

#[test]
fn silent_connections_keep_nobody_out() {
    let lab = Lab::start(&["--connections", "20"]);
    let _silent: Vec<_> = (0..100).map(|_| lab.client("")).collect();
    for _ in 0..5 {
        assert!(answer(&mut lab.client(HEALTH)).starts_with("http/1.1 200"));
    }
}

/// The same where it is the system that has no room.
#[test]
fn a_process_without_descriptors_still_answers() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "ulimit -n 64; exec {} --listen 127.0.0.1:0",
        env!("CARGO_BIN_EXE_lab")
    );
    let mut process = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env_clear()
        .env("RUST_LOG", "off")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(process.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let (_, rest) = line.split_once("http://").unwrap();
    let address = rest.split('/').next().unwrap().to_owned();
    let lab = Lab {
        process,
        address,
        login: String::new(),
        _folder: folder,
    };
    let _silent: Vec<_> = (0..100).map(|_| lab.client("")).collect();
    assert!(answer(&mut lab.client(HEALTH)).starts_with("http/1.1 200"));
}

#[test]
fn settings_that_make_no_sense_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, part) in [
        (
            ["--cors-origin", "notebook.example"],
            "`notebook.example` is no origin",
        ),
        (
            ["--cors-origin", "https://notebook.example/page"],
            "is no origin",
        ),
        (["--cors-origin", "*"], "is no origin"),
        (["--connections", "0"], "--connections"),
    ] {
        let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
        lab.current_dir(folder.path())
            .env_clear()
            .env("RUST_LOG", "error");
        let output = lab.args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), said.lines().count()),
            (Some(1), 1),
            "{said}"
        );
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing was made"
    );
}
