//! The project's own commands. `cargo xtask test` passes the tests; `cargo xtask ci` is what a change must pass.

mod clients;
mod node;
mod python;
mod servers;

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};

use servers::{Disk, Servers};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Task {
    /// Run all tests: of each crate, of the whole stack, of the examples, and those in the documentation.
    Test {
        /// How much of the same is tried where chance decides: random histories, races, cuts.
        #[arg(long, value_enum, default_value_t)]
        effort: Effort,
    },
    /// Check formatting, lints, documentation, and that each feature builds alone.
    Lint,
    /// Measure what verification and audited writes cost, as tables of ratios.
    Bench,
    /// Start the database servers that the tests use, print their addresses, and keep them until the input ends.
    Servers,
    /// Everything a change must pass: `test`, then `lint`.
    Ci,
}

/// How much of the same is tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Effort {
    /// What a change must pass.
    #[default]
    Usual,
    /// The long run.
    Full,
}

#[expect(clippy::print_stderr, reason = "this is what the command says")]
fn main() -> ExitCode {
    let started = Instant::now();
    let result = match Cli::parse().task {
        Task::Test { effort } => test(effort),
        Task::Lint => lint(),
        Task::Bench => bench(),
        Task::Servers => servers(),
        Task::Ci => test(Effort::Usual).and_then(|()| lint()),
    };
    match result {
        Ok(()) => {
            eprintln!("xtask: all well after {} s", started.elapsed().as_secs());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn test(effort: Effort) -> Result<()> {
    need("curl", "the tests paste into a shell what the lab prints")?;
    let client = node::prepare()?.display().to_string();
    let python = python::prepare()?.display().to_string();
    let servers = Servers::start(Disk::Forgotten)?;
    let environment: Vec<_> = servers
        .environment
        .iter()
        .map(|(variable, address)| (*variable, &**address))
        .chain([(NODE, &*client), (PYTHON, &*python)])
        .chain((effort == Effort::Full).then_some((EFFORT, "full")))
        .collect();
    cargo(
        &["test", "--workspace", "--all-features", "--no-fail-fast"],
        &environment,
    )?;
    // With all features the lab is built for SQLite.
    let lab = [
        "test",
        "--package",
        "lab",
        "--no-default-features",
        "--features",
        "postgres",
        "--test",
        "story",
    ];
    cargo(&lab, &environment)
}

/// Where the tests find the client of another language.
const NODE: &str = "KOHERENT_TEST_NODE";

/// What tells tests that this is the long run.
const EFFORT: &str = "KOHERENT_EFFORT";

/// Where the tests find the clients in Python.
const PYTHON: &str = "KOHERENT_TEST_PYTHON";

fn bench() -> Result<()> {
    cargo(&["bench", "--package", "koherent-core"], &[])?;
    let servers = Servers::start(Disk::Waits)?;
    let environment: Vec<_> = servers
        .environment
        .iter()
        .map(|(variable, address)| (*variable, &**address))
        .collect();
    cargo(
        &["bench", "--package", "koherent-diesel", "--all-features"],
        &environment,
    )
}

/// For those who run single tests: `eval` what it prints.
#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn servers() -> Result<()> {
    let client = node::prepare()?;
    println!("export {NODE}='{}'", client.display());
    println!("export {PYTHON}='{}'", python::prepare()?.display());
    let servers = Servers::start(Disk::Forgotten)?;
    for (variable, address) in &servers.environment {
        println!("export {variable}='{address}'");
    }
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

fn lint() -> Result<()> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-features",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    cargo(&clippy, &[])?;
    let doc = [
        "doc",
        "--workspace",
        "--all-features",
        "--no-deps",
        "--document-private-items",
    ];
    cargo(
        &doc,
        &[(
            "RUSTDOCFLAGS",
            "-D warnings --allow rustdoc::private_intra_doc_links",
        )],
    )?;
    cargo(
        &["doc", "--workspace", "--all-features", "--no-deps"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )?;
    // The fuzzers are a workspace of their own; that they compile is seen here, that their targets hold in the tests.
    cargo(
        &[
            "check",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target-dir",
            "target",
        ],
        &[],
    )?;
    for (package, features) in FEATURES {
        cargo(
            &[
                "check",
                "--package",
                package,
                "--no-default-features",
                "--features",
                features,
            ],
            &[],
        )?;
    }
    Ok(())
}

/// Each feature alone. `koherent-diesel` needs an engine.
const FEATURES: [(&str, &str); 23] = [
    ("koherent-core", ""),
    ("koherent-core", "serde"),
    ("koherent-core", "mint"),
    ("koherent-core", "testing"),
    ("koherent-tower", ""),
    ("koherent-tower", "axum"),
    ("koherent-tower", "fetch"),
    ("koherent-tower", "fetch-ring"),
    ("koherent-tower", "config"),
    ("koherent-diesel", "sqlite"),
    ("koherent-diesel", "sqlite,async"),
    ("koherent-diesel", "sqlite,deadpool"),
    ("koherent-diesel", "sqlite,r2d2"),
    ("koherent-diesel", "postgres"),
    ("koherent-diesel", "postgres,bb8"),
    ("koherent-diesel", "libpq"),
    ("koherent-diesel", "mysql"),
    ("koherent-juniper", "sqlite"),
    ("koherent-juniper", "sqlite,socket"),
    ("koherent-juniper", "postgres"),
    ("koherent-juniper", "mysql"),
    ("koherent-rest", "koherent-diesel/sqlite"),
    ("lab", "postgres"),
];

/// Runs cargo, with everything it says shown.
#[expect(clippy::print_stderr, reason = "it says what it runs")]
fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    eprintln!("xtask: cargo {}", arguments.join(" "));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(arguments)
        .envs(environment.iter().copied())
        .status()
        .context("cannot run cargo")?;
    if status.success() {
        Ok(())
    } else {
        bail!("`cargo {}` failed", arguments.join(" "))
    }
}

/// Fails with what to install, rather than with whatever a missing program leads to later.
fn need(program: &str, why: &str) -> Result<()> {
    Command::new(program)
        .arg("--version")
        .output()
        .map(drop)
        .with_context(|| format!("`{program}` is missing ({why}): install it, and run this again"))
}
