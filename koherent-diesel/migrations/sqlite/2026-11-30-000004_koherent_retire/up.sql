-- Histories whose table is not under audit any more. They stay, and nothing is added to them.
CREATE TABLE koherent_retired (
    tracked_schema TEXT NOT NULL,
    tracked_table TEXT NOT NULL,
    history_schema TEXT NOT NULL,
    history_table TEXT NOT NULL,
    policy TEXT NOT NULL,
    key_columns TEXT NOT NULL,
    kept_columns TEXT NOT NULL,
    history_columns TEXT NOT NULL,
    excluded_columns TEXT NOT NULL,
    kept_since TEXT NOT NULL,
    retired_at TEXT NOT NULL,
    retired_by TEXT,
    retired_reason TEXT,
    PRIMARY KEY (history_schema, history_table)
) WITHOUT ROWID;

-- The names that a table had before: a JSON list. Recorded operations tell of the table by the name of their time.
ALTER TABLE koherent_table ADD COLUMN former_names TEXT;
