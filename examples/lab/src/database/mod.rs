//! The database: brought up to date and checked at start; then a pool of audited connections.
//!
//! The engine is chosen when the lab is built: SQLite, or PostgreSQL with `--no-default-features --features postgres`.

#[cfg(not(feature = "sqlite"))]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use anyhow::{Context, Result, bail};
use koherent_core::Attribution;
use koherent_diesel::{Audited, AuditedPool, Difference, HistoryReader, LiveHistory, check};

#[cfg(not(feature = "sqlite"))]
pub use postgres::{Backend, DEFAULT_URL, Pool, key_name, moment, open};
#[cfg(feature = "sqlite")]
pub use sqlite::{Backend, DEFAULT_URL, Pool, key_name, moment, open};

use crate::schema::{measurements, sample_tags, samples, tags};

/// Connections that know whose changes they make.
pub type LabPool = AuditedPool<Pool>;

/// The database, as the service uses it.
#[derive(Debug, Clone)]
pub struct Database {
    /// Connections that know whose changes they make.
    pub pool: LabPool,
    /// All histories.
    pub histories: HistoryReader,
    /// Entries as they are committed.
    pub live: LiveHistory,
}

impl Database {
    fn new(pool: LabPool, live: impl FnOnce(&LabPool, HistoryReader) -> LiveHistory) -> Self {
        let histories = HistoryReader::new(pool.clone(), tracked());
        let live = live(&pool, histories.clone());
        Self {
            pool,
            histories,
            live,
        }
    }

    /// What the database has otherwise than it is declared, now.
    pub(crate) async fn differences(&self) -> Result<Vec<Difference>, koherent_diesel::Error> {
        let nobody = Attribution::system("readiness probe");
        let mut conn = self.pool.get(nobody).await?;
        check(&mut conn, tracked()).await
    }
}

/// The audited tables.
fn tracked() -> [&'static koherent_diesel::TrackedTable; 4] {
    [
        samples::table::tracked(),
        measurements::table::tracked(),
        tags::table::tracked(),
        sample_tags::table::tracked(),
    ]
}

/// Fails where the database has something else than what is declared.
fn expect_none(
    differences: Result<Vec<Difference>, koherent_diesel::Error>,
    database: &str,
) -> Result<()> {
    let differences =
        differences.with_context(|| format!("cannot check the database `{database}`"))?;
    if differences.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = differences.iter().map(Difference::to_string).collect();
    bail!(
        "the database `{database}` does not fit this lab: {}",
        lines.join("; ")
    );
}

/// An address without its password, and without its options, which may hold one too.
#[must_use]
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // `host=… password=…` is an address as well.
        return if url.contains("password") {
            "…".to_owned()
        } else {
            url.to_owned()
        };
    };
    let (rest, options) = match rest.split_once('?') {
        Some((rest, _)) => (rest, "?…"),
        None => (rest, ""),
    };
    match rest.rsplit_once('@') {
        Some((user, place)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{place}{options}")
        }
        None => format!("{scheme}://{rest}{options}"),
    }
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn addresses_are_shown_without_their_passwords() {
        for (address, shown) in [
            ("lab.db", "lab.db"),
            ("sqlite://lab.db", "sqlite://lab.db"),
            ("postgres://localhost/lab", "postgres://localhost/lab"),
            (
                "postgres://ann:s3cret@db:5432/lab",
                "postgres://ann@db:5432/lab",
            ),
            ("postgres://ann:s3:c@ret@db/lab", "postgres://ann@db/lab"),
            ("postgres://db/lab?password=s3cret", "postgres://db/lab?…"),
            ("host=db password=s3cret", "…"),
        ] {
            assert_eq!(without_password(address), shown);
        }
    }
}
