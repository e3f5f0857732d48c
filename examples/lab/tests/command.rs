//! The `lab` command as a person uses it: what it prints, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

fn lab(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command
        .current_dir(folder)
        .env_clear()
        .env("RUST_LOG", "error")
        .stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    lab(folder).args(arguments).output().unwrap()
}

/// The one line in which a command says why it failed.
fn complaint(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
    assert!(text.starts_with("lab: "), "{text}");
    text
}

/// A server that is stopped when the value goes.
struct Server(Child);

impl Server {
    /// Starts a server and returns its address, which it says in its first line, and the rest of what it says.
    fn start(
        folder: &Path,
        arguments: &[&str],
    ) -> (Self, String, BufReader<std::process::ChildStdout>) {
        let mut child = lab(folder)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let server = Self(child);
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split_once('/'));
        let address = address
            .unwrap_or_else(|| panic!("no address in {line:?}"))
            .0
            .to_owned();
        (server, address, out)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn help_explains_every_option() {
    let folder = folder();
    let help = |arguments: &[&str]| {
        let output = run(folder.path(), arguments);
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let whole = help(&["--help"]);
    for part in [
        "serve",
        "token",
        "demo",
        "--listen",
        "--database-url",
        "--config",
        "LAB_LISTEN",
        "LAB_DATABASE_URL",
        "LAB_CONFIG",
    ] {
        assert!(whole.contains(part), "{part} is not in {whole}");
    }
    for arguments in [
        &["token", "access", "--help"][..],
        &["token", "task", "--help"],
        &["demo", "--help"],
    ] {
        let text = help(arguments);
        let options = text
            .lines()
            .filter(|line| line.trim_start().starts_with('-'));
        for option in options.filter(|line| !line.contains("--help") && !line.contains("--version"))
        {
            let following = text.split(option).nth(1).unwrap_or_default();
            let explanation = following.lines().nth(1).unwrap_or_default().trim();
            let inline = option
                .split("  ")
                .filter(|part| !part.trim().is_empty())
                .count()
                > 1;
            assert!(
                inline || !explanation.is_empty(),
                "{option} is not explained in {text}"
            );
        }
    }
}

#[test]
fn development_key_is_private_loud_and_kept() {
    let folder = folder();
    let (server, address, mut out) = Server::start(folder.path(), &[]);
    let mut said = String::new();
    while !said.contains("token --help") {
        assert_ne!(out.read_line(&mut said).unwrap(), 0, "it said only {said}");
    }
    assert!(said.contains("!!! DEVELOPMENT MODE"), "{said}");
    assert!(said.contains("curl -s http://127.0.0.1:"), "{said}");
    assert!(said.contains("provenance {"), "{said}");
    let key = folder.path().join("lab.db.dev-key.json");
    let secret = std::fs::read_to_string(&key).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(
            std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let demo = run(folder.path(), &["demo", "--listen", &address]);
    assert!(demo.status.success(), "{demo:?}");
    let story = String::from_utf8(demo.stdout).unwrap();
    for part in [
        "CREATE by ann",
        "UPDATE by robot-7",
        "DELETE by robot-7",
        "name: liver 12 → liver 12, HE",
        "403 ACTOR_MISMATCH",
    ] {
        assert!(story.contains(part), "{part} is not in {story}");
    }
    drop(server);
    let (_server, ..) = Server::start(folder.path(), &[]);
    assert_eq!(
        std::fs::read_to_string(&key).unwrap(),
        secret,
        "the key is kept"
    );
}

/// The curls that it prints do what it says, pasted as they are.
#[test]
fn printed_curls_work_when_pasted() {
    let folder = folder();
    let (_server, _, mut out) = Server::start(folder.path(), &[]);
    let mut said = String::new();
    while !said.contains("token --help") {
        assert_ne!(out.read_line(&mut said).unwrap(), 0, "it said only {said}");
    }
    let part = |from: &str, to: &str| {
        let (_, rest) = said.split_once(from).unwrap();
        rest.split_once(to).unwrap().0.to_owned()
    };
    let script = part("task task-a:\n", "and this,") + &part("who did that:\n", "Or let it");
    let output = Command::new("sh").arg("-c").arg(&script).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !errors.contains("not found"),
        "this test pastes into a shell: install sh and curl: {errors}"
    );
    let answer = String::from_utf8(output.stdout).unwrap();
    assert!(
        answer.contains("\"name\":\"liver 12b\""),
        "{answer} {script}"
    );
    assert!(answer.contains("\"taskId\":\"task-a\""), "{answer}");
    assert!(
        answer
            .contains("{\"field\":\"name\",\"oldValue\":\"liver 12\",\"newValue\":\"liver 12b\"}"),
        "{answer}"
    );
}

#[test]
fn demo_without_a_server_says_how_to_start_one() {
    let folder = folder();
    let said = complaint(folder.path(), &["demo"]);
    assert!(
        said.contains("there is no development key `lab.db.dev-key.json`"),
        "{said}"
    );
    let (server, address, _) = Server::start(folder.path(), &[]);
    drop(server);
    let said = complaint(folder.path(), &["demo", "--listen", &address]);
    assert!(
        said.contains("nothing answers at http://127.0.0.1:"),
        "{said}"
    );
    assert!(said.contains("cargo run -p lab"), "{said}");
}

#[test]
fn port_in_use_is_one_line() {
    let folder = folder();
    let said = complaint(folder.path(), &["--listen", "8080"]);
    assert!(said.contains("give HOST:PORT"), "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = complaint(folder.path(), &["--listen", &address]);
    assert!(
        said.contains(&format!("cannot listen on {address}")) && said.contains("--listen"),
        "{said}"
    );
    let made = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(
        made, 0,
        "nothing was made for a server that could not start"
    );
}

const CONFIG: &str = "[auth]\naudience = \"lab\"\n[[auth.issuers]]\niss = \"https://login.example\"\njwks = \"keys.json\"\nalgorithms = [\"RS256\"]\n\
                      [provenance]\naudience = \"lab\"\n[[provenance.issuers]]\niss = \"rekuest\"\njwks = \"keys.json\"\n";

#[test]
fn each_fault_of_a_configuration_is_one_line_that_names_it() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("keys.json", "{\"keys\": []}");
    write("nokeys.json", "[]");
    for (from, to, expected) in [
        (
            "audience = \"lab\"\n[[auth",
            "audiance = \"lab\"\n[[auth",
            "`lab.toml`, line 2: `auth.audiance`: unknown field `audiance`",
        ),
        (
            "audience = \"lab\"\n[[auth",
            "audience = \" \"\n[[auth",
            "`lab.toml`: `auth.audience`: the audience is blank",
        ),
        (
            "[\"RS256\"]",
            "[\"none\"]",
            "`auth.issuers[0].algorithms`: issuer \"https://login.example\": the algorithm \"none\" cannot sign access tokens",
        ),
        ("[\"RS256\"]", "[]", "no algorithm is accepted"),
        (
            "[\"RS256\"]",
            "\"RS256\"",
            "line 6: `auth.issuers[0].algorithms`: invalid type",
        ),
        ("[\"RS256\"]", "[\"RS256\"", "line "),
        (
            "iss = \"rekuest\"",
            "iss = \"\"",
            "`provenance.issuers[0].iss`: issuer \"\": an issuer's name is blank",
        ),
        (
            "\"rekuest\"\njwks = \"keys.json\"",
            "\"rekuest\"\njwks = \"missing.json\"",
            "`provenance.issuers[0].jwks`: issuer \"rekuest\": cannot read the file `missing.json`",
        ),
        (
            "\"rekuest\"\njwks = \"keys.json\"",
            "\"rekuest\"\njwks = \"nokeys.json\"",
            "this is no JSON Web Key Set",
        ),
        (
            "\"rekuest\"\njwks = \"keys.json\"",
            "\"rekuest\"",
            "`provenance.issuers[0]`: it has no keys: give `jwks = \"FILE\"` or `jwks_uri",
        ),
        (
            "\"rekuest\"\njwks = \"keys.json\"",
            "\"rekuest\"\njwks_uri = \"http://rekuest.example/jwks\"",
            "`provenance.issuers[0].jwks_uri`: cannot fetch from \"http://rekuest.example/jwks\": plain http",
        ),
        (
            "[provenance]\naudience = \"lab\"",
            "[provenance]\naudience = \"lab\"\nalgorithms = [\"HS256\"]",
            "`provenance.algorithms`: the algorithm \"HS256\" cannot sign provenance tokens",
        ),
        (
            "[[auth.issuers]]",
            "[auth.issuers]",
            "write `[[auth.issuers]]`, with two brackets",
        ),
        (
            "[[provenance.issuers]]",
            "[[provenance.issuers]]\niss = \"rekuest\"\njwks = \"keys.json\"\n[[provenance.issuers]]",
            "`provenance.issuers`: the issuer \"rekuest\" is given twice",
        ),
        (
            "[provenance]\naudience = \"lab\"",
            "[provenance]\naudience = \"lab\"\nleeway_seconds = 61",
            "`provenance.leeway_seconds`: a leeway of 61s is too much",
        ),
        (
            "[provenance]\naudience = \"lab\"",
            "[provenance]\naudience = \"lab\"\nleeway_seconds = \"5\"",
            "`provenance.leeway_seconds`: invalid type",
        ),
        (
            "[[auth.issuers]]",
            "organizations = []\n[[auth.issuers]]",
            "`auth.organizations`: no organization may use the service",
        ),
        (
            "[[auth.issuers]]",
            "revocations_uri = \"http://login.example/revoked\"\n[[auth.issuers]]",
            "`auth.revocations_uri`: cannot fetch from",
        ),
        (
            "[[auth.issuers]]",
            "refresh_interval_seconds = 0\nrevocations_uri = \"https://login.example/revoked\"\n[[auth.issuers]]",
            "`auth.refresh_interval_seconds`: an interval of 0ns cannot be used",
        ),
        (
            "[[provenance.issuers]]",
            "[[provenance.issuer]]",
            "unknown field `issuer`",
        ),
    ] {
        let text = CONFIG.replace(from, to);
        assert_ne!(text, CONFIG, "{from}");
        write("lab.toml", &text);
        let said = complaint(folder.path(), &["--config", "lab.toml"]);
        assert!(said.contains(expected), "{expected} is not in {said}");
    }
    let said = complaint(folder.path(), &["--config", "nothing.toml"]);
    assert!(
        said.contains("cannot read the configuration `nothing.toml`"),
        "{said}"
    );
}

/// The same configuration as JSON and in variables, each alone; both together are refused.
#[test]
fn configuration_comes_from_one_place() {
    let folder = folder();
    std::fs::write(folder.path().join("lab.toml"), CONFIG).unwrap();
    let variables = [
        ("LAB_AUTH__AUDIENCE", "lab"),
        ("LAB_AUTH__ISSUERS__0__ISS", "https://login.example"),
        ("LAB_AUTH__ISSUERS__0__JWKS", "missing.json"),
        ("LAB_AUTH__ISSUERS__0__ALGORITHMS", "RS256"),
        ("LAB_PROVENANCE__AUDIENCE", "lab"),
        ("LAB_PROVENANCE__ISSUERS__0__ISS", "rekuest"),
        (
            "LAB_PROVENANCE__ISSUERS__0__JWKS_URI",
            "http://127.0.0.1:9/",
        ),
    ];
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = lab(folder.path());
        let output = command
            .args(arguments)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = run(&[], &variables);
    assert!(
        said.contains("cannot read the file `missing.json`"),
        "{said}"
    );
    let said = run(&["token", "access"], &variables);
    assert!(
        said.contains("where issuers are configured there is no development key"),
        "{said}"
    );
    for some in [&variables[..], &variables[..1]] {
        let said = run(&["--config", "lab.toml"], some);
        assert!(said.contains("issuers are given twice"), "{said}");
    }
    let json = r#"{"auth": {"audience": "lab", "issuers": [{"iss": "x", "jwks": {"keys": []}, "algorithms": []}]},
        "provenance": {"audience": "lab", "issuers": []}}"#;
    std::fs::write(folder.path().join("lab.json"), json).unwrap();
    let said = run(&["--config", "lab.json"], &[]);
    assert!(
        said.contains("`lab.json`: `auth.issuers[0].algorithms`"),
        "{said}"
    );
}

#[test]
fn configured_lab_has_no_development_key() {
    let folder = folder();
    std::fs::write(folder.path().join("keys.json"), "{\"keys\": []}").unwrap();
    std::fs::write(folder.path().join("lab.toml"), CONFIG).unwrap();
    let (_server, ..) = Server::start(folder.path(), &["--config", "lab.toml"]);
    assert!(!folder.path().join("lab.db.dev-key.json").exists());
    let said = complaint(folder.path(), &["--config", "lab.toml", "token", "access"]);
    assert!(
        said.contains("where issuers are configured there is no development key"),
        "{said}"
    );
}

#[test]
fn unusable_databases_and_keys_are_one_line() {
    let folder = folder();
    for (url, expected) in [
        (
            "missing/lab.db",
            "cannot open the database `missing/lab.db`",
        ),
        ("postgres://localhost/lab", "this lab is built for SQLite"),
        (
            "mysql://ann:s3cret@localhost/lab",
            "`mysql://ann@localhost/lab` is no SQLite database",
        ),
        ("sqlite:lab.db", "is no SQLite database"),
        ("sqlite://", "names no file"),
    ] {
        let config = [
            "--config",
            "lab.toml",
            "--database-url",
            url,
            "--listen",
            "127.0.0.1:0",
        ];
        std::fs::write(folder.path().join("keys.json"), "{\"keys\": []}").unwrap();
        std::fs::write(folder.path().join("lab.toml"), CONFIG).unwrap();
        let said = complaint(folder.path(), &config);
        assert!(said.contains(expected), "{expected} is not in {said}");
    }
    let said = complaint(
        folder.path(),
        &[
            "--database-url",
            "missing/lab.db",
            "--listen",
            "127.0.0.1:0",
        ],
    );
    assert!(
        said.contains("cannot open the database `missing/lab.db`"),
        "{said}"
    );
    let key = folder.path().join("lab.db.dev-key.json");
    std::fs::write(&key, "{}").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let said = complaint(folder.path(), &[]);
        assert!(said.contains("chmod 600 lab.db.dev-key.json"), "{said}");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let said = complaint(folder.path(), &[]);
    assert!(said.contains("is no development key: delete it"), "{said}");
}

/// A database whose history table lacks a column, or that lost a table, is refused at start.
#[test]
fn database_that_does_not_fit_is_one_line() {
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, SqliteConnection};
    for (sql, expected) in [
        (
            "ALTER TABLE samples_history DROP COLUMN note",
            "the table `samples_history` lacks the column `note`",
        ),
        (
            "DROP TABLE koherent_task",
            "the table `koherent_task` does not exist: run the migrations",
        ),
        (
            "DROP TABLE samples_history",
            "the table `samples_history` does not exist: run the migrations",
        ),
        (
            "ALTER TABLE samples DROP COLUMN mass; ALTER TABLE samples ADD COLUMN mass PUDDING",
            "has the type `PUDDING`",
        ),
    ] {
        let folder = folder();
        drop(Server::start(folder.path(), &[]));
        let file = folder.path().join("lab.db").display().to_string();
        SqliteConnection::establish(&file)
            .unwrap()
            .batch_execute(sql)
            .unwrap();
        let said = complaint(folder.path(), &["--listen", "127.0.0.1:0"]);
        assert!(said.contains(expected), "{expected} is not in {said}");
    }
}
