-- Guards that follow the application's own triggers and migrations.
--
-- A row that one statement and its triggers write several times is told of by what they leave behind; a guard knows its table
-- by its identity, not by its name; and no history pins a type of the application.

-- The type in which a history keeps values of another one. A type of the application's own (an enum, a domain, a composite, one
-- of an extension) may be replaced by a migration of the application, so its values are kept as text, and those of a domain as
-- the type under it. Lengths and precisions are left out: the table itself observes them, and they may grow.
CREATE FUNCTION koherent_kept_type(type oid) RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t pg_type%ROWTYPE;
    is_array boolean := false;
    is_own boolean;
BEGIN
    LOOP
        SELECT * INTO t FROM pg_type WHERE oid = type;
        IF t.typtype = 'd' THEN
            type := t.typbasetype;
        ELSIF t.typcategory = 'A' AND t.typelem <> 0 AND NOT is_array THEN
            is_array := true;
            type := t.typelem;
        ELSE
            EXIT;
        END IF;
    END LOOP;
    is_own := t.typnamespace <> 'pg_catalog'::regnamespace
        OR EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = t.oid AND deptype = 'e');
    RETURN CASE WHEN is_own THEN 'text' ELSE format_type(t.oid, -1) END || CASE WHEN is_array THEN '[]' ELSE '' END;
END
$$;

-- Gives the columns of a history the types in which it keeps their values.
CREATE FUNCTION koherent_keep_types(history regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changes text := (
        SELECT string_agg(format('ALTER COLUMN %1$I TYPE %2$s USING %1$I::%2$s', attname, kept), ', ' ORDER BY attnum)
        FROM pg_attribute, LATERAL (SELECT koherent_kept_type(atttypid)) AS type (kept)
        WHERE attrelid = history AND attnum > 0 AND NOT attisdropped AND kept <> format_type(atttypid, atttypmod));
BEGIN
    IF changes IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %s %s', history, changes);
    END IF;
END
$$;

-- The trigger of guarded tables: after each statement that was not armed by an audited one. Its arguments are the policy, the
-- schema (or nothing, for that of the table) and the name of the history table, the columns of the key, the kept columns, and
-- their names in the history table.
--
-- Where a trigger or a function has changed the table as part of the same statement, the transition tables no longer tell in
-- which order the values came to be. Then an entry is what lies between the latest entry of a row and the row itself.
CREATE OR REPLACE FUNCTION koherent_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
    policy constant text := TG_ARGV[0];
    -- The schema of this function, and of all that the migrations made beside it.
    home text := (SELECT p.pronamespace::regnamespace::text FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
                  WHERE t.tgrelid = TG_RELID AND t.tgname = TG_NAME);
    -- What the audited statement says whose part this is (a cascade, a trigger), or else what the whole transaction says.
    now_running constant text := statement_timestamp()::text || ' ';
    statement_says constant text := current_setting('koherent.statement', true);
    is_part constant boolean := coalesce(starts_with(statement_says, now_running), false);
    said json := CASE WHEN is_part THEN substr(statement_says, length(now_running) + 1)
                 ELSE nullif(current_setting('koherent.attribution', true), '') END::json;
    pause text := nullif(current_setting('koherent.operation', true), '');
    is_nested constant boolean := pg_trigger_depth() > 1;
    -- Says, for the statement that runs, that entries of this table were captured already.
    captured_before constant text := 'koherent.captured_' || TG_RELID;
    is_interleaved constant boolean := is_part OR is_nested
        OR coalesce(current_setting(captured_before, true) = now_running, false);
    changed_rows bigint;
    role text;
    helper text;
    caller text;
    history regclass;
    full_name constant text := format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME);
    kept text;
    kept_there text;
    kept_old text;
    kept_new text;
    unkept text;
    row_differs text;
    same_key text;
    same_key_alive text;
    same_key_there text;
    key_of_row text;
    is_being_inserted text := 'false';
    changed text;
    is_missing boolean := true;
    context json;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        EXECUTE format('SELECT count(*) FROM %s', full_name) INTO changed_rows;
    ELSIF TG_OP = 'INSERT' THEN
        changed_rows := (SELECT count(*) FROM koherent_new);
    ELSE
        changed_rows := (SELECT count(*) FROM koherent_old);
    END IF;
    -- Something that the audited statement calls has used its arms: whose rows are whose, nobody knows.
    IF is_part AND current_setting('koherent.twice', true) = TG_RELID || ' ' || TG_OP THEN
        RAISE EXCEPTION '% of % refused, it would leave no history: a function that the audited statement calls changes the table as well',
            TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'KO001', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = 'koherent_guard';
    END IF;
    -- Cascades run their statement also where there is nothing to do. A TRUNCATE sees more than its transaction does.
    IF changed_rows = 0 AND TG_OP <> 'TRUNCATE' THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('search_path', format('pg_catalog, %s, pg_temp', home), true);
    role := koherent_role();

    IF pause IS NOT NULL THEN
        INSERT INTO koherent_operation AS o (
            operation, operation_date, operation_user, operation_client, operation_organization, operation_task,
            operation_transaction, operation_reason, operation_context, tracked_table, created_rows, updated_rows, deleted_rows
        )
        SELECT operation, clock_timestamp(), operation_user, operation_client, operation_organization, operation_task,
            operation_transaction, operation_reason, operation_context, TG_TABLE_NAME,
            CASE TG_OP WHEN 'INSERT' THEN changed_rows ELSE 0 END, CASE TG_OP WHEN 'UPDATE' THEN changed_rows ELSE 0 END,
            CASE WHEN TG_OP IN ('DELETE', 'TRUNCATE') THEN changed_rows ELSE 0 END
        FROM koherent_operation WHERE operation = 'pause' AND operation_transaction = pause::uuid AND tracked_table IS NULL
        ON CONFLICT (operation_transaction, tracked_table) DO UPDATE SET
            created_rows = o.created_rows + excluded.created_rows, updated_rows = o.updated_rows + excluded.updated_rows,
            deleted_rows = o.deleted_rows + excluded.deleted_rows;
        IF FOUND THEN
            RETURN NULL;
        END IF;
        -- Nobody has said why: this is no pause.
    END IF;

    -- What a trigger writes as part of an audited statement has not gone past the audit.
    IF policy = 'refuse' AND is_nested AND NOT is_part THEN
        GET DIAGNOSTICS caller = PG_CONTEXT;
        caller := substring(caller FROM E'\n(?:PL/pgSQL|SQL) function "?([^"(\n]+)');
        caller := coalesce((SELECT format('the trigger %s of %s', t.tgname, t.tgrelid::regclass)
                            FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
                            WHERE p.proname = caller ORDER BY t.tgrelid = TG_RELID DESC LIMIT 1), 'a trigger');
        RAISE EXCEPTION '% of % refused, it would leave no history: % makes it as part of a statement that is not audited',
            TG_OP, TG_TABLE_NAME, caller
            USING ERRCODE = 'KO001', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = 'koherent_guard',
                  HINT = format('Make that statement with audited_insert, audited_update or audited_delete: what its triggers write '
                                'is recorded with it. Or give %s a guard that captures.', TG_TABLE_NAME);
    END IF;

    history := to_regclass(format('%I.%I', coalesce(nullif(TG_ARGV[1], ''), TG_TABLE_SCHEMA), TG_ARGV[2]));
    IF history IS NULL THEN
        RAISE EXCEPTION '% of % refused, it would leave no history: the history % is not there', TG_OP, TG_TABLE_NAME, TG_ARGV[2]
            USING ERRCODE = 'KO001', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = 'koherent_guard',
                  HINT = 'If it was renamed, give it its name back; if it is lost, restore it from a backup.';
    END IF;
    -- Columns as they are now: those that are gone are left empty, and what a history cannot hold any more is kept as text beside
    -- the context, until a migration follows. Values of one type are compared as records, byte by byte.
    SELECT string_agg(format('r.%I', name), ', ' ORDER BY at) FILTER (WHERE fits),
           string_agg(format('%I', there), ', ' ORDER BY at) FILTER (WHERE fits),
           string_agg(format('o.%I', name), ', ' ORDER BY at), string_agg(format('n.%I', name), ', ' ORDER BY at),
           string_agg(format('%L, r.%I::text', name, name), ', ' ORDER BY at) FILTER (WHERE NOT fits),
           concat_ws(' OR ',
               'CAST(ROW(' || string_agg(format('l.%I', name), ', ' ORDER BY at) FILTER (WHERE fits AND is_same) || ') AS record) *<> CAST(ROW('
                   || string_agg(format('h.%I', there), ', ' ORDER BY at) FILTER (WHERE fits AND is_same) || ') AS record)',
               string_agg(format('l.%I::text IS DISTINCT FROM h.%I::text', name, there), ' OR ' ORDER BY at) FILTER (WHERE fits AND NOT is_same)),
           string_agg(format(CASE WHEN is_same THEN 'h.%I = t.%I' ELSE 'h.%I = CAST(t.%I AS ' || type_there || ')' END, there, name), ' AND ')
               FILTER (WHERE is_key),
           string_agg(format('o.%I', name), ', ' ORDER BY at) FILTER (WHERE is_key),
           string_agg(format('l.%I = t.%I', name, name), ' AND ') FILTER (WHERE is_key)
        INTO kept, kept_there, kept_old, kept_new, unkept, row_differs, same_key_there, key_of_row, same_key_alive
    FROM (
        SELECT c.name, c.there, c.at, c.name = ANY (TG_ARGV[3]::text[]) AS is_key, b.atttypid = h.atttypid AS is_same,
            format_type(h.atttypid, h.atttypmod) AS type_there,
            CASE WHEN b.atttypid = h.atttypid THEN h.atttypmod IN (-1, b.atttypmod)
                 ELSE koherent_kept_type(b.atttypid) = format_type(h.atttypid, h.atttypmod) OR h.atttypid = 'text'::regtype
                      OR EXISTS (SELECT FROM pg_cast WHERE castsource = b.atttypid AND casttarget = h.atttypid AND castcontext = 'i')
            END AS fits
        FROM unnest(TG_ARGV[4]::text[], TG_ARGV[5]::text[]) WITH ORDINALITY AS c (name, there, at)
        JOIN pg_attribute AS b ON b.attrelid = TG_RELID AND b.attname = c.name AND b.attnum > 0 AND NOT b.attisdropped
        JOIN pg_attribute AS h ON h.attrelid = history AND h.attname = c.there AND h.attnum > 0 AND NOT h.attisdropped
    ) AS columns;
    IF (SELECT count(*) FROM regexp_matches(key_of_row, 'o\.', 'g')) IS DISTINCT FROM cardinality(TG_ARGV[3]::text[])::bigint THEN
        RAISE EXCEPTION '% of % refused, it would leave no history: its guard knows the key (%), which is not there any more',
            TG_OP, TG_TABLE_NAME, array_to_string(TG_ARGV[3]::text[], ', ')
            USING ERRCODE = 'KO001', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = 'koherent_guard',
                  HINT = format('Run the command `koherent migration generate %s`, and the migration that it writes.', TG_TABLE_NAME);
    END IF;
    same_key := (SELECT format('CAST(ROW(%s) AS record) *= CAST(ROW(%s) AS record)',
                               string_agg(format('o.%I', name), ', ' ORDER BY at), string_agg(format('n.%I', name), ', ' ORDER BY at))
                 FROM unnest(TG_ARGV[3]::text[]) WITH ORDINALITY AS names (name, at));
    IF TG_OP IN ('UPDATE', 'DELETE') AND (SELECT relkind = 'r' AND relhassubclass FROM pg_class WHERE oid = TG_RELID) THEN
        -- Rows of a child table have no entry here: what is deleted without one is taken for such a row.
        EXECUTE format(CASE TG_OP
            WHEN 'UPDATE' THEN 'SELECT EXISTS (SELECT FROM koherent_new AS t WHERE NOT EXISTS (SELECT FROM ONLY %1$s AS l WHERE %2$s))'
            ELSE 'SELECT EXISTS (SELECT FROM koherent_old AS t WHERE coalesce((SELECT h.history_kind = ''-'' FROM %3$s AS h WHERE %4$s '
                 'ORDER BY h.history_id DESC LIMIT 1), true))' END,
            full_name, same_key_alive, history, same_key_there) INTO is_missing;
        IF is_missing THEN
            PERFORM koherent_row_of_child(TG_RELID, inhrelid) FROM pg_inherits WHERE inhparent = TG_RELID LIMIT 1;
        END IF;
        is_missing := true;
    END IF;
    IF TG_OP = 'TRUNCATE' THEN
        changed := format('SELECT *, ''-'' AS koherent_kind FROM %s', full_name);
    ELSIF NOT is_interleaved THEN
        changed := CASE TG_OP
            WHEN 'INSERT' THEN 'SELECT *, ''+'' AS koherent_kind FROM koherent_new'
            WHEN 'DELETE' THEN 'SELECT *, ''-'' AS koherent_kind FROM koherent_old'
            -- The history is that of a key: where an update moves rows, keys come and go.
            ELSE format(
                'SELECT o.*, ''-'' AS koherent_kind FROM koherent_old AS o WHERE NOT EXISTS (SELECT FROM koherent_new AS n WHERE %1$s) '
                'UNION ALL SELECT n.*, ''+'' FROM koherent_new AS n WHERE NOT EXISTS (SELECT FROM koherent_old AS o WHERE %1$s) '
                'UNION ALL SELECT n.*, ''~'' FROM koherent_old AS o JOIN koherent_new AS n ON %1$s '
                'WHERE CAST(ROW(%2$s) AS record) *<> CAST(ROW(%3$s) AS record)',
                same_key, kept_old, kept_new)
        END;
    ELSE
        -- A row without entries is one that the statement around this one inserts, or one that was there before its history.
        IF is_nested THEN
            is_being_inserted := (SELECT (coalesce(sum(pg_stat_get_xact_tuples_inserted(relation)), 0) > 0
                                          OR NOT current_setting('track_counts')::boolean)::text
                                  FROM (SELECT TG_RELID UNION SELECT relid FROM pg_partition_tree(TG_RELID)) AS r (relation));
        END IF;
        changed := CASE TG_OP
            WHEN 'INSERT' THEN 'SELECT n.*, true AS koherent_is_new FROM koherent_new AS n'
            WHEN 'DELETE' THEN 'SELECT o.*, false AS koherent_is_new FROM koherent_old AS o'
            ELSE format(
                'SELECT o.*, false AS koherent_is_new FROM koherent_old AS o WHERE NOT EXISTS (SELECT FROM koherent_new AS n WHERE %1$s) '
                'UNION ALL SELECT n.*, true FROM koherent_new AS n WHERE NOT EXISTS (SELECT FROM koherent_old AS o WHERE %1$s) '
                'UNION ALL SELECT n.*, false FROM koherent_old AS o JOIN koherent_new AS n ON %1$s '
                'WHERE CAST(ROW(%2$s) AS record) *<> CAST(ROW(%3$s) AS record)',
                same_key, kept_old, kept_new)
        END;
        changed := format(
            'WITH t AS MATERIALIZED (SELECT DISTINCT ON (%5$s) o.* FROM (%1$s) AS o), '
            'g AS (SELECT t.*, e.alive FROM t LEFT JOIN LATERAL (SELECT h.history_kind <> ''-'' AS alive FROM %3$s AS h WHERE %4$s '
            'ORDER BY h.history_id DESC LIMIT 1) AS e ON true WHERE NOT EXISTS (SELECT FROM %2$s AS l WHERE %6$s)) '
            -- Rows that are gone. One that was inserted by the same statement has an entry of that as well.
            'SELECT %8$s, ''+'' AS koherent_kind FROM g AS l WHERE l.alive IS NULL AND NOT l.koherent_is_new AND %9$s '
            'UNION ALL SELECT %8$s, ''-'' FROM g AS l WHERE l.alive OR l.alive IS NULL AND NOT l.koherent_is_new '
            -- Rows that are there.
            'UNION ALL SELECT %8$s, CASE WHEN h.alive THEN ''~'' WHEN NOT h.alive OR t.koherent_is_new OR %9$s THEN ''+'' ELSE ''~'' END '
            'FROM t JOIN %2$s AS l ON %6$s LEFT JOIN LATERAL (SELECT h.*, h.history_kind <> ''-'' AS alive FROM %3$s AS h WHERE %4$s '
            'ORDER BY h.history_id DESC LIMIT 1) AS h ON true WHERE h.alive IS NOT TRUE OR %7$s',
            changed, full_name, history, same_key_there, key_of_row, same_key_alive, row_differs,
            (SELECT string_agg(format('l.%I', attname), ', ' ORDER BY attnum) FROM pg_attribute
             WHERE attrelid = TG_RELID AND attnum > 0 AND NOT attisdropped),
            is_being_inserted);
    END IF;

    IF policy = 'refuse' AND NOT (is_nested AND is_part) THEN
        IF is_part THEN
            EXECUTE format('SELECT EXISTS (%s)', changed) INTO is_missing;
        END IF;
        IF NOT is_missing THEN
            RETURN NULL;
        END IF;
        helper := CASE TG_OP WHEN 'INSERT' THEN 'audited_insert' WHEN 'UPDATE' THEN 'audited_update' ELSE 'audited_delete' END;
        RAISE EXCEPTION '% of % refused, it would leave no history: use %, or audit_paused for a data migration',
            TG_OP, TG_TABLE_NAME, helper
            USING ERRCODE = 'KO001', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = 'koherent_guard',
                  HINT = format('%s is a function of koherent-diesel, and a method of its AuditedConnection; it writes the history row as well.', helper);
    END IF;

    IF TG_OP = 'TRUNCATE' AND current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'TRUNCATE of % refused, it would leave no history: at this isolation level it takes rows that cannot be seen, so use audited_delete',
            TG_TABLE_NAME
            USING ERRCODE = 'KO001', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = 'koherent_guard';
    END IF;
    PERFORM set_config(captured_before, now_running, true);
    context := (coalesce((said->'context')::jsonb, '{}') || jsonb_build_object('captured', TG_OP, 'database_role', role))::json;
    EXECUTE format(
        'INSERT INTO %s (%s, history_kind, history_date, history_user, history_client, history_organization, history_task, '
        'history_transaction, history_reason, history_context) '
        'SELECT %s, r.koherent_kind, clock_timestamp(), $1, $2, $3, $4, $5, $6, %s FROM (%s) AS r',
        history, kept_there, kept,
        CASE WHEN unkept IS NULL THEN '$7'
             ELSE format('($7::jsonb || jsonb_build_object(''unkept'', jsonb_build_object(%s)))::json', unkept) END,
        changed)
    USING CASE WHEN said IS NULL THEN role ELSE said->>'user' END, said->>'client', said->>'organization',
        koherent_admit_said_task(said), koherent_transaction(said), said->>'reason', context;
    RETURN NULL;
END
$$;

-- Guards partitions as their table is guarded: rows can be written to them by their own names. Call it again for partitions that
-- come later: `SELECT koherent_guard_partitions('readings')`.
CREATE FUNCTION koherent_guard_partitions(partitioned regclass) RETURNS integer LANGUAGE plpgsql AS $$
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

-- Refuses to change a row of a table that inherits from the one whose history would get the entry.
CREATE FUNCTION koherent_row_of_child(tracked regclass, child regclass) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the row stands in %, which inherits from %: change it there, so that its own history has the entry', child, tracked
        USING ERRCODE = 'KO001', TABLE = tracked::text, CONSTRAINT = 'koherent_guard';
END
$$;

-- Guards that are there already, as they are made from now on: armed by the identity of their table.
DO $$
DECLARE
    guard record;
    arms text;
BEGIN
    FOR guard IN
        SELECT t.tgname, t.tgrelid::regclass AS relation, upper(substr(t.tgname, 16)) AS event,
            substring(pg_get_triggerdef(t.oid) FROM 'EXECUTE FUNCTION .*') AS call
        FROM pg_trigger AS t
        WHERE t.tgfoid = 'koherent_guard()'::regprocedure AND t.tgname IN ('koherent_guard_insert', 'koherent_guard_update', 'koherent_guard_delete')
    LOOP
        arms := format('%L::regclass::oid::text', guard.relation);
        EXECUTE format('DROP TRIGGER %I ON %s', guard.tgname, guard.relation);
        EXECUTE format(
            'CREATE TRIGGER %I AFTER %s ON %s REFERENCING %s FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting(%L, true) '
            'WHEN %s THEN set_config(%5$L, ''used '' || %6$s, true) = '''' '
            'WHEN ''used '' || %6$s THEN set_config(''koherent.twice'', %6$s || %7$L, true) <> '''' ELSE true END) %8$s',
            guard.tgname, guard.event, guard.relation,
            concat_ws(' ', CASE WHEN guard.event <> 'INSERT' THEN 'OLD TABLE AS koherent_old' END,
                      CASE WHEN guard.event <> 'DELETE' THEN 'NEW TABLE AS koherent_new' END),
            'koherent.' || lower(guard.event), arms, ' ' || guard.event, guard.call);
    END LOOP;
END
$$;

-- Histories that are there already, with types that no migration of the application can take away.
DO $$
DECLARE
    history regclass;
BEGIN
    FOR history IN
        SELECT to_regclass(format(CASE history_schema WHEN '' THEN '%2$I' ELSE '%1$I.%2$I' END, history_schema, history_table))
        FROM koherent_table
    LOOP
        CONTINUE WHEN history IS NULL;
        PERFORM koherent_keep_types(history);
    END LOOP;
END
$$;
