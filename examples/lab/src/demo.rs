//! A story told against the running server: who did what to a sample, and what provenance says of it.

use anyhow::{Context, Result, bail};
use koherent_core::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::trust::{DevelopmentKey, TaskClaims, Validity};
use crate::welcome::say;

/// Tells the story.
///
/// # Errors
///
/// Where nothing answers, or something answers otherwise than the story says.
pub async fn run(listen: &str, key: &DevelopmentKey) -> Result<()> {
    // The lab is on this machine: no proxy knows it.
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .context("cannot make requests")?;
    let lab = Client {
        http,
        url: format!("http://{listen}/graphql"),
    };
    let hour = Validity::hours(1);
    let ann = key.access_token("ann", "lab-ui", None, hour);
    let robot = key.access_token("robot-7", "stainer", None, hour);
    let run = SystemClock.since_epoch().as_secs();
    let staining = format!("staining-{run}");
    let cleanup = format!("cleanup-{run}");
    let claims = |task_id, agent, parent| TaskClaims {
        task_id,
        parent,
        root: None,
        caller: "ann",
        agent,
        client: "stainer",
    };
    let staining_token = key.task_token(&claims(&staining, "robot-7", None), hour);
    let cleanup_token = key.task_token(&claims(&cleanup, "robot-7", Some(&staining)), hour);

    say("1. Ann registers a sample, by hand: no task.");
    let query = r#"mutation { createSample(name: "liver 12", mass: 3.5) { id name } }"#;
    let created = lab.data(&ann, None, query).await?;
    let id = text(&created["createSample"]["id"]);
    say(&format!(
        "   sample {id}: {}",
        text(&created["createSample"]["name"])
    ));

    say(&format!(
        "2. Robot 7, working on the task {staining}, renames it and notes the stain."
    ));
    let query = format!(
        r#"mutation {{ updateSample(id: "{id}", name: "liver 12, HE", note: "stained", reason: "protocol 4") {{ name }} }}"#
    );
    let renamed = lab.data(&robot, Some(&staining_token), &query).await?;
    say(&format!(
        "   now called: {}",
        text(&renamed["updateSample"]["name"])
    ));

    say("3. Ann tries to use the robot's task token: it was given to another actor.");
    let query = format!(r#"mutation {{ updateSample(id: "{id}", name: "mine") {{ name }} }}"#);
    say(&format!(
        "   {}",
        lab.refusal(&ann, Some(&staining_token), &query).await?
    ));

    say("4. Somebody changes a letter in the token: it is refused, not taken for absent.");
    let forged = tampered(&staining_token);
    say(&format!(
        "   {}",
        lab.refusal(&robot, Some(&forged), &query).await?
    ));

    say(&format!(
        "5. Robot 7 deletes the sample, under the task {cleanup}, a child of the first."
    ));
    let query = format!(r#"mutation {{ deleteSample(id: "{id}") {{ deleted }} }}"#);
    lab.data(&robot, Some(&cleanup_token), &query).await?;

    say("6. What provenance says, newest first:");
    let query = format!(
        r#"{{ sample(id: "{id}") {{ name deleted provenance {{
            kind date user {{ sub }} client {{ clientId }} reason task {{ taskId parentTaskId agentClientId assignerSub }}
            effectiveChanges {{ field oldValue newValue }} }} }} }}"#
    );
    let history = lab.data(&ann, None, &query).await?;
    let entries = history["sample"]["provenance"]
        .as_array()
        .context("no provenance came back")?;
    for entry in entries {
        say(&headline(entry));
        for change in entry["effectiveChanges"].as_array().into_iter().flatten() {
            let [field, old, new] = ["field", "oldValue", "newValue"].map(|key| text(&change[key]));
            say(&format!("       {field}: {old} → {new}"));
        }
    }
    if entries.len() != 3 {
        bail!(
            "the story has three changes, but provenance has {} entries",
            entries.len()
        );
    }
    say(&format!(
        "\nThe sample is gone; its history is not: sample(id: \"{id}\") in GraphiQL shows it too."
    ));
    Ok(())
}

fn headline(entry: &Value) -> String {
    let task = match &entry["task"] {
        Value::Null => "no task".to_owned(),
        task => {
            let parent = match &task["parentTaskId"] {
                Value::Null => String::new(),
                parent => format!(", caused by {}", text(parent)),
            };
            format!(
                "task {}{parent}, for {}",
                text(&task["taskId"]),
                text(&task["assignerSub"])
            )
        }
    };
    let reason = match &entry["reason"] {
        Value::Null => String::new(),
        reason => format!(" ({})", text(reason)),
    };
    format!(
        "   {} {} by {} through {}, {task}{reason}",
        text(&entry["date"]),
        text(&entry["kind"]),
        text(&entry["user"]["sub"]),
        text(&entry["client"]["clientId"]),
    )
}

/// The token with another letter in the middle of its claims.
fn tampered(token: &str) -> String {
    let middle = token.len() / 2;
    let other = if token.as_bytes()[middle] == b'A' {
        "B"
    } else {
        "A"
    };
    format!("{}{other}{}", &token[..middle], &token[middle + 1..])
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    async fn post(&self, access: &str, task: Option<&str>, query: &str) -> Result<(u16, Value)> {
        let mut request = self
            .http
            .post(&self.url)
            .bearer_auth(access)
            // The status says then what became of it.
            .header("Accept", "application/graphql-response+json")
            .json(&json!({ "query": query }));
        if let Some(task) = task {
            request = request.header("Rekuest-Task", task);
        }
        let response = request.send().await.with_context(|| {
            format!("nothing answers at {}: start the server first, `cargo run -p lab`, in another shell", self.url)
        })?;
        let status = response.status().as_u16();
        let body = response
            .json()
            .await
            .context("the server's answer is not JSON")?;
        Ok((status, body))
    }

    /// What a query answers, which must succeed.
    async fn data(&self, access: &str, task: Option<&str>, query: &str) -> Result<Value> {
        let (status, mut body) = self.post(access, task, query).await?;
        if status != 200 || !body["errors"].is_null() {
            bail!("the server at {} answered {status}: {body}", self.url);
        }
        Ok(body["data"].take())
    }

    /// How a query is refused, which it must be.
    async fn refusal(&self, access: &str, task: Option<&str>, query: &str) -> Result<String> {
        let (status, body) = self.post(access, task, query).await?;
        if status < 400 {
            bail!(
                "the server at {} should have refused this, but answered {status}: {body}",
                self.url
            );
        }
        let error = &body["errors"][0];
        let (reason, message) = (
            text(&error["extensions"]["reason"]),
            text(&error["message"]),
        );
        Ok(format!("refused with {status} {reason}: {message}"))
    }
}
