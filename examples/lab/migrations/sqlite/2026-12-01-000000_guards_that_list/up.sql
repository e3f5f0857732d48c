-- The guards anew: what triggers write as part of an audited statement is recorded with it.
DROP TRIGGER IF EXISTS `koherent_guard_samples_insert`;
DROP TRIGGER IF EXISTS `koherent_guard_samples_update`;
DROP TRIGGER IF EXISTS `koherent_guard_samples_delete`;
DROP TRIGGER IF EXISTS `koherent_remember_samples_insert`;
DROP TRIGGER IF EXISTS `koherent_remember_samples_update`;
DROP TABLE IF EXISTS `koherent_replaced_samples`;
DELETE FROM koherent_cascade WHERE tracked_table = 'samples'; DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'samples';
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
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'samples', '', 'samples_history', 'refuse', '["id"]', '["id","name","note","owner","mass","metadata","created_at"]', '["id","name","note","owner","mass","metadata","created_at"]', '["storage_code"]', '{}');
DROP TRIGGER IF EXISTS `koherent_guard_measurements_insert`;
DROP TRIGGER IF EXISTS `koherent_guard_measurements_update`;
DROP TRIGGER IF EXISTS `koherent_guard_measurements_delete`;
DROP TRIGGER IF EXISTS `koherent_remember_measurements_insert`;
DROP TRIGGER IF EXISTS `koherent_remember_measurements_update`;
DROP TABLE IF EXISTS `koherent_replaced_measurements`;
DELETE FROM koherent_cascade WHERE tracked_table = 'measurements'; DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'measurements';
CREATE TRIGGER `koherent_guard_measurements_insert` AFTER INSERT ON `measurements`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('+ measurements', '* measurements') AND watched IS NOT 1)
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'measurements' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'measurements');
    UPDATE koherent_operation SET created_rows = created_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'measurements';
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'measurements', 'INSERT', NEW.`id` FROM koherent_part;
    SELECT RAISE(ABORT, 'KO001: INSERT of measurements refused, it would leave no history: use audited_insert, or audit_paused for a data migration') FROM koherent_session WHERE EXISTS (SELECT 1 FROM koherent_raw);
END;
CREATE TRIGGER `koherent_guard_measurements_update` AFTER UPDATE ON `measurements`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('~ measurements', '* measurements') AND watched IS NOT 1)
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'measurements' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'measurements');
    UPDATE koherent_operation SET updated_rows = updated_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'measurements';
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'measurements', 'UPDATE', OLD.`id` FROM koherent_part;
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'measurements', 'UPDATE', NEW.`id` FROM koherent_part WHERE NOT (NEW.`id` COLLATE BINARY IS OLD.`id`);
    SELECT RAISE(ABORT, 'KO001: UPDATE of measurements refused, it would leave no history: use audited_update, or audit_paused for a data migration') FROM koherent_session WHERE EXISTS (SELECT 1 FROM koherent_raw);
END;
CREATE TRIGGER `koherent_guard_measurements_delete` AFTER DELETE ON `measurements`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('- measurements') AND watched IS NOT 1 AND EXISTS (SELECT 1 FROM `measurements_history` WHERE `id` COLLATE BINARY IS OLD.`id` AND history_id > since AND history_kind = '-'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'measurements' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'measurements');
    UPDATE koherent_operation SET deleted_rows = deleted_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'measurements';
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'measurements', 'DELETE', OLD.`id` FROM koherent_part;
    SELECT RAISE(ABORT, 'KO001: DELETE of measurements refused, it would leave no history: use audited_delete, or audit_paused for a data migration') FROM koherent_session WHERE EXISTS (SELECT 1 FROM koherent_raw) OR EXISTS (SELECT 1 FROM koherent_part) AND EXISTS (SELECT 1 FROM koherent_cascade WHERE tracked_table = 'measurements')
        AND NOT (armed = '- measurements' AND EXISTS (SELECT 1 FROM `measurements_history` WHERE `id` COLLATE BINARY IS OLD.`id` AND history_id > since AND history_kind = '-'));
END;
DELETE FROM koherent_cascade WHERE tracked_table = 'measurements';
INSERT INTO koherent_cascade SELECT DISTINCT 'measurements', "table" FROM pragma_foreign_key_list('measurements') WHERE on_delete = 'CASCADE';
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'measurements';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'measurements', '', 'measurements_history', 'refuse', '["id"]', '["id","sample_id","kind","value","unit"]', '["id","sample_id","kind","value","unit"]', '[]', '{}');
DROP TRIGGER IF EXISTS `koherent_guard_tags_insert`;
DROP TRIGGER IF EXISTS `koherent_guard_tags_update`;
DROP TRIGGER IF EXISTS `koherent_guard_tags_delete`;
DROP TRIGGER IF EXISTS `koherent_remember_tags_insert`;
DROP TRIGGER IF EXISTS `koherent_remember_tags_update`;
DROP TABLE IF EXISTS `koherent_replaced_tags`;
DELETE FROM koherent_cascade WHERE tracked_table = 'tags'; DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'tags';
CREATE TABLE `koherent_replaced_tags` (`id`);
CREATE TRIGGER `koherent_remember_tags_insert` BEFORE INSERT ON `tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('+ tags', '* tags') AND watched IS NOT 1) AND EXISTS (SELECT 1 FROM koherent_part)
BEGIN
    DELETE FROM `koherent_replaced_tags`;
    INSERT INTO `koherent_replaced_tags` SELECT b.`id` FROM `tags` AS b WHERE ((b.`id` = NEW.`id`) OR (b.`label` = NEW.`label`));
END;
CREATE TRIGGER `koherent_remember_tags_update` BEFORE UPDATE ON `tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('~ tags', '* tags') AND watched IS NOT 1) AND EXISTS (SELECT 1 FROM koherent_part)
BEGIN
    DELETE FROM `koherent_replaced_tags`;
    INSERT INTO `koherent_replaced_tags` SELECT b.`id` FROM `tags` AS b WHERE ((b.`id` = NEW.`id`) OR (b.`label` = NEW.`label`)) AND NOT (b.`id` COLLATE BINARY IS OLD.`id`);
END;
CREATE TRIGGER `koherent_guard_tags_insert` AFTER INSERT ON `tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('+ tags', '* tags') AND watched IS NOT 1)
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'tags' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'tags');
    UPDATE koherent_operation SET created_rows = created_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'tags';
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'tags', 'DELETE', g.`id` FROM `koherent_replaced_tags` AS g WHERE EXISTS (SELECT 1 FROM koherent_part) AND NOT EXISTS (SELECT 1 FROM `tags` AS b WHERE b.`id` COLLATE BINARY IS g.`id`);
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'tags', 'INSERT', NEW.`id` FROM koherent_part;
    SELECT RAISE(ABORT, 'KO001: INSERT of tags refused, it would leave no history: use audited_insert, or audit_paused for a data migration') FROM koherent_session WHERE EXISTS (SELECT 1 FROM koherent_raw);
END;
CREATE TRIGGER `koherent_guard_tags_update` AFTER UPDATE ON `tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('~ tags', '* tags') AND watched IS NOT 1)
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'tags' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'tags');
    UPDATE koherent_operation SET updated_rows = updated_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'tags';
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'tags', 'DELETE', g.`id` FROM `koherent_replaced_tags` AS g WHERE EXISTS (SELECT 1 FROM koherent_part) AND NOT EXISTS (SELECT 1 FROM `tags` AS b WHERE b.`id` COLLATE BINARY IS g.`id`);
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'tags', 'UPDATE', OLD.`id` FROM koherent_part;
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'tags', 'UPDATE', NEW.`id` FROM koherent_part WHERE NOT (NEW.`id` COLLATE BINARY IS OLD.`id`);
    SELECT RAISE(ABORT, 'KO001: UPDATE of tags refused, it would leave no history: use audited_update, or audit_paused for a data migration') FROM koherent_session WHERE EXISTS (SELECT 1 FROM koherent_raw);
END;
CREATE TRIGGER `koherent_guard_tags_delete` AFTER DELETE ON `tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('- tags') AND watched IS NOT 1 AND EXISTS (SELECT 1 FROM `tags_history` WHERE `id` COLLATE BINARY IS OLD.`id` AND history_id > since AND history_kind = '-'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'tags' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'tags');
    UPDATE koherent_operation SET deleted_rows = deleted_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'tags';
    INSERT INTO koherent_nested (tracked_table, event, key_0) SELECT 'tags', 'DELETE', OLD.`id` FROM koherent_part;
    SELECT RAISE(ABORT, 'KO001: DELETE of tags refused, it would leave no history: use audited_delete, or audit_paused for a data migration') FROM koherent_session WHERE EXISTS (SELECT 1 FROM koherent_raw) OR EXISTS (SELECT 1 FROM koherent_part) AND EXISTS (SELECT 1 FROM koherent_cascade WHERE tracked_table = 'tags')
        AND NOT (armed = '- tags' AND EXISTS (SELECT 1 FROM `tags_history` WHERE `id` COLLATE BINARY IS OLD.`id` AND history_id > since AND history_kind = '-'));
END;
DELETE FROM koherent_cascade WHERE tracked_table = 'tags';
INSERT INTO koherent_cascade SELECT DISTINCT 'tags', "table" FROM pragma_foreign_key_list('tags') WHERE on_delete = 'CASCADE';
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'tags';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'tags', '', 'tags_history', 'refuse', '["id"]', '["id","label"]', '["id","label"]', '[]', '{}');
DROP TRIGGER IF EXISTS `koherent_guard_sample_tags_insert`;
DROP TRIGGER IF EXISTS `koherent_guard_sample_tags_update`;
DROP TRIGGER IF EXISTS `koherent_guard_sample_tags_delete`;
DROP TRIGGER IF EXISTS `koherent_remember_sample_tags_insert`;
DROP TRIGGER IF EXISTS `koherent_remember_sample_tags_update`;
DROP TABLE IF EXISTS `koherent_replaced_sample_tags`;
DELETE FROM koherent_cascade WHERE tracked_table = 'sample_tags'; DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'sample_tags';
CREATE TRIGGER `koherent_guard_sample_tags_insert` AFTER INSERT ON `sample_tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('+ sample_tags', '* sample_tags') AND watched IS NOT 1)
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'sample_tags' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'sample_tags');
    UPDATE koherent_operation SET created_rows = created_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'sample_tags';
    INSERT INTO koherent_nested (tracked_table, event, key_0, key_1) SELECT 'sample_tags', 'INSERT', NEW.`sample_id`, NEW.`tag_id` FROM koherent_part;
    SELECT RAISE(ABORT, 'KO001: INSERT of sample_tags refused, it would leave no history: use audited_insert, or audit_paused for a data migration') FROM koherent_session WHERE EXISTS (SELECT 1 FROM koherent_raw);
END;
CREATE TRIGGER `koherent_guard_sample_tags_update` AFTER UPDATE ON `sample_tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('~ sample_tags', '* sample_tags') AND watched IS NOT 1)
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'sample_tags' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'sample_tags');
    UPDATE koherent_operation SET updated_rows = updated_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'sample_tags';
    INSERT INTO koherent_nested (tracked_table, event, key_0, key_1) SELECT 'sample_tags', 'UPDATE', OLD.`sample_id`, OLD.`tag_id` FROM koherent_part;
    INSERT INTO koherent_nested (tracked_table, event, key_0, key_1) SELECT 'sample_tags', 'UPDATE', NEW.`sample_id`, NEW.`tag_id` FROM koherent_part WHERE NOT (NEW.`sample_id` COLLATE BINARY IS OLD.`sample_id` AND NEW.`tag_id` COLLATE BINARY IS OLD.`tag_id`);
    SELECT RAISE(ABORT, 'KO001: UPDATE of sample_tags refused, it would leave no history: use audited_update, or audit_paused for a data migration') FROM koherent_session WHERE EXISTS (SELECT 1 FROM koherent_raw);
END;
CREATE TRIGGER `koherent_guard_sample_tags_delete` AFTER DELETE ON `sample_tags`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('- sample_tags') AND watched IS NOT 1 AND EXISTS (SELECT 1 FROM `sample_tags_history` WHERE `sample_id` COLLATE BINARY IS OLD.`sample_id` AND `tag_id` COLLATE BINARY IS OLD.`tag_id` AND history_id > since AND history_kind = '-'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'sample_tags' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'sample_tags');
    UPDATE koherent_operation SET deleted_rows = deleted_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'sample_tags';
    INSERT INTO koherent_nested (tracked_table, event, key_0, key_1) SELECT 'sample_tags', 'DELETE', OLD.`sample_id`, OLD.`tag_id` FROM koherent_part;
    SELECT RAISE(ABORT, 'KO001: DELETE of sample_tags refused, it would leave no history: use audited_delete, or audit_paused for a data migration') FROM koherent_session WHERE EXISTS (SELECT 1 FROM koherent_raw) OR EXISTS (SELECT 1 FROM koherent_part) AND EXISTS (SELECT 1 FROM koherent_cascade WHERE tracked_table = 'sample_tags')
        AND NOT (armed = '- sample_tags' AND EXISTS (SELECT 1 FROM `sample_tags_history` WHERE `sample_id` COLLATE BINARY IS OLD.`sample_id` AND `tag_id` COLLATE BINARY IS OLD.`tag_id` AND history_id > since AND history_kind = '-'));
END;
DELETE FROM koherent_cascade WHERE tracked_table = 'sample_tags';
INSERT INTO koherent_cascade SELECT DISTINCT 'sample_tags', "table" FROM pragma_foreign_key_list('sample_tags') WHERE on_delete = 'CASCADE';
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'sample_tags';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'sample_tags', '', 'sample_tags_history', 'refuse', '["sample_id","tag_id"]', '["sample_id","tag_id"]', '["sample_id","tag_id"]', '[]', '{}');
