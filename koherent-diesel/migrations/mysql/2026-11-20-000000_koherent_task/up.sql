-- One row per task under which something was changed here. Rows are added, never changed.
CREATE TABLE koherent_task (
    task_id VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
    parent_task_id VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    root_task_id VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    assigner_sub TEXT CHARACTER SET utf8mb4 NOT NULL,
    caller_sub TEXT CHARACTER SET utf8mb4 NOT NULL,
    agent_sub TEXT CHARACTER SET utf8mb4 NOT NULL,
    agent_client_id TEXT CHARACTER SET utf8mb4 NOT NULL,
    issuer TEXT CHARACTER SET utf8mb4 NOT NULL,
    token_id VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL UNIQUE,
    args_hash TEXT CHARACTER SET utf8mb4 NOT NULL,
    args_hash_algorithm TEXT CHARACTER SET utf8mb4 NOT NULL,
    organization TEXT CHARACTER SET utf8mb4,
    created_at DATETIME(6) NOT NULL,
    INDEX koherent_task_parent (parent_task_id),
    INDEX koherent_task_root (root_task_id)
) ENGINE = InnoDB;
