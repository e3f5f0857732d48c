// The lab, driven by graphql-ws: queries, a mutation with the token of a task, a subscription. Says what it saw as JSON.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, access, task] = process.argv.slice(2);
const seen = {};

const client = createClient({
  url: url.replace("http:", "ws:"),
  webSocketImpl: WebSocket,
  connectionParams: { token: access },
  retryAttempts: 0,
});

const once = (operation) =>
  new Promise((resolve, reject) => {
    let answer;
    client.subscribe(operation, {
      next: (value) => (answer = value),
      error: reject,
      complete: () => resolve(answer),
    });
  });

// Over HTTP, as any client does it.
const post = async (query) => {
  const headers = { Authorization: `Bearer ${access}`, "Content-Type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query }) });
  return response.json();
};

const watched = [];
let told;
const two = new Promise((resolve) => (told = resolve));
const stop = client.subscribe(
  { query: 'subscription { provenance(table: "samples") { kind task { taskId } effectiveChanges { field newValue } } }' },
  {
    next: ({ data }) => {
      watched.push(`${data.provenance.kind} ${data.provenance.task?.taskId}`);
      if (watched.length === 2) told();
    },
    error: (error) => {
      console.error(error);
      process.exit(1);
    },
    complete: () => {},
  },
);
// The subscription stands when an operation behind it is answered.
await once({ query: "{ samples { id } }" });

const create = 'mutation { createSample(name: "from node") { id } }';
seen.refused = await once({ query: create }).catch((errors) => errors[0].extensions.reason);
const created = await once({ query: create, extensions: { rekuestTask: task } });
const id = created.data.createSample.id;
const rename = `mutation { updateSample(id: ${id}, name: "renamed") { name } }`;
seen.renamed = (await once({ query: rename, extensions: { rekuestTask: task } })).data.updateSample.name;
await two;
seen.watched = watched;
stop();

const provenance = `{ sample(id: "${id}") { id provenance { kind date user { sub } task { taskId agentClientId } effectiveChanges { field oldValue newValue } } } }`;
seen.overSocket = (await once({ query: provenance })).data.sample.provenance.map((entry) => entry.kind);
seen.overHttp = (await post(provenance)).data.sample.provenance.map((entry) => entry.task.taskId);
seen.filtered = (
  await post('{ samples(filters: { provenance: { taskId: "task-node", kind: CREATE } }) { id } }')
).data.samples.length;

await client.dispose();
console.log(JSON.stringify(seen));
