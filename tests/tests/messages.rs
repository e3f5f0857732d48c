//! What the compiler says of programs that must not compile.
//!
//! Each file in `messages/` is such a program. Its first lines, `//~ …`, must be in what the compiler says of it. Only these
//! words are compared, not the whole message: that differs from compiler to compiler.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A program that must not compile, and what the compiler must say.
struct Program {
    name: String,
    path: PathBuf,
    expected: Vec<String>,
}

fn programs() -> Vec<Program> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("messages");
    let files = std::fs::read_dir(&folder).unwrap();
    let mut programs: Vec<_> = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let expected = text.lines().map_while(|line| line.strip_prefix("//~ "));
            let expected = expected.map(ToOwned::to_owned).collect();
            Program {
                name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                path,
                expected,
            }
        })
        .collect();
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    programs
}

/// A package with one binary per program, and one that must compile.
fn write_package(folder: &Path, programs: &[Program]) {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut manifest = String::from(
        "[package]\nname = \"messages\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n",
    );
    for (name, features) in [
        ("koherent-core", "[]"),
        ("koherent-diesel", "[\"sqlite\"]"),
        ("koherent-juniper", "[]"),
    ] {
        let path = workspace.join(name);
        writeln!(
            manifest,
            "{name} = {{ path = {path:?}, features = {features} }}"
        )
        .unwrap();
    }
    manifest.push_str(
        "diesel = { version = \"2.3\", default-features = false, features = [\"sqlite\"] }\n\
         juniper = { version = \"0.18\", default-features = false, features = [\"chrono\"] }\n",
    );
    for Program { name, path, .. } in programs {
        writeln!(manifest, "[[bin]]\nname = \"{name}\"\npath = {path:?}").unwrap();
    }
    std::fs::create_dir_all(folder.join("src/bin")).unwrap();
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(folder.join("src/bin/control.rs"), CONTROL).unwrap();
    std::fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
}

/// Compiles: so what fails beside it fails for its own reason.
const CONTROL: &str = "
use diesel::prelude::*;
koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }
fn main() {
    let job = koherent_core::Attribution::system(\"job\");
    let mut conn = SqliteConnection::establish(\":memory:\").unwrap();
    let _ = koherent_diesel::audited_delete(samples::table.find(7)).by(&job).execute(&mut conn);
}";

/// What the compiler says of each binary.
fn messages(folder: &Path) -> BTreeMap<String, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(folder)
        .args([
            "check",
            "--bins",
            "--keep-going",
            "--message-format=json",
            "--quiet",
        ])
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let name = message["target"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let text = said.entry(name).or_default();
        if message["message"]["level"] == "error" {
            text.push_str(message["message"]["rendered"].as_str().unwrap_or_default());
        }
    }
    assert!(
        said.contains_key("control"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

#[test]
fn programs_that_must_not_compile_are_told_why() {
    let programs = programs();
    assert!(programs.len() >= 30, "programs were lost");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("messages");
    write_package(&folder, &programs);
    let said = messages(&folder);
    assert_eq!(said["control"], "", "the control program compiles");
    let mut complaints = Vec::new();
    for Program { name, expected, .. } in &programs {
        assert!(!expected.is_empty(), "{name} expects nothing");
        let text = said.get(name).map(String::as_str).unwrap_or_default();
        for words in expected
            .iter()
            .filter(|words| !text.contains(words.as_str()))
        {
            complaints.push(format!("{name}: not said: {words}\n{text}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
