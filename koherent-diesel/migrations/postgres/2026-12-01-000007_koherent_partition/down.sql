-- Partitions keep the guards that they have.
DROP TRIGGER koherent_follow_partitions ON koherent_table;
DROP FUNCTION koherent_follow_partitions();

-- Guards partitions as their table is guarded: rows can be written to them by their own names. Call it again for partitions that
-- come later: `SELECT koherent_guard_partitions('readings')`.
CREATE OR REPLACE FUNCTION koherent_guard_partitions(partitioned regclass) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    trigger_name name;
    definition text;
    partition regclass;
    guarded integer := 0;
BEGIN
    FOR partition IN SELECT relid FROM pg_partition_tree(partitioned) WHERE relid <> partitioned LOOP
        FOR trigger_name, definition IN
            SELECT t.tgname, pg_get_triggerdef(t.oid) FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
            WHERE t.tgrelid = partitioned AND p.proname = 'koherent_guard'
                AND NOT EXISTS (SELECT FROM pg_trigger AS there WHERE there.tgrelid = partition AND there.tgname = t.tgname)
        LOOP
            EXECUTE regexp_replace(definition, ' ON .*? (REFERENCING|FOR EACH STATEMENT)', format(' ON %s \1', partition));
            guarded := guarded + 1;
        END LOOP;
    END LOOP;
    RETURN guarded;
END
$$;

DROP FUNCTION koherent_partitions(regclass);
DROP FUNCTION koherent_registered(text, text);
