-- Guards that follow the application's own triggers: what these write as part of an audited statement is recorded with it.

-- Whether the rows of the audited statement itself are listed as well: triggers of the application may change them once more.
ALTER TABLE koherent_session ADD COLUMN watched INTEGER;

-- Rows that were changed as part of the audited statement that runs: the statement looks at them when it is done. They are listed
-- by their key alone, so that a guard names no other column. For a raw statement whose guard captures, the rows that are being
-- inserted (`BEFORE`). Always empty for others: it is cleared before the commit.
CREATE TABLE koherent_nested (
    nested_id INTEGER PRIMARY KEY,
    tracked_table TEXT NOT NULL,
    event TEXT NOT NULL,
    key_0, key_1, key_2, key_3, key_4, key_5, key_6, key_7, key_8, key_9, key_10, key_11, key_12, key_13, key_14, key_15
);

-- Foreign keys of tables under audit that delete rows of theirs. What they delete is refused where the guard refuses.
CREATE TABLE koherent_cascade (
    tracked_table TEXT NOT NULL,
    referenced_table TEXT NOT NULL,
    PRIMARY KEY (tracked_table, referenced_table)
) WITHOUT ROWID;

-- There where an audited statement runs, outside of a pause.
CREATE VIEW koherent_part AS
SELECT armed, since FROM koherent_session WHERE armed IS NOT NULL AND NOT EXISTS (SELECT 1 FROM koherent_pause);

-- There where none runs, outside of a pause.
CREATE VIEW koherent_raw AS
SELECT 1 AS is_raw FROM koherent_session WHERE armed IS NULL AND NOT EXISTS (SELECT 1 FROM koherent_pause);
