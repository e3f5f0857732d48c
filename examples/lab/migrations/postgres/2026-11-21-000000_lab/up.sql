CREATE TABLE samples (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    note text,
    owner text NOT NULL,
    mass double precision,
    metadata json,
    created_at timestamptz NOT NULL,
    storage_code text NOT NULL
);

CREATE TABLE measurements (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sample_id bigint NOT NULL REFERENCES samples (id),
    kind text NOT NULL CHECK (kind <> ''),
    value double precision NOT NULL,
    unit text NOT NULL
);
CREATE INDEX measurements_sample ON measurements (sample_id);

CREATE TABLE tags (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    label text NOT NULL UNIQUE CHECK (label <> '')
);

CREATE TABLE sample_tags (
    sample_id bigint NOT NULL REFERENCES samples (id),
    tag_id bigint NOT NULL REFERENCES tags (id),
    PRIMARY KEY (sample_id, tag_id)
);
CREATE INDEX sample_tags_tag ON sample_tags (tag_id);

-- Their histories: what is listed in `audited_table!`, and to whom it is attributed. `storage_code` is excluded.
CREATE TABLE samples_history (
    history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id bigint NOT NULL,
    name text NOT NULL,
    note text,
    owner text NOT NULL,
    mass double precision,
    metadata json,
    created_at timestamptz NOT NULL,
    history_kind text NOT NULL CHECK (history_kind IN ('+', '~', '-')),
    history_date timestamptz NOT NULL,
    history_user text,
    history_client text,
    history_organization text,
    history_task text,
    history_transaction uuid NOT NULL,
    history_reason text,
    history_context json
);
CREATE INDEX samples_history_key ON samples_history (id, history_id);
CREATE INDEX samples_history_task ON samples_history (history_task);
CREATE INDEX samples_history_user ON samples_history (history_user, history_date);
CREATE INDEX samples_history_date ON samples_history (history_date);

CREATE TABLE measurements_history (
    history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id bigint NOT NULL,
    sample_id bigint NOT NULL,
    kind text NOT NULL,
    value double precision NOT NULL,
    unit text NOT NULL,
    history_kind text NOT NULL CHECK (history_kind IN ('+', '~', '-')),
    history_date timestamptz NOT NULL,
    history_user text,
    history_client text,
    history_organization text,
    history_task text,
    history_transaction uuid NOT NULL,
    history_reason text,
    history_context json
);
CREATE INDEX measurements_history_key ON measurements_history (id, history_id);
CREATE INDEX measurements_history_task ON measurements_history (history_task);
CREATE INDEX measurements_history_user ON measurements_history (history_user, history_date);
CREATE INDEX measurements_history_date ON measurements_history (history_date);

CREATE TABLE tags_history (
    history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id bigint NOT NULL,
    label text NOT NULL,
    history_kind text NOT NULL CHECK (history_kind IN ('+', '~', '-')),
    history_date timestamptz NOT NULL,
    history_user text,
    history_client text,
    history_organization text,
    history_task text,
    history_transaction uuid NOT NULL,
    history_reason text,
    history_context json
);
CREATE INDEX tags_history_key ON tags_history (id, history_id);
CREATE INDEX tags_history_task ON tags_history (history_task);
CREATE INDEX tags_history_user ON tags_history (history_user, history_date);
CREATE INDEX tags_history_date ON tags_history (history_date);

CREATE TABLE sample_tags_history (
    history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sample_id bigint NOT NULL,
    tag_id bigint NOT NULL,
    history_kind text NOT NULL CHECK (history_kind IN ('+', '~', '-')),
    history_date timestamptz NOT NULL,
    history_user text,
    history_client text,
    history_organization text,
    history_task text,
    history_transaction uuid NOT NULL,
    history_reason text,
    history_context json
);
CREATE INDEX sample_tags_history_key ON sample_tags_history (sample_id, tag_id, history_id);
CREATE INDEX sample_tags_history_tag ON sample_tags_history (tag_id, history_id);
CREATE INDEX sample_tags_history_task ON sample_tags_history (history_task);
CREATE INDEX sample_tags_history_user ON sample_tags_history (history_user, history_date);
CREATE INDEX sample_tags_history_date ON sample_tags_history (history_date);
