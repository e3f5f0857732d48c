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
