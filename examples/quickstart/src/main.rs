//! Koherent in one file: a service on SQLite that knows which run of work touched a row, on whose authority, and what it changed.
#![allow(missing_docs, clippy::print_stdout, reason = "an example, which says what to paste")]

use anyhow::{Result, anyhow};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::routing::post;
use diesel::{Connection, ExpressionMethods as _, QueryDsl as _, Queryable, SqliteConnection};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, deadpool};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use juniper::{EmptySubscription, FromContext, RootNode, graphql_object};
use koherent_core::Verifier;
use koherent_core::mint::TokenIssuer;
use koherent_diesel::{Audited as _, AuditedPool, HistoryReader, HistoryScope, audited_table, migrate};
use koherent_juniper::{Error, Limits, Provenance, answer_request, provenance};
use koherent_tower::access::DEVELOPMENT_ISSUER;
use koherent_tower::{AccessVerifier, Attribution, PrincipalLayer, ProvenanceLayer};
use serde_json::json;
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<()> {
    let listener =
        tokio::net::TcpListener::bind(std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8080")).await?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    let key = TokenIssuer::new(DEVELOPMENT_ISSUER, "quickstart", &secret);
    let app = app(&key, database("quickstart.db")?)?;
    print_example(&key, &format!("http://{}/graphql", listener.local_addr()?));
    Ok(axum::serve(listener, app).await?)
}

// 1. The layers: who is calling, and under which task.
fn app(key: &TokenIssuer, pool: Pool) -> Result<Router> {
    let logins = AccessVerifier::development("quickstart", &key.jwks())?;
    let tasks = Verifier::new("quickstart", [key.trusted()])?;
    let histories = HistoryReader::new(pool.clone(), [samples::table::tracked()]); // one for all requests
    let schema = RootNode::new(Query, Mutation, EmptySubscription::new());
    Ok(Router::new()
        .route("/graphql", post(graphql))
        .layer(ProvenanceLayer::new(tasks)) // inside: the task
        .layer(PrincipalLayer::new(logins)) // outside: the login
        .with_state(Arc::new((schema, pool, histories))))
}

type App = Arc<(RootNode<Query, Mutation, EmptySubscription<Lab>>, Pool, HistoryReader)>;

async fn graphql(State(app): State<App>, Attribution(who): Attribution, request: Request) -> Response<String> {
    let (schema, pool, histories) = &*app;
    let provenance = Provenance::new(histories.within(HistoryScope::own(&who))); // of the caller's organization
    let context = Lab { pool: pool.clone(), who, provenance };
    answer_request(schema, &context, &Limits::default(), request).await
}

// 2. The connection: the table and its history, and a pool of connections that write both.
audited_table! {
    samples => samples_history (id) { id -> BigInt, name -> Text, }
}

type Pool = AuditedPool<deadpool::Pool<SyncConnectionWrapper<SqliteConnection>>>;

fn pool(file: &str) -> Result<Pool> {
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(|file| {
        let file = file.to_owned();
        Box::pin(async move {
            let mut connection = SyncConnectionWrapper::<SqliteConnection>::establish(&file).await?;
            let pragmas = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON;";
            connection.batch_execute(pragmas).await.map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
            Ok(connection)
        })
    });
    let pool = deadpool::Pool::builder(AsyncDieselConnectionManager::new_with_config(file, config));
    Ok(AuditedPool::new(pool.build()?))
}

// 3. The database: the application's migrations. `koherent migration generate samples` wrote the second, with history and guard.
fn database(file: &str) -> Result<Pool> {
    const MIGRATIONS: diesel_migrations::EmbeddedMigrations = diesel_migrations::embed_migrations!();
    let mut connection = SqliteConnection::establish(file)?;
    let done = migrate(&mut connection, koherent_diesel::MIGRATIONS.and(MIGRATIONS));
    done.map_err(|error| anyhow!(error)).and_then(|_| pool(file))
}

// 4. The schema: one line for the type.
struct Lab {
    pool: Pool,
    who: koherent_core::Attribution,
    provenance: Provenance,
}
impl juniper::Context for Lab {}
impl FromContext<Lab> for Provenance {
    fn from(lab: &Lab) -> &Self {
        &lab.provenance
    }
}

#[derive(Queryable)]
struct Sample {
    id: i64,
    name: String,
}

#[provenance(samples, key = self.id)]
#[graphql_object(context = Lab)]
impl Sample {
    fn name(&self) -> &str {
        &self.name
    }
}

struct Query;
#[graphql_object(context = Lab)]
impl Query {
    async fn samples(context: &Lab) -> Result<Vec<Sample>, Error> {
        Ok(samples::table.order(samples::id).load(&mut context.pool.get(context.who.clone()).await?).await?)
    }
}

struct Mutation;
#[graphql_object(context = Lab)]
impl Mutation {
    async fn create_sample(context: &Lab, name: String) -> Result<Sample, Error> {
        let mut conn = context.pool.get(context.who.clone()).await?;
        Ok(conn.audited_insert(samples::table, samples::name.eq(name)).get_result().await?)
    }
    async fn rename(context: &Lab, id: i32, name: String) -> Result<Sample, Error> {
        let mut conn = context.pool.get(context.who.clone()).await?;
        Ok(conn.audited_update(samples::table.find(i64::from(id)), samples::name.eq(name)).get_result().await?)
    }
}

// To try it: tokens such as real services get from their issuers, of a key that ends with the process.
fn print_example(key: &TokenIssuer, url: &str) {
    let header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "quickstart"});
    let mut claims = json!({"iss": DEVELOPMENT_ISSUER, "aud": "quickstart", "sub": "robot-7", "client_id": "stainer"});
    (claims["iat"], claims["exp"]) = (json!(1_700_000_000), json!(4_102_444_800_u64));
    let login = key.sign(&header, &claims);
    let task = key.task("staining-1").audience("quickstart").actor("robot-7", "stainer").caused_by("ann", "ann").mint();
    println!("The quickstart answers on {url}. Paste into another shell:\n\nLOGIN={login}\nTASK={task}");
    let headers = r#"-H "Authorization: Bearer $LOGIN" -H "Rekuest-Task: $TASK" -H 'Content-Type: application/json'"#;
    let queries = [
        r#"mutation { createSample(name: \"liver\") { name } }"#,
        r#"mutation { rename(id: 1, name: \"liver, HE\") { name } }"#,
        "{ samples { name provenance { kind user { sub } task { taskId } effectiveChanges { field oldValue newValue } } } }",
    ];
    queries.iter().for_each(|query| println!(r#"curl -s {url} {headers} -d '{{"query": "{query}"}}'"#));
}
