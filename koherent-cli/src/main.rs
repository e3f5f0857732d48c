#![doc = include_str!("../README.md")]

mod baseline;
mod check;
mod database;
mod entry;
mod failure;
mod grants;
mod log;
mod migration;
mod output;
mod own;
mod prune;
mod reconcile;
mod registry;
mod retire;
mod schema;
mod setup;
mod show;
mod stamps;
mod tasks;
mod value;
mod writers;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use database::Database;
use failure::{Failure, Result};
use output::Output;

/// Puts tables under audit, and inspects and maintains their histories.
#[derive(Debug, Parser)]
#[command(
    name = "koherent",
    version,
    propagate_version = true,
    max_term_width = 110
)]
struct Cli {
    /// The database: sqlite://FILE (or a path), postgres://USER@HOST/NAME or mysql://USER@HOST/NAME.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        global = true,
        value_name = "URL"
    )]
    database_url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create Koherent's own tables, where they are not there yet; make anew what a restored dump has left out.
    ///
    /// Applications that run `koherent_diesel::MIGRATIONS` create the tables themselves. Routines, triggers and guards that are
    /// missing, or belong to a user who is not there, are made anew.
    Setup {
        /// Say what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Write migrations for tables under audit.
    #[command(subcommand)]
    Migration(MigrationCommand),
    /// Take a table from those under audit. Its history stays, read-only.
    Retire(retire::Arguments),
    /// Print a Rust module that declares the histories, and keep them out of what `diesel print-schema` writes.
    Schema(schema::Arguments),
    /// Compare tables, histories and guards. Exit code 1 if anything differs.
    Check(check::Arguments),
    /// Write a first entry for each row that has none.
    Baseline(baseline::Arguments),
    /// List entries, newest first.
    Log(log::Arguments),
    /// Show one entry in full: TABLE/ID, as `log` lists it.
    Show(show::Arguments),
    /// List the tasks under which something was changed, newest first.
    Tasks(tasks::ListArguments),
    /// Show a task, the tree of tasks that it belongs to, and what each changed.
    Task(tasks::TreeArguments),
    /// Compare the live rows with their latest entries. Exit code 1 if a row was changed around the audit, or a history has
    /// gaps.
    Reconcile(reconcile::Arguments),
    /// Delete old entries, in batches. It is the only way to do that, and it is recorded.
    Prune(prune::Arguments),
    /// Print the grants for separate owner and writer roles (PostgreSQL).
    Grants(grants::Arguments),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
enum MigrationCommand {
    /// Write the migration that puts tables under audit, or that follows a change of them.
    ///
    /// The tables are looked at as they are in the database: run the migration that creates or changes them first. Where a
    /// guard is in the way of such a change (a column of the key on MySQL, a captured column on SQLite), the error names the
    /// trigger or the table: drop it in that migration; the one that follows makes the guard anew. A table that cannot be
    /// followed keeps no other from being so: what is wrong with it is said, and the exit code is 1.
    Generate(migration::Generate),
}

fn main() -> ExitCode {
    let mut output = Output::new();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and versions are answers.
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let said = error.to_string();
            let words = said
                .lines()
                .map(str::trim)
                .take_while(|line| !line.starts_with("Usage:"));
            let words: Vec<_> = words.filter(|line| !line.is_empty()).collect();
            let line = words.join(" ");
            let line = line.trim_start_matches("error: ");
            report(&Failure::new(format!("{line}; --help says more")));
            return ExitCode::from(2);
        }
    };
    let done = run(&cli, &mut output).and_then(|clean| output.finish().map(|()| clean));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // `koherent log | head`
        Err(failure) if failure.is_closed_pipe => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = output.finish();
            report(&failure);
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::print_stderr, reason = "that is where failures go")]
fn report(failure: &Failure) {
    eprintln!("koherent: {failure}");
}

/// Whether there is nothing to complain about.
fn run(cli: &Cli, output: &mut Output) -> Result<bool> {
    if let Command::Completions { shell } = cli.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "koherent", &mut script);
        output.line(String::from_utf8_lossy(&script).trim_end())?;
        return Ok(true);
    }
    let url = cli.database_url.as_deref().ok_or_else(|| {
        Failure::new("no database is given: set --database-url or DATABASE_URL, to sqlite://FILE, postgres://… or mysql://…")
    })?;
    let mut database = Database::connect(url)?;
    let database = &mut database;
    match &cli.command {
        Command::Check(arguments) => return check::run(database, arguments, output),
        Command::Reconcile(arguments) => return reconcile::run(database, arguments, output),
        Command::Setup { dry_run } => setup::run(url, *dry_run, output)?,
        Command::Migration(MigrationCommand::Generate(arguments)) => {
            return migration::generate(database, arguments, output);
        }
        Command::Schema(arguments) => schema::run(database, arguments, output)?,
        Command::Retire(arguments) => retire::run(database, arguments, output)?,
        Command::Baseline(arguments) => return baseline::run(database, arguments, output),
        Command::Log(arguments) => log::run(database, arguments, output)?,
        Command::Show(arguments) => show::run(database, arguments, output)?,
        Command::Tasks(arguments) => tasks::list(database, arguments, output)?,
        Command::Task(arguments) => tasks::tree(database, arguments, output)?,
        Command::Prune(arguments) => prune::run(database, arguments, output)?,
        Command::Grants(arguments) => grants::run(database, arguments, output)?,
        Command::Completions { .. } => {}
    }
    Ok(true)
}
