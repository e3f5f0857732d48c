-- One row per task under which something was changed here. Rows are added, never changed.
CREATE TABLE koherent_task (
    task_id text PRIMARY KEY,
    parent_task_id text,
    root_task_id text NOT NULL,
    assigner_sub text NOT NULL,
    caller_sub text NOT NULL,
    agent_sub text NOT NULL,
    agent_client_id text NOT NULL,
    issuer text NOT NULL,
    token_id text NOT NULL UNIQUE,
    args_hash text NOT NULL,
    args_hash_algorithm text NOT NULL,
    organization text,
    created_at timestamptz NOT NULL
);

CREATE INDEX koherent_task_parent ON koherent_task (parent_task_id);
CREATE INDEX koherent_task_root ON koherent_task (root_task_id);

-- Makes sure that a task has its row, and that it is the one that is meant. A task may come with a new token, so the token's
-- id may differ; but no token may serve two tasks. Each statement in here sees what was committed before it, so of many
-- that race for one row, one writes it and the others compare with it.
CREATE FUNCTION koherent_admit_task(
    meant_task_id text, meant_parent_task_id text, meant_root_task_id text, meant_assigner_sub text, meant_caller_sub text,
    meant_agent_sub text, meant_agent_client_id text, meant_issuer text, meant_token_id text, meant_args_hash text,
    meant_args_hash_algorithm text, meant_organization text
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    stored koherent_task%ROWTYPE;
    differs text;
BEGIN
    INSERT INTO koherent_task (
        task_id, parent_task_id, root_task_id, assigner_sub, caller_sub, agent_sub, agent_client_id, issuer, token_id,
        args_hash, args_hash_algorithm, organization, created_at
    ) VALUES (
        meant_task_id, meant_parent_task_id, meant_root_task_id, meant_assigner_sub, meant_caller_sub, meant_agent_sub,
        meant_agent_client_id, meant_issuer, meant_token_id, meant_args_hash, meant_args_hash_algorithm,
        meant_organization, clock_timestamp()
    ) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN meant_task_id;
    END IF;
    IF EXISTS (SELECT FROM koherent_task WHERE token_id = meant_token_id AND task_id <> meant_task_id) THEN
        RAISE EXCEPTION 'the token''s id is known here under another task'
            USING ERRCODE = 'integrity_constraint_violation', TABLE = 'koherent_task', CONSTRAINT = 'koherent_token_reused';
    END IF;
    SELECT * INTO stored FROM koherent_task WHERE task_id = meant_task_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the row of the task could not be written'
            USING ERRCODE = 'integrity_constraint_violation', TABLE = 'koherent_task', CONSTRAINT = 'koherent_task_not_written';
    END IF;
    differs := CASE
        WHEN stored.parent_task_id IS DISTINCT FROM meant_parent_task_id THEN 'parent_task_id'
        WHEN stored.root_task_id <> meant_root_task_id THEN 'root_task_id'
        WHEN stored.assigner_sub <> meant_assigner_sub THEN 'assigner_sub'
        WHEN stored.caller_sub <> meant_caller_sub THEN 'caller_sub'
        WHEN stored.agent_sub <> meant_agent_sub THEN 'agent_sub'
        WHEN stored.agent_client_id <> meant_agent_client_id THEN 'agent_client_id'
        WHEN stored.issuer <> meant_issuer THEN 'issuer'
        WHEN stored.args_hash <> meant_args_hash THEN 'args_hash'
        WHEN stored.args_hash_algorithm <> meant_args_hash_algorithm THEN 'args_hash_algorithm'
        WHEN stored.organization IS DISTINCT FROM meant_organization THEN 'organization'
    END;
    IF differs IS NOT NULL THEN
        RAISE EXCEPTION 'the task is known here with another %', differs
            USING ERRCODE = 'integrity_constraint_violation', TABLE = 'koherent_task', COLUMN = differs,
                  CONSTRAINT = 'koherent_task_mismatch';
    END IF;
    RETURN meant_task_id;
END
$$;

-- Undoes a statement whose history is not complete: a trigger on the history table does that, for instance.
CREATE FUNCTION koherent_history_incomplete(changed bigint, recorded bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% rows were changed, but % history rows written', changed, recorded
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'koherent_history_incomplete',
              DETAIL = changed || ' ' || recorded;
END
$$;

-- Undoes an update that changed a key without naming it: a trigger or a generated column does that.
CREATE FUNCTION koherent_key_changed() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the key of the row was changed' USING ERRCODE = 'integrity_constraint_violation',
        CONSTRAINT = 'koherent_key_changed';
END
$$;
