-- Histories keep their types: they hold the same values. Guards that were made since are made anew with `koherent migration generate`.
DROP FUNCTION koherent_row_of_child(regclass, regclass);
DROP FUNCTION koherent_guard_partitions(regclass);
DROP FUNCTION koherent_keep_types(regclass);
DROP FUNCTION koherent_kept_type(oid);

-- The trigger of guarded tables: after each statement that was not armed by an audited one. Its arguments are the policy, the
-- schema (or nothing, for that of the table) and the name of the history table, the columns of the key, the kept columns, and
-- their names in the history table.
CREATE OR REPLACE FUNCTION koherent_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
    policy constant text := TG_ARGV[0];
    -- The schema of this function, and of all that the migrations made beside it.
    home text := (SELECT p.pronamespace::regnamespace::text FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
                  WHERE t.tgrelid = TG_RELID AND t.tgname = TG_NAME);
    -- What the audited statement says whose part this is (a cascade, say), or else what the whole transaction says.
    ours constant text := statement_timestamp()::text || ' ';
    spoken constant text := current_setting('koherent.statement', true);
    is_part constant boolean := coalesce(starts_with(spoken, ours), false);
    said json := CASE WHEN is_part THEN substr(spoken, length(ours) + 1)
                 ELSE nullif(current_setting('koherent.attribution', true), '') END::json;
    pause text := nullif(current_setting('koherent.operation', true), '');
    touched bigint;
    role text;
    helper text;
    history text;
    kept text;
    kept_old text;
    kept_new text;
    kept_there text;
    same_key text;
    same_key_there text;
    changed text;
    escaped boolean := true;
    context json;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        EXECUTE format('SELECT count(*) FROM %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME) INTO touched;
    ELSIF TG_OP = 'INSERT' THEN
        touched := (SELECT count(*) FROM koherent_new);
    ELSE
        touched := (SELECT count(*) FROM koherent_old);
    END IF;
    -- Something that the audited statement calls has used its arms: whose rows are whose, nobody knows.
    IF is_part AND current_setting('koherent.twice', true) = TG_TABLE_NAME || ' ' || TG_OP THEN
        RAISE EXCEPTION '% of % refused, it would leave no history: a function that the audited statement calls changes the table as well',
            TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'KO001', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = 'koherent_guard';
    END IF;
    -- Cascades run their statement also where there is nothing to do. A TRUNCATE sees more than its transaction does.
    IF touched = 0 AND TG_OP <> 'TRUNCATE' THEN
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
            CASE TG_OP WHEN 'INSERT' THEN touched ELSE 0 END, CASE TG_OP WHEN 'UPDATE' THEN touched ELSE 0 END,
            CASE WHEN TG_OP IN ('DELETE', 'TRUNCATE') THEN touched ELSE 0 END
        FROM koherent_operation WHERE operation = 'pause' AND operation_transaction = pause::uuid AND tracked_table IS NULL
        ON CONFLICT (operation_transaction, tracked_table) DO UPDATE SET
            created_rows = o.created_rows + excluded.created_rows, updated_rows = o.updated_rows + excluded.updated_rows,
            deleted_rows = o.deleted_rows + excluded.deleted_rows;
        IF FOUND THEN
            RETURN NULL;
        END IF;
        -- Nobody has said why: this is no pause.
    END IF;

    history := format('%I.%I', coalesce(nullif(TG_ARGV[1], ''), TG_TABLE_SCHEMA), TG_ARGV[2]);
    SELECT string_agg(format('r.%I', name), ', ' ORDER BY at), string_agg(format('o.%I', name), ', ' ORDER BY at),
           string_agg(format('n.%I', name), ', ' ORDER BY at)
        INTO kept, kept_old, kept_new FROM unnest(TG_ARGV[4]::text[]) WITH ORDINALITY AS names (name, at);
    kept_there := (SELECT string_agg(format('%I', name), ', ' ORDER BY at)
                   FROM unnest(TG_ARGV[5]::text[]) WITH ORDINALITY AS names (name, at));
    -- As records, values are compared byte by byte.
    same_key := (SELECT format('CAST(ROW(%s) AS record) *= CAST(ROW(%s) AS record)',
                               string_agg(format('o.%I', name), ', ' ORDER BY at), string_agg(format('n.%I', name), ', ' ORDER BY at))
                 FROM unnest(TG_ARGV[3]::text[]) WITH ORDINALITY AS names (name, at));
    changed := CASE TG_OP
        WHEN 'INSERT' THEN 'SELECT *, ''+'' AS koherent_kind FROM koherent_new'
        WHEN 'DELETE' THEN 'SELECT *, ''-'' AS koherent_kind FROM koherent_old'
        WHEN 'TRUNCATE' THEN format('SELECT *, ''-'' AS koherent_kind FROM %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME)
        -- The history is that of a key: where an update moves rows, keys come and go.
        ELSE format(
            'SELECT o.*, ''-'' AS koherent_kind FROM koherent_old AS o WHERE NOT EXISTS (SELECT FROM koherent_new AS n WHERE %1$s) '
            'UNION ALL SELECT n.*, ''+'' FROM koherent_new AS n WHERE NOT EXISTS (SELECT FROM koherent_old AS o WHERE %1$s) '
            'UNION ALL SELECT n.*, ''~'' FROM koherent_old AS o JOIN koherent_new AS n ON %1$s '
            'WHERE CAST(ROW(%2$s) AS record) *<> CAST(ROW(%3$s) AS record)',
            same_key, kept_old, kept_new)
    END;
    -- A statement and the cascades into its own table are told of together. Rows that have their entry already are audited.
    IF is_part THEN
        same_key_there := (
            SELECT string_agg(format('h.%I = r.%I', (TG_ARGV[5]::text[])[array_position(TG_ARGV[4]::text[], name)], name), ' AND ')
            FROM unnest(TG_ARGV[3]::text[]) AS name);
        changed := format(
            'SELECT * FROM (%s) AS r WHERE NOT EXISTS (SELECT FROM (SELECT h.* FROM %s AS h WHERE %s ORDER BY h.history_id DESC LIMIT 1) AS h '
            'WHERE h.history_transaction = %L AND (h.history_kind = ''-'') = (r.koherent_kind = ''-'') '
            'AND CAST(ROW(%s) AS record) *= CAST(ROW(%s) AS record))',
            changed, history, same_key_there, said->>'transaction',
            (SELECT string_agg(format('h.%I', name), ', ' ORDER BY at) FROM unnest(TG_ARGV[5]::text[]) WITH ORDINALITY AS names (name, at)),
            kept);
    END IF;

    IF policy = 'refuse' THEN
        IF is_part THEN
            EXECUTE format('SELECT EXISTS (%s)', changed) INTO escaped;
        END IF;
        IF NOT escaped THEN
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
    context := (coalesce((said->'context')::jsonb, '{}') || jsonb_build_object('captured', TG_OP, 'database_role', role))::json;
    EXECUTE format(
        'INSERT INTO %s (%s, history_kind, history_date, history_user, history_client, history_organization, history_task, '
        'history_transaction, history_reason, history_context) '
        'SELECT %s, r.koherent_kind, clock_timestamp(), $1, $2, $3, $4, $5, $6, $7 FROM (%s) AS r',
        history, kept_there, kept, changed)
    USING CASE WHEN said IS NULL THEN role ELSE said->>'user' END, said->>'client', said->>'organization',
        koherent_admit_said_task(said), koherent_transaction(said), said->>'reason', context;
    RETURN NULL;
END
$$;
