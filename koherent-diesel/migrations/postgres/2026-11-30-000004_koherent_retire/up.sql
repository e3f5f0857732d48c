-- Histories whose table is not under audit any more. They stay, and nothing is added to them.
CREATE TABLE koherent_retired (
    tracked_schema text NOT NULL,
    tracked_table text NOT NULL,
    history_schema text NOT NULL,
    history_table text NOT NULL,
    policy text NOT NULL,
    key_columns json NOT NULL,
    kept_columns json NOT NULL,
    history_columns json NOT NULL,
    excluded_columns json NOT NULL,
    kept_since json NOT NULL,
    retired_at timestamptz NOT NULL,
    retired_by text,
    retired_reason text,
    PRIMARY KEY (history_schema, history_table)
);

-- The names that a table had before: a JSON list. Recorded operations tell of the table by the name of their time.
ALTER TABLE koherent_table ADD COLUMN former_names json;

-- The trigger of tables to which rows are only added, as before; old entries of retired histories may be pruned as well.
CREATE OR REPLACE FUNCTION koherent_append_only() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    home text := (SELECT p.pronamespace::regnamespace::text FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
                  WHERE t.tgrelid = TG_RELID AND t.tgname = TG_NAME);
    running constant text := nullif(current_setting('koherent.operation', true), '');
BEGIN
    IF running IS NOT NULL AND TG_OP <> 'TRUNCATE' THEN
        PERFORM set_config('search_path', format('pg_catalog, %s, pg_temp', home), true);
        IF TG_OP = 'DELETE' AND EXISTS (
            SELECT FROM koherent_operation AS o
            JOIN (
                SELECT tracked_schema, tracked_table, history_schema, history_table FROM koherent_table
                UNION ALL SELECT tracked_schema, tracked_table, history_schema, history_table FROM koherent_retired
            ) AS t ON o.tracked_table = CASE t.tracked_schema WHEN '' THEN '' ELSE t.tracked_schema || '.' END || t.tracked_table
            WHERE o.operation = 'prune' AND o.operation_transaction = running::uuid AND t.history_table = TG_TABLE_NAME
                AND t.history_schema IN ('', TG_TABLE_SCHEMA)
        ) THEN
            RETURN NULL;
        END IF;
    END IF;
    RAISE EXCEPTION '% of % refused: rows are only added here; `koherent prune` is what deletes old entries', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'KO002', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = 'koherent_append_only';
END
$$;

-- The trigger of retired histories.
CREATE FUNCTION koherent_refuse_retired() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % refused: the history is retired', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'KO002', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = 'koherent_refuse_retired';
END
$$;
