//! What the lab says when it starts: the only place that writes to standard output.

use std::net::SocketAddr;

use crate::trust::{DevelopmentKey, TaskClaims, Validity};

/// Writes a line.
#[expect(clippy::print_stdout, reason = "this is what the command answers")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Says where the server is, whom it trusts, and what to paste next.
pub(crate) fn announce(
    address: SocketAddr,
    database: &str,
    key: Option<&DevelopmentKey>,
    next_sample: i64,
) {
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
    let curl = |query: &str, with_task: bool| {
        let task = if with_task {
            format!(" \\\n  -H 'Rekuest-Task: {task}'")
        } else {
            String::new()
        };
        format!(
            "curl -s http://{address}/graphql -H 'Content-Type: application/json' \\\n  \
             -H 'Authorization: Bearer {access}'{task} \\\n  -d '{{\"query\": \"{query}\"}}'"
        )
    };
    let path = key.path.display();
    say(&format!(
        "
!!! DEVELOPMENT MODE: whoever can read {path} is anybody here.
!!! For real issuers: lab serve --config lab.toml

Register a sample and rename it, under the task \"task-a\":

{}

Ask who did that:

{}

Or let it tell a whole story, in a second shell with the same options: cargo run -p lab -- demo
More tokens: cargo run -p lab -- token --help",
        curl(
            &format!(
                "mutation {{ createSample(name: \\\"liver 12\\\") {{ id }} \
                 updateSample(id: {next_sample}, name: \\\"liver 12b\\\") {{ id name }} }}"
            ),
            true
        ),
        curl(
            &format!(
                "{{ sample(id: {next_sample}) {{ name provenance {{ kind date user {{ sub }} client {{ clientId }} \
                 task {{ taskId agentClientId }} effectiveChanges {{ field oldValue newValue }} }} }} }}"
            ),
            false
        ),
    ));
}
