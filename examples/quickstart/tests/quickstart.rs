//! The quickstart as a newcomer meets it: it says what to paste, and the README quotes it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A quickstart that is stopped when the value goes.
struct Quickstart {
    child: Child,
    folder: TempDir,
    /// What it says is to be pasted: two variables and three commands.
    lines: Vec<String>,
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Quickstart {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_quickstart"))
            .arg("127.0.0.1:0")
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let lines = out.lines().map(Result::unwrap);
        let lines = lines.skip(2).take(5).collect();
        Self { child, folder, lines }
    }

    /// Pastes lines into a shell, and returns the answer.
    fn paste(&self, lines: &[&str]) -> String {
        let output = Command::new("sh").args(["-c", &lines.join("\n")]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn what_is_pasted_tells_who_changed_what_under_which_task() {
    let quickstart = Quickstart::start();
    let [login, task, create, rename, ask] = &quickstart.lines[..] else {
        panic!("{:?}", quickstart.lines);
    };
    assert_eq!(quickstart.paste(&[login, task, create]), r#"{"data":{"createSample":{"name":"liver"}}}"#);
    assert_eq!(quickstart.paste(&[login, task, rename]), r#"{"data":{"rename":{"name":"liver, HE"}}}"#);
    let answer = quickstart.paste(&[login, task, ask]);
    let update = r#"{"kind":"UPDATE","user":{"sub":"robot-7"},"task":{"taskId":"staining-1"},"effectiveChanges":[{"field":"name","oldValue":"liver","newValue":"liver, HE"}]}"#;
    assert!(answer.contains(update), "{answer}");

    // A token that is present and wrong is an error.
    let refused = quickstart.paste(&[login, "TASK=no.such.token", rename]);
    assert!(refused.contains("TASK_UNAUTHENTICATED") || refused.contains("MALFORMED"), "{refused}");
    let answer = quickstart.paste(&[login, task, ask]);
    assert_eq!(answer.matches("UPDATE").count(), 1, "{answer}");
}

#[test]
fn nothing_changes_a_row_past_the_audit() {
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, SqliteConnection};
    let quickstart = Quickstart::start();
    let file = quickstart.folder.path().join("quickstart.db");
    let mut connection = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    let raw = connection.batch_execute("INSERT INTO samples (name) VALUES ('raw')");
    let error = raw.unwrap_err().to_string();
    assert!(error.contains("use audited_insert"), "{error}");
}

const MAIN: &str = include_str!("../src/main.rs");

#[test]
fn it_is_one_file_that_can_be_read_at_once() {
    let lines = MAIN.lines().count();
    assert!(lines <= 150, "{lines} lines");
}

#[test]
fn each_step_of_the_readme_is_a_part_of_it() {
    let readme = include_str!("../../../README.md");
    let (_, steps) = readme.split_once("## Add it to your service").unwrap();
    let (steps, _) = steps.split_once("\n## ").unwrap();
    let quotes: Vec<_> =
        steps.split("```rust,ignore\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert_eq!(quotes.len(), 4);
    for quote in quotes {
        assert!(MAIN.contains(quote), "the quickstart has no\n{quote}");
    }
}
