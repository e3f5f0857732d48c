-- samples is under audit: each change leaves a row in samples_history.
CREATE TABLE `samples_history` (
    history_id INTEGER PRIMARY KEY AUTOINCREMENT,
    `id` INTEGER NOT NULL,
    `name` TEXT,
    history_kind TEXT NOT NULL,
    history_date TEXT NOT NULL,
    history_user TEXT,
    history_client TEXT,
    history_organization TEXT,
    history_task TEXT,
    history_transaction TEXT NOT NULL,
    history_reason TEXT,
    history_context TEXT
);
CREATE INDEX `samples_history_key` ON `samples_history` (`id`, `history_id`);
CREATE INDEX `samples_history_task` ON `samples_history` (`history_task`, `history_date`, `history_id`, `id`, `history_kind`) WHERE history_task IS NOT NULL;
CREATE INDEX `samples_history_user` ON `samples_history` (`history_user`, `history_date`, `history_id`) WHERE history_user IS NOT NULL;
CREATE INDEX `samples_history_organization` ON `samples_history` (`history_organization`, `history_date`, `history_id`) WHERE history_organization IS NOT NULL;
CREATE INDEX `samples_history_date` ON `samples_history` (`history_date`, `history_id`);
CREATE TRIGGER `koherent_append_only_samples_history_update` BEFORE UPDATE ON `samples_history`
BEGIN
    SELECT RAISE(ABORT, 'KO002: UPDATE of samples_history refused: rows are only added here; `koherent prune` is what deletes old entries');
END;
CREATE TRIGGER `koherent_append_only_samples_history_delete` BEFORE DELETE ON `samples_history`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session AS s JOIN koherent_operation AS o ON o.operation_transaction = s.operation WHERE o.operation = 'prune' AND o.tracked_table = 'samples')
BEGIN
    SELECT RAISE(ABORT, 'KO002: DELETE of samples_history refused: rows are only added here; `koherent prune` is what deletes old entries');
END;
CREATE TRIGGER `koherent_append_only_samples_history_insert` BEFORE INSERT ON `samples_history`
WHEN NEW.history_id > 0 AND EXISTS (SELECT 1 FROM `samples_history` WHERE history_id = NEW.history_id)
BEGIN
    SELECT RAISE(ABORT, 'KO002: INSERT of samples_history refused: there is an entry of that number already');
END;
CREATE TRIGGER `koherent_guard_samples_insert` AFTER INSERT ON `samples`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('+ samples', '* samples') AND watched IS NOT 1)
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'samples' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'samples');
    UPDATE koherent_operation SET created_rows = created_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'samples';
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'samples', 'INSERT', NEW.`id` FROM koherent_part;
    SELECT RAISE(ABORT, 'KO001: INSERT of samples refused, it would leave no history: use audited_insert, or audit_paused for a data migration') FROM koherent_session WHERE EXISTS (SELECT 1 FROM koherent_raw);
END;
CREATE TRIGGER `koherent_guard_samples_update` AFTER UPDATE ON `samples`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('~ samples', '* samples') AND watched IS NOT 1)
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'samples' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'samples');
    UPDATE koherent_operation SET updated_rows = updated_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'samples';
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'samples', 'UPDATE', OLD.`id` FROM koherent_part;
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'samples', 'UPDATE', NEW.`id` FROM koherent_part WHERE NOT (NEW.`id` COLLATE BINARY IS OLD.`id`);
    SELECT RAISE(ABORT, 'KO001: UPDATE of samples refused, it would leave no history: use audited_update, or audit_paused for a data migration') FROM koherent_session WHERE EXISTS (SELECT 1 FROM koherent_raw);
END;
CREATE TRIGGER `koherent_guard_samples_delete` AFTER DELETE ON `samples`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('- samples') AND watched IS NOT 1 AND EXISTS (SELECT 1 FROM `samples_history` WHERE `id` COLLATE BINARY IS OLD.`id` AND history_id > since AND history_kind = '-'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'samples' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'samples');
    UPDATE koherent_operation SET deleted_rows = deleted_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'samples';
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'samples', 'DELETE', OLD.`id` FROM koherent_part;
    SELECT RAISE(ABORT, 'KO001: DELETE of samples refused, it would leave no history: use audited_delete, or audit_paused for a data migration') FROM koherent_session WHERE EXISTS (SELECT 1 FROM koherent_raw) OR EXISTS (SELECT 1 FROM koherent_part) AND EXISTS (SELECT 1 FROM koherent_cascade WHERE tracked_table = 'samples')
        AND NOT (armed = '- samples' AND EXISTS (SELECT 1 FROM `samples_history` WHERE `id` COLLATE BINARY IS OLD.`id` AND history_id > since AND history_kind = '-'));
END;
DELETE FROM koherent_cascade WHERE tracked_table = 'samples';
INSERT INTO koherent_cascade SELECT DISTINCT 'samples', "table" FROM pragma_foreign_key_list('samples') WHERE on_delete = 'CASCADE';
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'samples';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'samples', '', 'samples_history', 'refuse', '["id"]', '["id","name"]', '["id","name"]', '[]', '{}');
