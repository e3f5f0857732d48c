ALTER TABLE koherent_retired DROP COLUMN captures_triggers;
ALTER TABLE koherent_table DROP COLUMN captures_triggers;

DROP PROCEDURE IF EXISTS koherent_stamp;

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
