-- Lists of tasks, newest first.
CREATE INDEX koherent_task_created ON koherent_task (created_at, task_id);

-- A text as a value of the type of `like`, which is NULL and there for its type alone. A text that is none is NULL: no row has
-- that key.
CREATE FUNCTION koherent_typed("like" anyelement, value text) RETURNS anyelement LANGUAGE plpgsql STABLE AS $$
BEGIN
    DECLARE
        typed "like"%TYPE := value;
    BEGIN
        RETURN typed;
    END;
EXCEPTION
    WHEN data_exception OR integrity_constraint_violation THEN
        RETURN NULL;
END
$$;

-- Says who listens which entries have come: their history, their transaction, and the first and last of their ids. What they
-- hold, it does not say: whoever may listen may not have the right to read it.
CREATE FUNCTION koherent_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('koherent_entries', json_build_object(
        'history', TG_TABLE_NAME, 'transaction', n.history_transaction, 'first', min(n.history_id), 'last', max(n.history_id)
    )::text) FROM k_new AS n GROUP BY n.history_transaction;
    RETURN NULL;
END
$$;
