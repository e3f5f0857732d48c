DROP FUNCTION koherent_refuse_retired() CASCADE;
DROP TABLE koherent_retired;
ALTER TABLE koherent_table DROP COLUMN former_names;
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
            JOIN koherent_table AS t ON o.tracked_table = CASE t.tracked_schema WHEN '' THEN '' ELSE t.tracked_schema || '.' END || t.tracked_table
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
