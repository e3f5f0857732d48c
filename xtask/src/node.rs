//! A client that is not ours: graphql-ws, from its registry.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::clients::folder;
use crate::servers::program;

/// The files of the client, beside those that npm puts there.
const CLIENT: [&str; 3] = ["package.json", "package-lock.json", "story.mjs"];

/// Installs the client into the target folder, and says where.
pub(crate) fn prepare() -> Result<PathBuf> {
    program("node", "nodejs")?;
    let npm = program("npm", "npm")?;
    let folder = folder("node", &CLIENT)?;
    let status = Command::new(npm)
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&folder)
        .stdout(Stdio::null())
        .status()
        .context("cannot run npm")?;
    if !status.success() {
        bail!("`npm ci` failed: it needs the registry of npm");
    }
    Ok(folder)
}
