CREATE TABLE samples (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL CHECK (name <> ''),
    note TEXT,
    owner TEXT NOT NULL,
    mass DOUBLE,
    metadata TEXT,
    created_at TEXT NOT NULL,
    storage_code TEXT NOT NULL
);

-- The history of samples: what is listed in `audited_table!`, and to whom it is attributed. `storage_code` is excluded.
CREATE TABLE samples_history (
    history_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    note TEXT,
    owner TEXT NOT NULL,
    mass DOUBLE,
    metadata TEXT,
    created_at TEXT NOT NULL,
    history_kind TEXT NOT NULL CHECK (history_kind IN ('+', '~', '-')),
    history_date TEXT NOT NULL,
    history_user TEXT,
    history_client TEXT,
    history_organization TEXT,
    history_task TEXT,
    history_transaction TEXT NOT NULL,
    history_reason TEXT,
    history_context TEXT
);

CREATE INDEX samples_history_key ON samples_history (id, history_id);
CREATE INDEX samples_history_task ON samples_history (history_task);
CREATE INDEX samples_history_user ON samples_history (history_user, history_date);
CREATE INDEX samples_history_date ON samples_history (history_date);
