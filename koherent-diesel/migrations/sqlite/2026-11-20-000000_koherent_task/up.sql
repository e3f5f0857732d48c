-- One row per task under which something was changed here. Rows are added, never changed.
CREATE TABLE koherent_task (
    task_id TEXT NOT NULL PRIMARY KEY,
    parent_task_id TEXT,
    root_task_id TEXT NOT NULL,
    assigner_sub TEXT NOT NULL,
    caller_sub TEXT NOT NULL,
    agent_sub TEXT NOT NULL,
    agent_client_id TEXT NOT NULL,
    issuer TEXT NOT NULL,
    token_id TEXT NOT NULL UNIQUE,
    args_hash TEXT NOT NULL,
    args_hash_algorithm TEXT NOT NULL,
    organization TEXT,
    created_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX koherent_task_parent ON koherent_task (parent_task_id);
CREATE INDEX koherent_task_root ON koherent_task (root_task_id);
