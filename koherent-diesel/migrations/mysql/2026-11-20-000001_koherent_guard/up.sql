-- What guards need: which tables are under audit and how, and what was done to the audit itself.

-- The tables under audit, as the migrations that made their history tables and guards declare them. Lists of columns are JSON.
CREATE TABLE koherent_table (
    tracked_schema VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    tracked_table VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    history_schema VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    history_table VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    policy VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL CHECK (policy IN ('refuse', 'capture')),
    key_columns TEXT CHARACTER SET utf8mb4 NOT NULL,
    kept_columns TEXT CHARACTER SET utf8mb4 NOT NULL,
    history_columns TEXT CHARACTER SET utf8mb4 NOT NULL,
    excluded_columns TEXT CHARACTER SET utf8mb4 NOT NULL,
    -- Columns that came later: the last entry that knows nothing of them.
    kept_since TEXT CHARACTER SET utf8mb4 NOT NULL,
    PRIMARY KEY (tracked_schema, tracked_table)
) ENGINE = InnoDB;

-- What was done to the audit itself: pauses, pruned histories, baselines. With whom to ask, why, and how many rows.
CREATE TABLE koherent_operation (
    operation_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    operation VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL CHECK (operation IN ('pause', 'prune', 'baseline')),
    operation_date DATETIME(6) NOT NULL,
    operation_user TEXT CHARACTER SET utf8mb4,
    operation_client TEXT CHARACTER SET utf8mb4,
    operation_organization TEXT CHARACTER SET utf8mb4,
    operation_task TEXT CHARACTER SET utf8mb4,
    operation_transaction CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    operation_reason TEXT CHARACTER SET utf8mb4,
    operation_context LONGTEXT CHARACTER SET utf8mb4,
    tracked_table VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    created_rows BIGINT NOT NULL DEFAULT 0,
    updated_rows BIGINT NOT NULL DEFAULT 0,
    deleted_rows BIGINT NOT NULL DEFAULT 0,
    UNIQUE (operation_transaction, tracked_table),
    INDEX koherent_operation_date (operation_date)
) ENGINE = InnoDB;

-- Counts rows that are changed while a pause is recorded. Says whether there is one.
CREATE PROCEDURE koherent_count_paused(
    IN paused_table VARCHAR(64) CHARACTER SET utf8mb4, IN created BIGINT, IN updated BIGINT, IN deleted BIGINT, OUT is_paused BOOLEAN
)
BEGIN
    DECLARE running CHAR(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT CONVERT(@koherent_operation USING ascii);
    SET is_paused = running IS NOT NULL AND EXISTS (
        SELECT 1 FROM koherent_operation WHERE operation = 'pause' AND operation_transaction = running AND tracked_table IS NULL
    );
    IF is_paused THEN
        INSERT INTO koherent_operation (
            operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction,
            operation_reason, operation_context, tracked_table
        )
        SELECT p.operation, p.operation_date, p.operation_user, p.operation_client, p.operation_organization, p.operation_task,
            p.operation_transaction, p.operation_reason, p.operation_context, paused_table
        FROM koherent_operation AS p
        WHERE p.operation_transaction = running AND p.tracked_table IS NULL AND NOT EXISTS (
            SELECT 1 FROM koherent_operation AS o
            WHERE o.operation_transaction = running AND o.tracked_table = paused_table COLLATE utf8mb4_bin
        );
        UPDATE koherent_operation
        SET created_rows = created_rows + created, updated_rows = updated_rows + updated, deleted_rows = deleted_rows + deleted
        WHERE operation_transaction = running AND tracked_table = paused_table COLLATE utf8mb4_bin;
    END IF;
END;

-- Makes sure that the task of an attribution has its row, and that it is the one that is meant.
CREATE PROCEDURE koherent_admit_said_task(IN said LONGTEXT CHARACTER SET utf8mb4)
BEGIN
    DECLARE others INT;
    IF JSON_EXTRACT(said, '$.task_row[0]') IS NOT NULL THEN
        INSERT IGNORE INTO koherent_task (
            task_id, parent_task_id, root_task_id, assigner_sub, caller_sub, agent_sub, agent_client_id, issuer, token_id, args_hash,
            args_hash_algorithm, organization, created_at
        ) VALUES (
            JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[0]')), IF(JSON_TYPE(JSON_EXTRACT(said, '$.task_row[1]')) = 'NULL', NULL, JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[1]'))),
            JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[2]')), JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[3]')),
            JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[4]')), JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[5]')),
            JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[6]')), JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[7]')),
            JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[8]')), JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[9]')),
            JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[10]')), IF(JSON_TYPE(JSON_EXTRACT(said, '$.task_row[11]')) = 'NULL', NULL, JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[11]'))),
            UTC_TIMESTAMP(6)
        );
        SELECT COUNT(*) INTO others FROM koherent_task
        WHERE token_id = JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[8]')) COLLATE utf8mb4_bin
            AND task_id <> JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[0]')) COLLATE utf8mb4_bin;
        IF others > 0 THEN
            SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'KO003: the token''s id is known here under another task';
        END IF;
        SELECT COUNT(*) INTO others FROM koherent_task
        WHERE task_id = JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[0]')) COLLATE utf8mb4_bin
            AND BINARY parent_task_id <=> BINARY IF(JSON_TYPE(JSON_EXTRACT(said, '$.task_row[1]')) = 'NULL', NULL, JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[1]')))
            AND BINARY root_task_id <=> BINARY JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[2]'))
            AND BINARY assigner_sub <=> BINARY JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[3]'))
            AND BINARY caller_sub <=> BINARY JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[4]'))
            AND BINARY agent_sub <=> BINARY JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[5]'))
            AND BINARY agent_client_id <=> BINARY JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[6]'))
            AND BINARY issuer <=> BINARY JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[7]'))
            AND BINARY args_hash <=> BINARY JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[9]'))
            AND BINARY args_hash_algorithm <=> BINARY JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[10]'))
            AND BINARY organization <=> BINARY IF(JSON_TYPE(JSON_EXTRACT(said, '$.task_row[11]')) = 'NULL', NULL, JSON_UNQUOTE(JSON_EXTRACT(said, '$.task_row[11]')))
        LOCK IN SHARE MODE;
        IF others = 0 THEN
            SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'KO003: the task is known here with another description';
        END IF;
    END IF;
END;

-- What is stamped on a captured entry: what the session says, or else the role. The entries of one statement share a transaction (a UUID of version 7), where the session says none.
CREATE PROCEDURE koherent_stamp(
    IN captured_event VARCHAR(10) CHARACTER SET ascii, OUT said_user LONGTEXT CHARACTER SET utf8mb4, OUT said_client LONGTEXT CHARACTER SET utf8mb4,
    OUT said_organization LONGTEXT CHARACTER SET utf8mb4, OUT said_task LONGTEXT CHARACTER SET utf8mb4,
    OUT said_transaction CHAR(36) CHARACTER SET ascii, OUT said_reason LONGTEXT CHARACTER SET utf8mb4,
    OUT said_context LONGTEXT CHARACTER SET utf8mb4
)
BEGIN
    DECLARE said LONGTEXT CHARACTER SET utf8mb4 DEFAULT COALESCE(@koherent_statement, @koherent_attribution);
    DECLARE milliseconds CHAR(12) CHARACTER SET ascii;
    DECLARE random CHAR(32) CHARACTER SET ascii;
    SET said_user = IF(said IS NULL, USER(), JSON_UNQUOTE(JSON_EXTRACT(said, '$.user')));
    SET said_client = JSON_UNQUOTE(JSON_EXTRACT(said, '$.client'));
    SET said_organization = JSON_UNQUOTE(JSON_EXTRACT(said, '$.organization'));
    SET said_task = JSON_UNQUOTE(JSON_EXTRACT(said, '$.task'));
    SET said_reason = JSON_UNQUOTE(JSON_EXTRACT(said, '$.reason'));
    SET said_context = JSON_SET(
        COALESCE(JSON_EXTRACT(said, '$.context'), '{}'), '$.captured', captured_event, '$.database_role', USER()
    );
    SET said_transaction = JSON_UNQUOTE(JSON_EXTRACT(said, '$.transaction'));
    IF said_transaction IS NULL THEN
        IF NOT (@koherent_raw_statement <=> NOW(6)) THEN
            SET milliseconds = LPAD(LOWER(HEX(FLOOR(UNIX_TIMESTAMP(NOW(3)) * 1000))), 12, '0');
            SET random = MD5(CONCAT(UUID(), RAND()));
            SET @koherent_raw_statement = NOW(6);
            SET @koherent_raw_transaction = CONCAT(
                LEFT(milliseconds, 8), '-', RIGHT(milliseconds, 4), '-7', SUBSTR(random, 1, 3), '-a', SUBSTR(random, 4, 3), '-', SUBSTR(random, 7, 12)
            );
        END IF;
        SET said_transaction = @koherent_raw_transaction;
    END IF;
    CALL koherent_admit_said_task(said);
END;

-- Tasks and operations are only added. TRUNCATE runs no triggers, so a table that stays empty refers to them.
CREATE TRIGGER koherent_task_update BEFORE UPDATE ON koherent_task FOR EACH ROW
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'KO002: UPDATE of koherent_task refused: rows are only added here; `koherent prune` is what deletes old entries';
CREATE TRIGGER koherent_task_delete BEFORE DELETE ON koherent_task FOR EACH ROW
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'KO002: DELETE of koherent_task refused: rows are only added here; `koherent prune` is what deletes old entries';
CREATE TABLE koherent_keeps_task (
    id VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    CONSTRAINT `TRUNCATE of koherent_task refused: rows are only added here`
        FOREIGN KEY (id) REFERENCES koherent_task (task_id)
) ENGINE = InnoDB;
CREATE TRIGGER koherent_operation_update BEFORE UPDATE ON koherent_operation FOR EACH ROW
    IF NOT (OLD.operation_transaction <=> CONVERT(@koherent_operation USING ascii) COLLATE ascii_bin) THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'KO002: UPDATE of koherent_operation refused: rows are only added here; `koherent prune` is what deletes old entries';
    END IF;
CREATE TRIGGER koherent_operation_delete BEFORE DELETE ON koherent_operation FOR EACH ROW
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'KO002: DELETE of koherent_operation refused: rows are only added here; `koherent prune` is what deletes old entries';
CREATE TABLE koherent_keeps_operation (
    id BIGINT,
    CONSTRAINT `TRUNCATE of koherent_operation refused: rows are only added here`
        FOREIGN KEY (id) REFERENCES koherent_operation (operation_id)
) ENGINE = InnoDB;

-- A pause for a data migration in SQL: `CALL koherent_begin_pause('why')`, the changes, `CALL koherent_end_pause()`.
CREATE PROCEDURE koherent_begin_pause(IN reason TEXT CHARACTER SET utf8mb4)
BEGIN
    DECLARE pause CHAR(36) CHARACTER SET ascii DEFAULT UUID();
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_transaction, operation_reason)
    VALUES ('pause', UTC_TIMESTAMP(6), USER(), pause, reason);
    SET @koherent_operation = pause;
END;
CREATE PROCEDURE koherent_end_pause()
    SET @koherent_operation = NULL;
