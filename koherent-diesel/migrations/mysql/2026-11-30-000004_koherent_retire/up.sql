-- Histories whose table is not under audit any more. They stay, and nothing is added to them.
CREATE TABLE koherent_retired (
    tracked_schema VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    tracked_table VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    history_schema VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    history_table VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    policy VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    key_columns TEXT CHARACTER SET utf8mb4 NOT NULL,
    kept_columns TEXT CHARACTER SET utf8mb4 NOT NULL,
    history_columns TEXT CHARACTER SET utf8mb4 NOT NULL,
    excluded_columns TEXT CHARACTER SET utf8mb4 NOT NULL,
    kept_since TEXT CHARACTER SET utf8mb4 NOT NULL,
    retired_at DATETIME(6) NOT NULL,
    retired_by TEXT CHARACTER SET utf8mb4,
    retired_reason TEXT CHARACTER SET utf8mb4,
    PRIMARY KEY (history_schema, history_table)
) ENGINE = InnoDB;

-- The names that a table had before: a JSON list. Recorded operations tell of the table by the name of their time.
ALTER TABLE koherent_table ADD COLUMN former_names TEXT CHARACTER SET utf8mb4;

-- A table's name, with its schema.
ALTER TABLE koherent_operation MODIFY COLUMN tracked_table VARCHAR(129) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
