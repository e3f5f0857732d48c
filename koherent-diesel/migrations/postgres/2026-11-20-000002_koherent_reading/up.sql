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
