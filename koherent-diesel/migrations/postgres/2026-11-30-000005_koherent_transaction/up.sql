-- Transactions that were made under an idempotency key: claimed together with the change, so that the same write, sent again,
-- finds that it is done. Rows may be deleted when no client sends again what is as old.
CREATE TABLE koherent_transaction (
    transaction_id uuid PRIMARY KEY,
    payload text NOT NULL,
    attempt text NOT NULL,
    transaction_date timestamptz NOT NULL
);
CREATE INDEX koherent_transaction_date ON koherent_transaction (transaction_date);

-- As koherent_admit_task, where a task may be handed over: another agent of the same task is no mismatch. The row keeps the
-- agent that came first; entries say which agent wrote.
CREATE FUNCTION koherent_admit_handed_over_task(
    meant_task_id text, meant_parent_task_id text, meant_root_task_id text, meant_assigner_sub text, meant_caller_sub text,
    meant_agent_sub text, meant_agent_client_id text, meant_issuer text, meant_token_id text, meant_args_hash text,
    meant_args_hash_algorithm text, meant_organization text
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    stored koherent_task%ROWTYPE;
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
    SELECT * INTO stored FROM koherent_task WHERE task_id = meant_task_id;
    RETURN koherent_admit_task(
        meant_task_id, meant_parent_task_id, meant_root_task_id, meant_assigner_sub, meant_caller_sub,
        coalesce(stored.agent_sub, meant_agent_sub), coalesce(stored.agent_client_id, meant_agent_client_id), meant_issuer,
        meant_token_id, meant_args_hash, meant_args_hash_algorithm, meant_organization
    );
END
$$;
