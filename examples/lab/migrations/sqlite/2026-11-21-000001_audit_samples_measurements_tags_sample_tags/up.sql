-- samples is under audit: each change leaves a row in samples_history.
CREATE TABLE `samples_history` (
    history_id INTEGER PRIMARY KEY AUTOINCREMENT,
    `id` INTEGER NOT NULL,
    `name` TEXT,
    `note` TEXT,
    `owner` TEXT,
    `mass` DOUBLE,
    `metadata` TEXT,
    `created_at` TEXT,
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
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('+ samples', '* samples'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'samples' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'samples');
    UPDATE koherent_operation SET created_rows = created_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'samples';
    SELECT RAISE(ABORT, 'KO001: INSERT of samples refused, it would leave no history: use audited_insert, or audit_paused for a data migration') WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
END;
CREATE TRIGGER `koherent_guard_samples_update` AFTER UPDATE ON `samples`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('~ samples', '* samples'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'samples' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'samples');
    UPDATE koherent_operation SET updated_rows = updated_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'samples';
    SELECT RAISE(ABORT, 'KO001: UPDATE of samples refused, it would leave no history: use audited_update, or audit_paused for a data migration') WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
END;
CREATE TRIGGER `koherent_guard_samples_delete` AFTER DELETE ON `samples`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('- samples') AND EXISTS (SELECT 1 FROM `samples_history` WHERE `id` COLLATE BINARY IS OLD.`id` AND history_id > since AND history_kind = '-'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'samples' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'samples');
    UPDATE koherent_operation SET deleted_rows = deleted_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'samples';
    SELECT RAISE(ABORT, 'KO001: DELETE of samples refused, it would leave no history: use audited_delete, or audit_paused for a data migration') WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
END;
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'samples';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'samples', '', 'samples_history', 'refuse', '["id"]', '["id","name","note","owner","mass","metadata","created_at"]', '["id","name","note","owner","mass","metadata","created_at"]', '["storage_code"]', '{}');
-- measurements is under audit: each change leaves a row in measurements_history.
CREATE TABLE `measurements_history` (
    history_id INTEGER PRIMARY KEY AUTOINCREMENT,
    `id` INTEGER NOT NULL,
    `sample_id` BIGINT,
    `kind` TEXT,
    `value` DOUBLE,
    `unit` TEXT,
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
CREATE INDEX `measurements_history_key` ON `measurements_history` (`id`, `history_id`);
CREATE INDEX `measurements_history_task` ON `measurements_history` (`history_task`, `history_date`, `history_id`, `id`, `history_kind`) WHERE history_task IS NOT NULL;
CREATE INDEX `measurements_history_user` ON `measurements_history` (`history_user`, `history_date`, `history_id`) WHERE history_user IS NOT NULL;
CREATE INDEX `measurements_history_organization` ON `measurements_history` (`history_organization`, `history_date`, `history_id`) WHERE history_organization IS NOT NULL;
CREATE INDEX `measurements_history_date` ON `measurements_history` (`history_date`, `history_id`);
CREATE TRIGGER `koherent_append_only_measurements_history_update` BEFORE UPDATE ON `measurements_history`
BEGIN
    SELECT RAISE(ABORT, 'KO002: UPDATE of measurements_history refused: rows are only added here; `koherent prune` is what deletes old entries');
END;
CREATE TRIGGER `koherent_append_only_measurements_history_delete` BEFORE DELETE ON `measurements_history`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session AS s JOIN koherent_operation AS o ON o.operation_transaction = s.operation WHERE o.operation = 'prune' AND o.tracked_table = 'measurements')
BEGIN
    SELECT RAISE(ABORT, 'KO002: DELETE of measurements_history refused: rows are only added here; `koherent prune` is what deletes old entries');
END;
CREATE TRIGGER `koherent_append_only_measurements_history_insert` BEFORE INSERT ON `measurements_history`
WHEN NEW.history_id > 0 AND EXISTS (SELECT 1 FROM `measurements_history` WHERE history_id = NEW.history_id)
BEGIN
    SELECT RAISE(ABORT, 'KO002: INSERT of measurements_history refused: there is an entry of that number already');
END;
CREATE TRIGGER `koherent_guard_measurements_insert` AFTER INSERT ON `measurements`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('+ measurements', '* measurements'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'measurements' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'measurements');
    UPDATE koherent_operation SET created_rows = created_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'measurements';
    SELECT RAISE(ABORT, 'KO001: INSERT of measurements refused, it would leave no history: use audited_insert, or audit_paused for a data migration') WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
END;
CREATE TRIGGER `koherent_guard_measurements_update` AFTER UPDATE ON `measurements`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('~ measurements', '* measurements'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'measurements' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'measurements');
    UPDATE koherent_operation SET updated_rows = updated_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'measurements';
    SELECT RAISE(ABORT, 'KO001: UPDATE of measurements refused, it would leave no history: use audited_update, or audit_paused for a data migration') WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
END;
CREATE TRIGGER `koherent_guard_measurements_delete` AFTER DELETE ON `measurements`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('- measurements') AND EXISTS (SELECT 1 FROM `measurements_history` WHERE `id` COLLATE BINARY IS OLD.`id` AND history_id > since AND history_kind = '-'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'measurements' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'measurements');
    UPDATE koherent_operation SET deleted_rows = deleted_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'measurements';
    SELECT RAISE(ABORT, 'KO001: DELETE of measurements refused, it would leave no history: use audited_delete, or audit_paused for a data migration') WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
END;
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'measurements';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'measurements', '', 'measurements_history', 'refuse', '["id"]', '["id","sample_id","kind","value","unit"]', '["id","sample_id","kind","value","unit"]', '[]', '{}');
-- tags is under audit: each change leaves a row in tags_history.
CREATE TABLE `tags_history` (
    history_id INTEGER PRIMARY KEY AUTOINCREMENT,
    `id` INTEGER NOT NULL,
    `label` TEXT,
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
CREATE INDEX `tags_history_key` ON `tags_history` (`id`, `history_id`);
CREATE INDEX `tags_history_task` ON `tags_history` (`history_task`, `history_date`, `history_id`, `id`, `history_kind`) WHERE history_task IS NOT NULL;
CREATE INDEX `tags_history_user` ON `tags_history` (`history_user`, `history_date`, `history_id`) WHERE history_user IS NOT NULL;
CREATE INDEX `tags_history_organization` ON `tags_history` (`history_organization`, `history_date`, `history_id`) WHERE history_organization IS NOT NULL;
CREATE INDEX `tags_history_date` ON `tags_history` (`history_date`, `history_id`);
CREATE TRIGGER `koherent_append_only_tags_history_update` BEFORE UPDATE ON `tags_history`
BEGIN
    SELECT RAISE(ABORT, 'KO002: UPDATE of tags_history refused: rows are only added here; `koherent prune` is what deletes old entries');
END;
CREATE TRIGGER `koherent_append_only_tags_history_delete` BEFORE DELETE ON `tags_history`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session AS s JOIN koherent_operation AS o ON o.operation_transaction = s.operation WHERE o.operation = 'prune' AND o.tracked_table = 'tags')
BEGIN
    SELECT RAISE(ABORT, 'KO002: DELETE of tags_history refused: rows are only added here; `koherent prune` is what deletes old entries');
END;
CREATE TRIGGER `koherent_append_only_tags_history_insert` BEFORE INSERT ON `tags_history`
WHEN NEW.history_id > 0 AND EXISTS (SELECT 1 FROM `tags_history` WHERE history_id = NEW.history_id)
BEGIN
    SELECT RAISE(ABORT, 'KO002: INSERT of tags_history refused: there is an entry of that number already');
END;
CREATE TRIGGER `koherent_guard_tags_insert` AFTER INSERT ON `tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('+ tags', '* tags'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'tags' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'tags');
    UPDATE koherent_operation SET created_rows = created_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'tags';
    SELECT RAISE(ABORT, 'KO001: INSERT of tags refused, it would leave no history: use audited_insert, or audit_paused for a data migration') WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
END;
CREATE TRIGGER `koherent_guard_tags_update` AFTER UPDATE ON `tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('~ tags', '* tags'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'tags' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'tags');
    UPDATE koherent_operation SET updated_rows = updated_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'tags';
    SELECT RAISE(ABORT, 'KO001: UPDATE of tags refused, it would leave no history: use audited_update, or audit_paused for a data migration') WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
END;
CREATE TRIGGER `koherent_guard_tags_delete` AFTER DELETE ON `tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('- tags') AND EXISTS (SELECT 1 FROM `tags_history` WHERE `id` COLLATE BINARY IS OLD.`id` AND history_id > since AND history_kind = '-'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'tags' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'tags');
    UPDATE koherent_operation SET deleted_rows = deleted_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'tags';
    SELECT RAISE(ABORT, 'KO001: DELETE of tags refused, it would leave no history: use audited_delete, or audit_paused for a data migration') WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
END;
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'tags';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'tags', '', 'tags_history', 'refuse', '["id"]', '["id","label"]', '["id","label"]', '[]', '{}');
-- sample_tags is under audit: each change leaves a row in sample_tags_history.
CREATE TABLE `sample_tags_history` (
    history_id INTEGER PRIMARY KEY AUTOINCREMENT,
    `sample_id` BIGINT NOT NULL,
    `tag_id` BIGINT NOT NULL,
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
CREATE INDEX `sample_tags_history_key` ON `sample_tags_history` (`sample_id`, `tag_id`, `history_id`);
CREATE INDEX `sample_tags_history_task` ON `sample_tags_history` (`history_task`, `history_date`, `history_id`, `sample_id`, `tag_id`, `history_kind`) WHERE history_task IS NOT NULL;
CREATE INDEX `sample_tags_history_user` ON `sample_tags_history` (`history_user`, `history_date`, `history_id`) WHERE history_user IS NOT NULL;
CREATE INDEX `sample_tags_history_organization` ON `sample_tags_history` (`history_organization`, `history_date`, `history_id`) WHERE history_organization IS NOT NULL;
CREATE INDEX `sample_tags_history_date` ON `sample_tags_history` (`history_date`, `history_id`);
CREATE TRIGGER `koherent_append_only_sample_tags_history_update` BEFORE UPDATE ON `sample_tags_history`
BEGIN
    SELECT RAISE(ABORT, 'KO002: UPDATE of sample_tags_history refused: rows are only added here; `koherent prune` is what deletes old entries');
END;
CREATE TRIGGER `koherent_append_only_sample_tags_history_delete` BEFORE DELETE ON `sample_tags_history`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session AS s JOIN koherent_operation AS o ON o.operation_transaction = s.operation WHERE o.operation = 'prune' AND o.tracked_table = 'sample_tags')
BEGIN
    SELECT RAISE(ABORT, 'KO002: DELETE of sample_tags_history refused: rows are only added here; `koherent prune` is what deletes old entries');
END;
CREATE TRIGGER `koherent_append_only_sample_tags_history_insert` BEFORE INSERT ON `sample_tags_history`
WHEN NEW.history_id > 0 AND EXISTS (SELECT 1 FROM `sample_tags_history` WHERE history_id = NEW.history_id)
BEGIN
    SELECT RAISE(ABORT, 'KO002: INSERT of sample_tags_history refused: there is an entry of that number already');
END;
CREATE TRIGGER `koherent_guard_sample_tags_insert` AFTER INSERT ON `sample_tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('+ sample_tags', '* sample_tags'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'sample_tags' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'sample_tags');
    UPDATE koherent_operation SET created_rows = created_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'sample_tags';
    SELECT RAISE(ABORT, 'KO001: INSERT of sample_tags refused, it would leave no history: use audited_insert, or audit_paused for a data migration') WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
END;
CREATE TRIGGER `koherent_guard_sample_tags_update` AFTER UPDATE ON `sample_tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('~ sample_tags', '* sample_tags'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'sample_tags' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'sample_tags');
    UPDATE koherent_operation SET updated_rows = updated_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'sample_tags';
    SELECT RAISE(ABORT, 'KO001: UPDATE of sample_tags refused, it would leave no history: use audited_update, or audit_paused for a data migration') WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
END;
CREATE TRIGGER `koherent_guard_sample_tags_delete` AFTER DELETE ON `sample_tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('- sample_tags') AND EXISTS (SELECT 1 FROM `sample_tags_history` WHERE `sample_id` COLLATE BINARY IS OLD.`sample_id` AND `tag_id` COLLATE BINARY IS OLD.`tag_id` AND history_id > since AND history_kind = '-'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'sample_tags' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'sample_tags');
    UPDATE koherent_operation SET deleted_rows = deleted_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'sample_tags';
    SELECT RAISE(ABORT, 'KO001: DELETE of sample_tags refused, it would leave no history: use audited_delete, or audit_paused for a data migration') WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
END;
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'sample_tags';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'sample_tags', '', 'sample_tags_history', 'refuse', '["sample_id","tag_id"]', '["sample_id","tag_id"]', '["sample_id","tag_id"]', '[]', '{}');
