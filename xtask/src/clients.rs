//! Clients in other languages, which are installed into the target folder from `tests/clients`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Copies the files of a client into its folder below the target folder, and returns the folder.
pub(crate) fn folder(language: &str, files: &[&str]) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = root.join("target/tmp").join(language);
    std::fs::create_dir_all(&folder).context("cannot make a folder in target/tmp")?;
    for file in files {
        let from = root.join("tests/clients").join(language).join(file);
        std::fs::copy(&from, folder.join(file))
            .with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(folder.canonicalize()?)
}
