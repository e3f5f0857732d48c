-- What guards need: which tables are under audit and how, what was done to the audit itself, and what the open transaction says.

-- The tables under audit, as the migrations that made their history tables and guards declare them. Lists of columns are JSON.
CREATE TABLE koherent_table (
    tracked_schema TEXT NOT NULL,
    tracked_table TEXT NOT NULL,
    history_schema TEXT NOT NULL,
    history_table TEXT NOT NULL,
    policy TEXT NOT NULL CHECK (policy IN ('refuse', 'capture')),
    key_columns TEXT NOT NULL,
    kept_columns TEXT NOT NULL,
    history_columns TEXT NOT NULL,
    excluded_columns TEXT NOT NULL,
    -- Columns that came later: the last entry that knows nothing of them.
    kept_since TEXT NOT NULL,
    PRIMARY KEY (tracked_schema, tracked_table)
) WITHOUT ROWID;

-- What was done to the audit itself: pauses, pruned histories, baselines. With whom to ask, why, and how many rows.
CREATE TABLE koherent_operation (
    operation_id INTEGER PRIMARY KEY AUTOINCREMENT,
    operation TEXT NOT NULL CHECK (operation IN ('pause', 'prune', 'baseline')),
    operation_date TEXT NOT NULL,
    operation_user TEXT,
    operation_client TEXT,
    operation_organization TEXT,
    operation_task TEXT,
    operation_transaction TEXT NOT NULL,
    operation_reason TEXT,
    operation_context TEXT,
    tracked_table TEXT,
    created_rows BIGINT NOT NULL DEFAULT 0,
    updated_rows BIGINT NOT NULL DEFAULT 0,
    deleted_rows BIGINT NOT NULL DEFAULT 0,
    UNIQUE (operation_transaction, tracked_table)
);
CREATE INDEX koherent_operation_date ON koherent_operation (operation_date);

-- What the open transaction says, for the triggers. Whoever writes here holds the write lock, and clears it before the commit:
-- what others see is always empty.
CREATE TABLE koherent_session (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- Which guard is armed: `+`, `~`, `-` or `*` (insert or update), and the table.
    armed TEXT,
    -- The last entry before a delete, whose entries are written before the rows go.
    since BIGINT,
    -- Whose statement it is that runs, and whose transaction: JSON.
    statement_attribution TEXT,
    attribution TEXT,
    -- The recorded operation that is running.
    operation TEXT
);
INSERT INTO koherent_session (id) VALUES (1);
CREATE TRIGGER koherent_session_delete BEFORE DELETE ON koherent_session
BEGIN
    SELECT RAISE(ABORT, 'KO002: DELETE of koherent_session refused: its one row stays');
END;

-- The pause that is running, if it is recorded.
CREATE VIEW koherent_pause AS
SELECT o.*
FROM koherent_session AS s JOIN koherent_operation AS o ON o.operation_transaction = s.operation
WHERE o.operation = 'pause' AND o.tracked_table IS NULL;

-- A pause for a data migration in SQL: `INSERT INTO koherent_pause (operation_reason) VALUES ('why')`, the changes, `DELETE FROM
-- koherent_pause`; in one transaction.
CREATE TRIGGER koherent_pause_begin INSTEAD OF INSERT ON koherent_pause
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_transaction, operation_reason)
    SELECT 'pause', now, lower(random_id), NEW.operation_reason FROM koherent_said;
    UPDATE koherent_session SET operation = (SELECT operation_transaction FROM koherent_operation ORDER BY operation_id DESC LIMIT 1);
END;
CREATE TRIGGER koherent_pause_end INSTEAD OF DELETE ON koherent_pause
BEGIN
    UPDATE koherent_session SET operation = NULL;
END;

-- What is stamped on a captured entry. A raw statement's transaction has no name, so each row gets its own (a UUID of version 7).
CREATE VIEW koherent_said AS
SELECT
    now,
    json_extract(said, '$.user') AS user,
    json_extract(said, '$.client') AS client,
    json_extract(said, '$.organization') AS organization,
    json_extract(said, '$.task') AS task,
    coalesce(json_extract(said, '$.transaction'), random_id) AS transaction_id,
    random_id,
    json_extract(said, '$.reason') AS reason,
    coalesce(json_extract(said, '$.context'), '{}') AS context
FROM (
    SELECT
        coalesce(statement_attribution, attribution) AS said,
        strftime('%Y-%m-%d %H:%M:%f', 'now') || '000+00:00' AS now,
        substr(printf('%012X', CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)), 1, 8) || '-'
            || substr(printf('%012X', CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)), 9)
            || '-7' || substr(hex(randomblob(2)), 2) || '-A' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)) AS random_id
    FROM (SELECT 1) LEFT JOIN koherent_session
);

-- Makes sure that the task of the session has its row, and that it is the one that is meant: insert what the session says.
CREATE VIEW koherent_admit AS SELECT attribution AS said FROM koherent_session WHERE 0;
CREATE TRIGGER koherent_admit_task INSTEAD OF INSERT ON koherent_admit WHEN json_type(NEW.said, '$.task_row') = 'array'
BEGIN
    INSERT INTO koherent_task
    SELECT
        json_extract(NEW.said, '$.task_row[0]'), json_extract(NEW.said, '$.task_row[1]'), json_extract(NEW.said, '$.task_row[2]'),
        json_extract(NEW.said, '$.task_row[3]'), json_extract(NEW.said, '$.task_row[4]'), json_extract(NEW.said, '$.task_row[5]'),
        json_extract(NEW.said, '$.task_row[6]'), json_extract(NEW.said, '$.task_row[7]'), json_extract(NEW.said, '$.task_row[8]'),
        json_extract(NEW.said, '$.task_row[9]'), json_extract(NEW.said, '$.task_row[10]'), json_extract(NEW.said, '$.task_row[11]'),
        strftime('%Y-%m-%d %H:%M:%f', 'now') || '000+00:00'
    WHERE NOT EXISTS (
        SELECT 1 FROM koherent_task
        WHERE task_id = json_extract(NEW.said, '$.task_row[0]') OR token_id = json_extract(NEW.said, '$.task_row[8]')
    );
    SELECT RAISE(ABORT, 'KO003: the token''s id is known here under another task')
    FROM koherent_task
    WHERE token_id = json_extract(NEW.said, '$.task_row[8]') AND task_id <> json_extract(NEW.said, '$.task_row[0]');
    SELECT RAISE(ABORT, 'KO003: the task is known here with another description')
    FROM koherent_task
    WHERE task_id = json_extract(NEW.said, '$.task_row[0]') AND (
        parent_task_id IS NOT json_extract(NEW.said, '$.task_row[1]')
        OR root_task_id IS NOT json_extract(NEW.said, '$.task_row[2]')
        OR assigner_sub IS NOT json_extract(NEW.said, '$.task_row[3]')
        OR caller_sub IS NOT json_extract(NEW.said, '$.task_row[4]')
        OR agent_sub IS NOT json_extract(NEW.said, '$.task_row[5]')
        OR agent_client_id IS NOT json_extract(NEW.said, '$.task_row[6]')
        OR issuer IS NOT json_extract(NEW.said, '$.task_row[7]')
        OR args_hash IS NOT json_extract(NEW.said, '$.task_row[9]')
        OR args_hash_algorithm IS NOT json_extract(NEW.said, '$.task_row[10]')
        OR organization IS NOT json_extract(NEW.said, '$.task_row[11]')
    );
END;

-- Tasks and operations are only added. `INSERT OR REPLACE` runs no delete triggers, so it is met before it replaces.
CREATE TRIGGER koherent_task_update BEFORE UPDATE ON koherent_task
BEGIN
    SELECT RAISE(ABORT, 'KO002: UPDATE of koherent_task refused: rows are only added here; `koherent prune` is what deletes old entries');
END;
CREATE TRIGGER koherent_task_delete BEFORE DELETE ON koherent_task
BEGIN
    SELECT RAISE(ABORT, 'KO002: DELETE of koherent_task refused: rows are only added here; `koherent prune` is what deletes old entries');
END;
CREATE TRIGGER koherent_task_replace BEFORE INSERT ON koherent_task
WHEN EXISTS (SELECT 1 FROM koherent_task WHERE task_id = NEW.task_id OR token_id = NEW.token_id)
BEGIN
    SELECT RAISE(ABORT, 'KO002: INSERT of koherent_task refused: there is a row of that task or token already');
END;
CREATE TRIGGER koherent_operation_update BEFORE UPDATE ON koherent_operation
WHEN OLD.operation_transaction IS NOT (SELECT operation FROM koherent_session)
BEGIN
    SELECT RAISE(ABORT, 'KO002: UPDATE of koherent_operation refused: rows are only added here; `koherent prune` is what deletes old entries');
END;
CREATE TRIGGER koherent_operation_delete BEFORE DELETE ON koherent_operation
BEGIN
    SELECT RAISE(ABORT, 'KO002: DELETE of koherent_operation refused: rows are only added here; `koherent prune` is what deletes old entries');
END;
CREATE TRIGGER koherent_operation_replace BEFORE INSERT ON koherent_operation
WHEN EXISTS (
    SELECT 1 FROM koherent_operation
    WHERE operation_id = NEW.operation_id OR operation_transaction = NEW.operation_transaction AND tracked_table = NEW.tracked_table
)
BEGIN
    SELECT RAISE(ABORT, 'KO002: INSERT of koherent_operation refused: there is a row of that operation already');
END;
