CREATE TABLE measurements (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    sample_id BIGINT NOT NULL REFERENCES samples (id),
    kind TEXT NOT NULL CHECK (kind <> ''),
    value DOUBLE NOT NULL,
    unit TEXT NOT NULL
);
CREATE INDEX measurements_sample ON measurements (sample_id);

CREATE TABLE tags (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    label TEXT NOT NULL UNIQUE CHECK (label <> '')
);

CREATE TABLE sample_tags (
    sample_id BIGINT NOT NULL REFERENCES samples (id),
    tag_id BIGINT NOT NULL REFERENCES tags (id),
    PRIMARY KEY (sample_id, tag_id)
);
CREATE INDEX sample_tags_tag ON sample_tags (tag_id);

-- Their histories.
CREATE TABLE measurements_history (
    history_id INTEGER PRIMARY KEY AUTOINCREMENT,
    id BIGINT NOT NULL,
    sample_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    value DOUBLE NOT NULL,
    unit TEXT NOT NULL,
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
CREATE INDEX measurements_history_key ON measurements_history (id, history_id);
CREATE INDEX measurements_history_task ON measurements_history (history_task);
CREATE INDEX measurements_history_user ON measurements_history (history_user, history_date);
CREATE INDEX measurements_history_date ON measurements_history (history_date);

CREATE TABLE tags_history (
    history_id INTEGER PRIMARY KEY AUTOINCREMENT,
    id BIGINT NOT NULL,
    label TEXT NOT NULL,
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
CREATE INDEX tags_history_key ON tags_history (id, history_id);
CREATE INDEX tags_history_task ON tags_history (history_task);
CREATE INDEX tags_history_user ON tags_history (history_user, history_date);
CREATE INDEX tags_history_date ON tags_history (history_date);

CREATE TABLE sample_tags_history (
    history_id INTEGER PRIMARY KEY AUTOINCREMENT,
    sample_id BIGINT NOT NULL,
    tag_id BIGINT NOT NULL,
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
CREATE INDEX sample_tags_history_key ON sample_tags_history (sample_id, tag_id, history_id);
CREATE INDEX sample_tags_history_tag ON sample_tags_history (tag_id, history_id);
CREATE INDEX sample_tags_history_task ON sample_tags_history (history_task);
CREATE INDEX sample_tags_history_user ON sample_tags_history (history_user, history_date);
CREATE INDEX sample_tags_history_date ON sample_tags_history (history_date);
