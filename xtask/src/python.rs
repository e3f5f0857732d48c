//! The clients of another language: those of the original, and gql, from their registry.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::clients::folder;
use crate::servers::{install, program};

/// The scripts, and the exact versions of the clients with their hashes.
const CLIENT: [&str; 3] = ["requirements.txt", "refresh.py", "gql_client.py"];

/// Installs the clients into the target folder, and returns where.
pub(crate) fn prepare() -> Result<PathBuf> {
    let folder = folder("python", &CLIENT)?;
    let python = folder.join("venv/bin/python");
    if !python.exists() {
        run(Command::new(interpreter()?)
            .args(["-m", "venv", "venv"])
            .current_dir(&folder))?;
    }
    let pip = [
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "-r",
        "requirements.txt",
    ];
    run(Command::new(python).args(pip).current_dir(&folder))
        .context("the Python clients could not be installed: it needs the registry of Python")?;
    Ok(folder)
}

/// Returns a Python that is new enough and can make environments; installs Debian's where that is allowed.
fn interpreter() -> Result<PathBuf> {
    if let Some(python) = suitable() {
        return Ok(python);
    }
    program("python3", "python3")?;
    // Fails where it is not allowed; what is missing is said below.
    let _ = install("python3-venv");
    suitable().context("`python3` is missing, older than 3.11, or without `venv`: install `python3` and `python3-venv`, and run this again")
}

fn suitable() -> Option<PathBuf> {
    const TEST: &str = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))";
    let usable = |python: &&str| {
        let mut command = Command::new(python);
        let command = command.args(["-c", TEST]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"]
        .iter()
        .find(|python| usable(python))
        .map(PathBuf::from)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdout(Stdio::null()).status();
    if !status.context("cannot run Python")?.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}
