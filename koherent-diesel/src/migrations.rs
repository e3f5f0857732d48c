//! The migrations of Koherent's own tables, for whichever engine a connection speaks to.

use diesel::connection::BoxableConnection;
use diesel::migration::{Migration, MigrationMetadata, MigrationName, MigrationSource, Result};

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
        let own = DB::migrations().migrations()?;
        let own = own
            .into_iter()
            .map(|migration| -> Box<dyn Migration<DB>> { Box::new(Recognised(migration)) });
        let mut all: Vec<_> = own.collect();
        all.extend(self.0.migrations()?);
        all.sort_by(|a, b| a.name().version().cmp(&b.name().version()));
        Ok(all)
    }
}

/// The table in which the command `koherent setup` records the migrations that it has run: not the application's, so that
/// `diesel migration redo` never meets one that is not in the application's folder.
#[doc(hidden)]
pub const OWN_MIGRATIONS_TABLE: &str = "__koherent_schema_migrations";

/// A migration of Koherent's, which does nothing where `koherent setup` has run it before: the application's own harness records
/// it as well then.
struct Recognised<DB: Engine>(Box<dyn Migration<DB>>);

impl<DB: Engine> Recognised<DB> {
    /// Whether the table of `koherent setup` has it. A connection of an unknown type only says whether statements fail.
    fn is_recorded(&self, connection: &mut dyn BoxableConnection<DB>) -> bool {
        let version = DB::literal(&self.0.name().version().to_string());
        let is_transaction = self.0.metadata().run_in_transaction() && DB::DOOMS_TRANSACTIONS;
        if is_transaction
            && connection
                .batch_execute("SAVEPOINT koherent_recorded")
                .is_err()
        {
            return false;
        }
        let probe = DB::probe(&format!(
            "EXISTS (SELECT 1 FROM {OWN_MIGRATIONS_TABLE} WHERE version = {version})"
        ));
        let is_recorded = connection.batch_execute(&probe).is_ok();
        if is_transaction {
            // What failed is taken back; the rest of the transaction goes on.
            let _ = connection.batch_execute(
                "ROLLBACK TO SAVEPOINT koherent_recorded; RELEASE SAVEPOINT koherent_recorded",
            );
        }
        is_recorded
    }
}

impl<DB: Engine> Migration<DB> for Recognised<DB> {
    fn run(&self, connection: &mut dyn BoxableConnection<DB>) -> Result<()> {
        if self.is_recorded(connection) {
            return Ok(());
        }
        self.0.run(connection)
    }

    fn revert(&self, connection: &mut dyn BoxableConnection<DB>) -> Result<()> {
        let is_recorded = self.is_recorded(connection);
        self.0.revert(connection)?;
        if is_recorded {
            let version = DB::literal(&self.0.name().version().to_string());
            connection.batch_execute(&format!(
                "DELETE FROM {OWN_MIGRATIONS_TABLE} WHERE version = {version}"
            ))?;
        }
        Ok(())
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self.0.metadata()
    }

    fn name(&self) -> &dyn MigrationName {
        self.0.name()
    }
}

/// The texts of an engine's migrations, oldest first.
macro_rules! texts {
    ($folder:literal, $($migration:literal),+ $(,)?) => {
        &[$(include_str!(concat!("../migrations/", $folder, "/", $migration, "/up.sql"))),+]
    };
}

/// The texts of PostgreSQL's migrations.
#[cfg(feature = "postgres_backend")]
pub(crate) const POSTGRES: &[&str] = texts!(
    "postgres",
    "2026-11-20-000000_koherent_task",
    "2026-11-20-000001_koherent_guard",
    "2026-11-20-000002_koherent_reading",
    "2026-11-30-000003_koherent_capture",
    "2026-11-30-000004_koherent_retire",
    "2026-11-30-000005_koherent_transaction",
    "2026-12-01-000007_koherent_partition",
);

/// The texts of SQLite's migrations.
#[cfg(feature = "sqlite")]
pub(crate) const SQLITE: &[&str] = texts!(
    "sqlite",
    "2026-11-20-000000_koherent_task",
    "2026-11-20-000001_koherent_guard",
    "2026-11-20-000002_koherent_reading",
    "2026-11-30-000003_koherent_capture",
    "2026-11-30-000004_koherent_retire",
    "2026-11-30-000005_koherent_transaction",
);

/// The texts of the migrations of MariaDB and MySQL.
#[cfg(feature = "mysql")]
pub(crate) const MYSQL: &[&str] = texts!(
    "mysql",
    "2026-11-20-000000_koherent_task",
    "2026-11-20-000001_koherent_guard",
    "2026-11-20-000002_koherent_reading",
    "2026-11-30-000004_koherent_retire",
    "2026-11-30-000005_koherent_transaction",
    "2026-12-01-000006_koherent_trigger",
);

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The lists above are those of the folders.
    #[test]
    fn every_migration_is_listed() {
        for (folder, texts) in [
            #[cfg(feature = "postgres_backend")]
            ("postgres", super::POSTGRES),
            #[cfg(feature = "sqlite")]
            ("sqlite", super::SQLITE),
            #[cfg(feature = "mysql")]
            ("mysql", super::MYSQL),
        ] {
            let migrations = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("migrations")
                .join(folder);
            let mut folders: Vec<_> = std::fs::read_dir(migrations)
                .unwrap()
                .map(|folder| folder.unwrap().path())
                .collect();
            folders.sort();
            let stored = folders
                .iter()
                .map(|folder| std::fs::read_to_string(folder.join("up.sql")).unwrap());
            assert_eq!(stored.collect::<Vec<_>>(), texts, "{folder}");
        }
    }
}
