-- The table of a registration, or nothing where there is none.
CREATE FUNCTION koherent_registered(tracked_schema text, tracked_table text) RETURNS regclass LANGUAGE sql STABLE AS $$
    SELECT to_regclass(CASE WHEN tracked_schema <> '' THEN quote_ident(tracked_schema) || '.' ELSE '' END || quote_ident(tracked_table))
$$;

-- The partitions of a table, at every level, that are guarded with it.
CREATE FUNCTION koherent_partitions(partitioned regclass) RETURNS SETOF regclass LANGUAGE sql STABLE AS $$
    SELECT tree.relid FROM pg_partition_tree(partitioned) AS tree JOIN pg_class AS c ON c.oid = tree.relid
    WHERE tree.relid <> partitioned AND c.relkind IN ('r', 'p')
        AND NOT EXISTS (SELECT FROM koherent_table WHERE koherent_registered(tracked_schema, tracked_table) = tree.relid)
$$;

-- Guards partitions as their table is guarded, and again where a trigger differs from the table's or is disabled. Partitions that
-- are under audit themselves keep their guards; foreign tables cannot have them. Returns how many triggers were made.
CREATE OR REPLACE FUNCTION koherent_guard_partitions(partitioned regclass) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    table_part constant text := ' ON .*? (REFERENCING|FOR EACH STATEMENT)';
    wanted record;
    present record;
    partition regclass;
    guarded integer := 0;
BEGIN
    FOR partition IN SELECT koherent_partitions(partitioned) LOOP
        FOR wanted IN
            SELECT t.tgname, pg_get_triggerdef(t.oid) AS definition FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
            WHERE t.tgrelid = partitioned AND p.proname = 'koherent_guard'
        LOOP
            SELECT pg_get_triggerdef(t.oid) AS definition, t.tgenabled IN ('O', 'A') AS is_enabled INTO present
            FROM pg_trigger AS t WHERE t.tgrelid = partition AND t.tgname = wanted.tgname;
            IF FOUND THEN
                CONTINUE WHEN present.is_enabled
                    AND regexp_replace(present.definition, table_part, ' \1') = regexp_replace(wanted.definition, table_part, ' \1');
                EXECUTE format('DROP TRIGGER %I ON %s', wanted.tgname, partition);
            END IF;
            EXECUTE regexp_replace(wanted.definition, table_part, ' ON ' || replace(partition::text, '\', '\\') || ' \1');
            guarded := guarded + 1;
        END LOOP;
    END LOOP;
    RETURN guarded;
END
$$;

-- The guard of a table comes to its partitions with the registration, and goes with it.
CREATE FUNCTION koherent_follow_partitions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unguarded record;
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM koherent_guard_partitions(koherent_registered(NEW.tracked_schema, NEW.tracked_table));
        RETURN NULL;
    END IF;
    FOR unguarded IN
        SELECT t.tgname, t.tgrelid::regclass AS relation
        FROM koherent_partitions(koherent_registered(OLD.tracked_schema, OLD.tracked_table)) AS partition
        JOIN pg_trigger AS t ON t.tgrelid = partition JOIN pg_proc AS p ON p.oid = t.tgfoid AND p.proname = 'koherent_guard'
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', unguarded.tgname, unguarded.relation);
    END LOOP;
    RETURN NULL;
END
$$;

CREATE TRIGGER koherent_follow_partitions AFTER INSERT OR DELETE ON koherent_table
    FOR EACH ROW EXECUTE FUNCTION koherent_follow_partitions();

-- Partitions of tables that are guarded already.
DO $$
BEGIN
    PERFORM koherent_guard_partitions(koherent_registered(tracked_schema, tracked_table)) FROM koherent_table;
END
$$;
