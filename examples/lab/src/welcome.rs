//! What the lab says when it starts: the only place that writes to standard output.

use std::net::SocketAddr;

use crate::trust::{DevelopmentKey, TaskClaims, Validity};

/// Writes a line.
#[expect(clippy::print_stdout, reason = "this is what the command answers")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Says where the server is, whom it trusts, and what to paste next.
pub(crate) fn announce(address: SocketAddr, database: &str, key: Option<&DevelopmentKey>) {
    say(&format!(
        "lab is up: http://{address}/graphql · GraphiQL: http://{address}/graphiql · database: {database}"
    ));
    let Some(key) = key else { return };
    let access = key.access_token("ann", "lab-ui", None, Validity::hours(12));
    let claims = TaskClaims {
        task_id: "task-a",
        parent: None,
        root: None,
        caller: "ann",
        agent: "ann",
        client: "lab-ui",
    };
    let task = key.task_token(&claims, Validity::hours(12));
    let curl = |query: &str| {
        let query = query.replace('"', r#"\\\""#);
        format!(
            "curl -s http://{address}/graphql -H \"$LOGIN\" -H \"$TASK\" -H 'Content-Type: application/json' \\
  -d \"{{\\\"query\\\": \\\"{query}\\\"}}\""
        )
    };
    let create = curl(r#"mutation { createSample(name: "liver 12") { id } }"#);
    let rename = curl(r#"mutation { updateSample(id: $ID, name: "liver 12b") { id name } }"#);
    let ask = curl(
        "{ sample(id: $ID) { name provenance { kind date user { sub } client { clientId } \
         task { taskId agentClientId } effectiveChanges { field oldValue newValue } } } }",
    );
    let path = key.path.display();
    say(&format!(
        "
!!! DEVELOPMENT MODE: whoever can read {path} is anybody here.
!!! For real issuers: cargo run -p lab -- serve --config lab.toml

Paste this into another shell to register a sample and rename it, signed in as ann, under the task task-a:

LOGIN='Authorization: Bearer {access}'
TASK='Rekuest-Task: {task}'
ID=$({create} | grep -o '[0-9]*\"}}}}' | tr -dc 0-9)
{rename}

and this, to ask who did that:

{ask}

Or let it tell a whole story, with the same options as here: cargo run -p lab -- demo
GraphiQL with these tokens: http://{address}/graphiql#access={access}&task={task}
More tokens: cargo run -p lab -- token --help"
    ));
}
