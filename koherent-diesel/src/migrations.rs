//! The migrations of Koherent's own tables, for whichever engine a connection speaks to.

use diesel::migration::{Migration, MigrationSource, Result};

use crate::engine::Engine;

/// What creates `koherent_task`, and what else audited statements need, on the engine of the connection they run on.
///
/// ```
/// use diesel::{Connection, SqliteConnection};
/// use diesel_migrations::MigrationHarness;
///
/// let mut connection = SqliteConnection::establish(":memory:")?;
/// connection.run_pending_migrations(koherent_diesel::MIGRATIONS).expect("an empty database");
/// # Ok::<(), diesel::ConnectionError>(())
/// ```
///
/// [`Migrations::and`] merges the application's own with them, so that one call runs all.
pub const MIGRATIONS: Migrations<NoOthers> = Migrations(NoOthers);

/// No migrations beside Koherent's.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct NoOthers;

/// Koherent's migrations, and perhaps those of an application.
#[derive(Debug, Clone, Copy)]
pub struct Migrations<S>(S);

impl Migrations<NoOthers> {
    /// With the migrations of the application: all are run in the order of their versions.
    ///
    /// ```
    /// use diesel::{Connection, SqliteConnection};
    /// use diesel_migrations::{FileBasedMigrations, MigrationHarness};
    /// # let folder = tempfile::tempdir()?;
    /// # let migration = folder.path().join("migrations/2026-12-01-000000_samples");
    /// # std::fs::create_dir_all(&migration)?;
    /// # std::fs::write(migration.join("up.sql"), "CREATE TABLE samples (id INTEGER PRIMARY KEY);")?;
    ///
    /// let mine = FileBasedMigrations::from_path(folder.path().join("migrations"))?; // or embed_migrations!()
    /// let mut connection = SqliteConnection::establish(":memory:")?;
    /// let done = connection.run_pending_migrations(koherent_diesel::MIGRATIONS.and(mine))?;
    /// assert_eq!(done.last().unwrap().as_owned().to_string(), "20261201000000");
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    #[must_use]
    pub const fn and<S>(self, application: S) -> Migrations<S> {
        Migrations(application)
    }
}

impl<DB: Engine> MigrationSource<DB> for NoOthers {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<DB>>>> {
        Ok(Vec::new())
    }
}

impl<DB: Engine, S: MigrationSource<DB>> MigrationSource<DB> for Migrations<S> {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<DB>>>> {
        let mut all = DB::migrations().migrations()?;
        all.extend(self.0.migrations()?);
        all.sort_by(|a, b| a.name().version().cmp(&b.name().version()));
        Ok(all)
    }
}
