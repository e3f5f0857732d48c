//! The folder of a migration: `up.sql` and `down.sql`, as diesel_migrations reads them.

use std::fs;
use std::path::{Path, PathBuf};

use koherent_core::{Clock as _, SystemClock};

use crate::database::Engine;
use crate::failure::{Failure, Result};

/// What a client of MariaDB or MySQL needs to be told: it takes a semicolon in the body of a trigger for the end of the statement.
const BY_HAND: &str = "-- By hand: mariadb --delimiter='//' DATABASE < up.sql (so that no semicolon inside a trigger ends it)\n";

/// A migration to write.
pub(crate) struct Files<'f> {
    pub(crate) folder: &'f Path,
    /// Its name, behind its date.
    pub(crate) name: &'f str,
    pub(crate) up: &'f str,
    pub(crate) down: &'f str,
}

impl Files<'_> {
    /// Writes it; says where.
    pub(crate) fn write(&self, engine: Engine) -> Result<PathBuf> {
        let folder = self
            .folder
            .join(format!("{}_{}", self.version(), file_name(self.name)));
        let failed = |path: &Path, error: std::io::Error| {
            Failure::new(format!(
                "{} cannot be written: {error}; --migration-dir says where migrations are",
                path.display()
            ))
        };
        fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
        for (file, sql) in [("up.sql", self.up), ("down.sql", self.down)] {
            let path = folder.join(file);
            let head = match engine {
                Engine::Mysql if sql.contains("\nBEGIN\n") => BY_HAND.replace("up.sql", file),
                _ => String::new(),
            };
            fs::write(&path, head + sql).map_err(|error| failed(&path, error))?;
        }
        Ok(folder)
    }

    /// The present time. No two migrations have one version.
    fn version(&self) -> String {
        let mut now: chrono::DateTime<chrono::Utc> = SystemClock.now().into();
        let taken: Vec<String> = fs::read_dir(self.folder)
            .map(|folders| {
                let folders = folders.filter_map(std::result::Result::ok);
                folders
                    .map(|folder| folder.file_name().to_string_lossy().into_owned())
                    .collect()
            })
            .unwrap_or_default();
        loop {
            let version = now.format("%Y-%m-%d-%H%M%S").to_string();
            if !taken.iter().any(|folder| folder.starts_with(&version)) {
                return version;
            }
            now += chrono::TimeDelta::seconds(1);
        }
    }
}

/// One folder, whatever tables are called.
fn file_name(name: &str) -> String {
    let letter = |c: char| {
        if c.is_alphanumeric() || c == '_' {
            c
        } else {
            '_'
        }
    };
    name.chars().take(100).map(letter).collect()
}
