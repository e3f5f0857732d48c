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
