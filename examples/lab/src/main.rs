//! `lab`: see `lab --help`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use lab::cli::Cli;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let ended = runtime.block_on(cli.run());
    // A statement that waits for a lock of the database keeps no process that is told to end.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the one line that says why it ended")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("lab: {error:#}");
    ExitCode::FAILURE
}
