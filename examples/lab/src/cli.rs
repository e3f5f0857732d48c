//! The command line: `lab serve`, `lab token`, `lab demo`, `lab schema`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::http::HeaderValue;
use clap::{Args, Parser, Subcommand};
use koherent_tower::config::Config;
use koherent_tower::serve::{ServeLimits, Shutdown};

use crate::server::Settings;
use crate::trust::{DevelopmentKey, TaskClaims, Trust, Validity};
use crate::{database, demo, graphql, server, welcome};

/// A small imaging-lab service that keeps the provenance of every sample.
///
/// `lab` alone serves. Without --config it makes a development key of its own and prints what to paste next.
#[derive(Debug, Parser)]
#[command(version, name = "lab")]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct Options {
    /// The address to serve on; for `demo`, the address of the running server.
    #[arg(
        long,
        env = "LAB_LISTEN",
        default_value = "127.0.0.1:8080",
        global = true,
        value_name = "HOST:PORT"
    )]
    listen: String,
    /// The database: `sqlite://FILE` or a path, which is made where it does not exist; or `postgres://USER@HOST/DATABASE`
    /// where the lab is built for PostgreSQL.
    #[arg(
        long,
        env = "LAB_DATABASE_URL",
        hide_env_values = true,
        default_value = database::DEFAULT_URL,
        global = true,
        value_name = "URL"
    )]
    database_url: String,
    /// The issuers whose tokens are believed (`lab.toml` or `lab.json`). With it, development tokens are refused. Without
    /// it they may come from the environment: `LAB_AUTH__…` and `LAB_PROVENANCE__…`.
    #[arg(long, env = "LAB_CONFIG", global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A page of another origin that may use the service (CORS), such as `https://notebook.example`; may be given several times,
    /// or separated by commas.
    #[arg(
        long,
        env = "LAB_CORS_ORIGIN",
        value_delimiter = ',',
        global = true,
        value_name = "ORIGIN"
    )]
    cors_origin: Vec<String>,
    /// How many connections there may be at a time.
    #[arg(
        long,
        env = "LAB_CONNECTIONS",
        default_value_t = ServeLimits::default().connections,
        global = true,
        value_name = "NUMBER"
    )]
    connections: usize,
    /// For how many seconds what is under way may go on after a signal to end; a second signal ends at once.
    #[arg(
        long,
        env = "LAB_SHUTDOWN_SECONDS",
        default_value_t = ServeLimits::default().shutdown.as_secs(),
        global = true,
        value_name = "SECONDS"
    )]
    shutdown_seconds: u64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve GraphQL, GraphiQL and health checks. This is what `lab` alone does.
    Serve,
    /// Mint a token with the development key.
    Token {
        #[command(subcommand)]
        kind: TokenKind,
    },
    /// Tell a whole story against the running server, and show what provenance says.
    Demo,
    /// Print the GraphQL schema (SDL).
    Schema,
}

#[derive(Debug, Subcommand)]
enum TokenKind {
    /// An access token, for `Authorization: Bearer`: who is calling.
    Access {
        /// Who it is (`sub`).
        #[arg(long, default_value = "ann")]
        sub: String,
        /// Through which OAuth client (`client_id`).
        #[arg(long, default_value = "lab-ui")]
        client: String,
        /// In which organization (`org`).
        #[arg(long)]
        org: Option<String>,
        /// For how many hours it holds.
        #[arg(long, default_value_t = 12)]
        hours: u32,
    },
    /// A provenance token, for `Rekuest-Task`: under which task an agent acts.
    Task {
        /// The task (`tsk`).
        task_id: String,
        /// The task that caused it (`ptk`).
        #[arg(long)]
        parent: Option<String>,
        /// The root of its causal tree (`rtk`); the parent where it is not given.
        #[arg(long, requires = "parent")]
        root: Option<String>,
        /// The agent that executes it (`act.sub`); it must be who signs in.
        #[arg(long, default_value = "ann")]
        agent: String,
        /// The agent's OAuth client (`act.cid`); it must be that of the login.
        #[arg(long, default_value = "lab-ui")]
        client: String,
        /// Who caused it (`sub` and `rcb`).
        #[arg(long, default_value = "ann")]
        caller: String,
        /// For how many hours it holds.
        #[arg(long, default_value_t = 12)]
        hours: u32,
    },
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    ///
    /// Whatever stopped it, as one line that says what to do.
    pub async fn run(self) -> Result<()> {
        let Self { command, options } = self;
        match command.unwrap_or(Command::Serve) {
            Command::Serve => serve(&options).await,
            Command::Token { kind } => {
                welcome::say(&token(&options, &kind)?);
                Ok(())
            }
            Command::Schema => {
                welcome::say(graphql::schema().as_sdl().trim_end());
                Ok(())
            }
            Command::Demo => demo::run(&options.listen, &existing_key(&options)?).await,
        }
    }
}

/// Nothing is made before everything that was asked for is known to work: no key for a server that cannot start.
async fn serve(options: &Options) -> Result<()> {
    let name = database::key_name(&options.database_url)?;
    let configured = configuration(options)?;
    let configured = configured.as_ref().map(Trust::configured).transpose()?;
    let settings = options.settings()?;
    let listener = server::bind(&options.listen).await?;
    let address = listener
        .local_addr()
        .context("the address cannot be told")?;
    let pool = database::open(&options.database_url).await?;
    let (trust, key) = match configured {
        Some(trust) => (trust, None),
        None => {
            let key = DevelopmentKey::open_or_create(&name)?;
            (Trust::development(&key)?, Some(key))
        }
    };
    trust.load_keys();
    let app = server::app_with(trust, pool, settings.clone())?;
    let shown = database::without_password(&options.database_url);
    welcome::announce(address, &shown, key.as_ref());
    server::serve_with(listener, app, settings).await;
    Ok(())
}

impl Options {
    fn settings(&self) -> Result<Settings> {
        let origins = self.cors_origin.iter().map(|origin| cors_origin(origin));
        if self.connections == 0 {
            bail!("nobody could connect: give --connections a number above 0");
        }
        Ok(Settings {
            origins: origins.collect::<Result<_>>()?,
            serve: ServeLimits {
                connections: self.connections,
                shutdown: Duration::from_secs(self.shutdown_seconds),
                ..ServeLimits::default()
            },
            shutdown: Shutdown::on_signals().context("cannot listen to signals")?,
        })
    }
}

/// An origin as browsers write it (RFC 6454 §6.2): scheme and host, without a path.
fn cors_origin(origin: &str) -> Result<HeaderValue> {
    let host = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    let is_bare = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '*']));
    let value = HeaderValue::from_str(origin).ok();
    value.filter(|_| is_bare).with_context(|| {
        format!("`{origin}` is no origin: give --cors-origin a scheme and a host, such as https://notebook.example")
    })
}

/// The issuers that are configured, if any are: in a file or in the environment, not in both.
fn configuration(options: &Options) -> Result<Option<Config>> {
    let from_environment = Config::from_env("LAB");
    let Some(file) = &options.config else {
        return Ok(from_environment?);
    };
    let twice = format!(
        "issuers are given twice, in `{}` and in variables that begin with LAB_AUTH__ or LAB_PROVENANCE__: give them in \
         one place",
        file.display()
    );
    match from_environment {
        Ok(None) => {}
        Ok(Some(_)) => bail!("{twice}"),
        Err(error) => bail!("{twice} ({error})"),
    }
    Ok(Some(Config::read(file)?))
}

/// The key that a server without configured issuers has made.
fn existing_key(options: &Options) -> Result<DevelopmentKey> {
    if configuration(options)?.is_some() {
        bail!(
            "where issuers are configured there is no development key: get tokens from the issuers it names"
        );
    }
    let name = database::key_name(&options.database_url)?;
    DevelopmentKey::open(&name)?.with_context(|| {
        format!(
            "there is no development key `{}`: start the server once, `cargo run -p lab`, with the same --database-url",
            DevelopmentKey::path_for(&name).display()
        )
    })
}

fn token(options: &Options, kind: &TokenKind) -> Result<String> {
    let key = existing_key(options)?;
    Ok(match kind {
        TokenKind::Access {
            sub,
            client,
            org,
            hours,
        } => key.access_token(sub, client, org.as_deref(), Validity::hours(*hours)),
        TokenKind::Task {
            task_id,
            parent,
            root,
            agent,
            client,
            caller,
            hours,
        } => {
            let claims = TaskClaims {
                task_id,
                parent: parent.as_deref(),
                root: root.as_deref(),
                caller,
                agent,
                client,
            };
            key.task_token(&claims, Validity::hours(*hours))
        }
    })
}
