CREATE TABLE `koherent_replaced_docs` (`id`, `name`, `slug`, `n`);
CREATE TRIGGER `koherent_remember_docs_insert` BEFORE INSERT ON `docs`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('+ docs', '* docs'))
BEGIN
    DELETE FROM `koherent_replaced_docs`;
    INSERT INTO `koherent_replaced_docs` SELECT b.`id`, b.`name`, b.`slug`, b.`n` FROM `docs` AS b WHERE ((b.`id` = NEW.`id`));
END;
CREATE TRIGGER `koherent_remember_docs_update` BEFORE UPDATE ON `docs`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('~ docs', '* docs'))
BEGIN
    DELETE FROM `koherent_replaced_docs`;
    INSERT INTO `koherent_replaced_docs` SELECT b.`id`, b.`name`, b.`slug`, b.`n` FROM `docs` AS b WHERE ((b.`id` = NEW.`id`)) AND NOT (b.`id` COLLATE BINARY IS OLD.`id`);
END;
CREATE TRIGGER `koherent_guard_docs_insert` AFTER INSERT ON `docs`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('+ docs', '* docs'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'docs' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'docs');
    UPDATE koherent_operation SET created_rows = created_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'docs';
    INSERT INTO koherent_admit SELECT coalesce(statement_attribution, attribution) FROM koherent_session WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
    INSERT INTO `docs_history` (`id`, `name`, `slug`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT g.`id`, g.`name`, g.`slug`, g.`n`, '-', max(s.now, coalesce((SELECT h.history_date FROM `docs_history` AS h WHERE h.`id` COLLATE BINARY IS g.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'INSERT') FROM koherent_said AS s JOIN `koherent_replaced_docs` AS g
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NOT EXISTS (SELECT 1 FROM `docs` AS b WHERE b.`id` COLLATE BINARY IS g.`id`);
    INSERT INTO `docs_history` (`id`, `name`, `slug`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT NEW.`id`, NEW.`name`, NEW.`slug`, NEW.`n`, '+', max(s.now, coalesce((SELECT h.history_date FROM `docs_history` AS h WHERE h.`id` COLLATE BINARY IS NEW.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'INSERT') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NOT EXISTS (SELECT 1 FROM `koherent_replaced_docs` AS r WHERE r.`id` COLLATE BINARY IS NEW.`id`);
    INSERT INTO `docs_history` (`id`, `name`, `slug`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT NEW.`id`, NEW.`name`, NEW.`slug`, NEW.`n`, '~', max(s.now, coalesce((SELECT h.history_date FROM `docs_history` AS h WHERE h.`id` COLLATE BINARY IS NEW.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'INSERT') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND EXISTS (SELECT 1 FROM `koherent_replaced_docs` AS r WHERE r.`id` COLLATE BINARY IS NEW.`id` AND (r.`id` IS NOT NEW.`id` COLLATE BINARY OR typeof(r.`id`) <> typeof(NEW.`id`) OR r.`name` IS NOT NEW.`name` COLLATE BINARY OR typeof(r.`name`) <> typeof(NEW.`name`) OR r.`slug` IS NOT NEW.`slug` COLLATE BINARY OR typeof(r.`slug`) <> typeof(NEW.`slug`) OR r.`n` IS NOT NEW.`n` COLLATE BINARY OR typeof(r.`n`) <> typeof(NEW.`n`)));
    DELETE FROM `koherent_replaced_docs`;
END;
CREATE TRIGGER `koherent_guard_docs_update` AFTER UPDATE ON `docs`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('~ docs', '* docs'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'docs' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'docs');
    UPDATE koherent_operation SET updated_rows = updated_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'docs';
    INSERT INTO koherent_admit SELECT coalesce(statement_attribution, attribution) FROM koherent_session WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
    INSERT INTO `docs_history` (`id`, `name`, `slug`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT g.`id`, g.`name`, g.`slug`, g.`n`, '-', max(s.now, coalesce((SELECT h.history_date FROM `docs_history` AS h WHERE h.`id` COLLATE BINARY IS g.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'UPDATE') FROM koherent_said AS s JOIN `koherent_replaced_docs` AS g
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NOT EXISTS (SELECT 1 FROM `docs` AS b WHERE b.`id` COLLATE BINARY IS g.`id`);
    INSERT INTO `docs_history` (`id`, `name`, `slug`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT OLD.`id`, OLD.`name`, OLD.`slug`, OLD.`n`, '-', max(s.now, coalesce((SELECT h.history_date FROM `docs_history` AS h WHERE h.`id` COLLATE BINARY IS OLD.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'UPDATE') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NOT (NEW.`id` COLLATE BINARY IS OLD.`id`);
    INSERT INTO `docs_history` (`id`, `name`, `slug`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT NEW.`id`, NEW.`name`, NEW.`slug`, NEW.`n`, '+', max(s.now, coalesce((SELECT h.history_date FROM `docs_history` AS h WHERE h.`id` COLLATE BINARY IS NEW.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'UPDATE') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NOT (NEW.`id` COLLATE BINARY IS OLD.`id`) AND NOT EXISTS (SELECT 1 FROM `koherent_replaced_docs` AS r WHERE r.`id` COLLATE BINARY IS NEW.`id`);
    INSERT INTO `docs_history` (`id`, `name`, `slug`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT NEW.`id`, NEW.`name`, NEW.`slug`, NEW.`n`, '~', max(s.now, coalesce((SELECT h.history_date FROM `docs_history` AS h WHERE h.`id` COLLATE BINARY IS NEW.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'UPDATE') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NOT (NEW.`id` COLLATE BINARY IS OLD.`id`) AND EXISTS (SELECT 1 FROM `koherent_replaced_docs` AS r WHERE r.`id` COLLATE BINARY IS NEW.`id` AND (r.`id` IS NOT NEW.`id` COLLATE BINARY OR typeof(r.`id`) <> typeof(NEW.`id`) OR r.`name` IS NOT NEW.`name` COLLATE BINARY OR typeof(r.`name`) <> typeof(NEW.`name`) OR r.`slug` IS NOT NEW.`slug` COLLATE BINARY OR typeof(r.`slug`) <> typeof(NEW.`slug`) OR r.`n` IS NOT NEW.`n` COLLATE BINARY OR typeof(r.`n`) <> typeof(NEW.`n`)));
    INSERT INTO `docs_history` (`id`, `name`, `slug`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT NEW.`id`, NEW.`name`, NEW.`slug`, NEW.`n`, '~', max(s.now, coalesce((SELECT h.history_date FROM `docs_history` AS h WHERE h.`id` COLLATE BINARY IS NEW.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'UPDATE') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NEW.`id` COLLATE BINARY IS OLD.`id` AND (OLD.`id` IS NOT NEW.`id` COLLATE BINARY OR typeof(OLD.`id`) <> typeof(NEW.`id`) OR OLD.`name` IS NOT NEW.`name` COLLATE BINARY OR typeof(OLD.`name`) <> typeof(NEW.`name`) OR OLD.`slug` IS NOT NEW.`slug` COLLATE BINARY OR typeof(OLD.`slug`) <> typeof(NEW.`slug`) OR OLD.`n` IS NOT NEW.`n` COLLATE BINARY OR typeof(OLD.`n`) <> typeof(NEW.`n`));
    DELETE FROM `koherent_replaced_docs`;
END;
CREATE TRIGGER `koherent_guard_docs_delete` AFTER DELETE ON `docs`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('- docs') AND EXISTS (SELECT 1 FROM `docs_history` WHERE `id` COLLATE BINARY IS OLD.`id` AND history_id > since AND history_kind = '-'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'docs' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'docs');
    UPDATE koherent_operation SET deleted_rows = deleted_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'docs';
    INSERT INTO koherent_admit SELECT coalesce(statement_attribution, attribution) FROM koherent_session WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
    INSERT INTO `docs_history` (`id`, `name`, `slug`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT OLD.`id`, OLD.`name`, OLD.`slug`, OLD.`n`, '-', max(s.now, coalesce((SELECT h.history_date FROM `docs_history` AS h WHERE h.`id` COLLATE BINARY IS OLD.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'DELETE') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND 1;
    DELETE FROM `koherent_replaced_docs` WHERE `id` COLLATE BINARY IS OLD.`id`;
END;
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'docs';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'docs', '', 'docs_history', 'capture', '["id"]', '["id","name","slug","n"]', '["id","name","slug","n"]', '[]', '{}');
CREATE TABLE `koherent_replaced_tallies` (`id`, `n`);
CREATE TRIGGER `koherent_remember_tallies_insert` BEFORE INSERT ON `tallies`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('+ tallies', '* tallies'))
BEGIN
    DELETE FROM `koherent_replaced_tallies`;
    INSERT INTO `koherent_replaced_tallies` SELECT b.`id`, b.`n` FROM `tallies` AS b WHERE ((b.`id` = NEW.`id`));
END;
CREATE TRIGGER `koherent_remember_tallies_update` BEFORE UPDATE ON `tallies`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('~ tallies', '* tallies'))
BEGIN
    DELETE FROM `koherent_replaced_tallies`;
    INSERT INTO `koherent_replaced_tallies` SELECT b.`id`, b.`n` FROM `tallies` AS b WHERE ((b.`id` = NEW.`id`)) AND NOT (b.`id` COLLATE BINARY IS OLD.`id`);
END;
CREATE TRIGGER `koherent_guard_tallies_insert` AFTER INSERT ON `tallies`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('+ tallies', '* tallies'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'tallies' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'tallies');
    UPDATE koherent_operation SET created_rows = created_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'tallies';
    INSERT INTO koherent_admit SELECT coalesce(statement_attribution, attribution) FROM koherent_session WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
    INSERT INTO `tallies_history` (`id`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT g.`id`, g.`n`, '-', max(s.now, coalesce((SELECT h.history_date FROM `tallies_history` AS h WHERE h.`id` COLLATE BINARY IS g.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'INSERT') FROM koherent_said AS s JOIN `koherent_replaced_tallies` AS g
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NOT EXISTS (SELECT 1 FROM `tallies` AS b WHERE b.`id` COLLATE BINARY IS g.`id`);
    INSERT INTO `tallies_history` (`id`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT NEW.`id`, NEW.`n`, '+', max(s.now, coalesce((SELECT h.history_date FROM `tallies_history` AS h WHERE h.`id` COLLATE BINARY IS NEW.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'INSERT') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NOT EXISTS (SELECT 1 FROM `koherent_replaced_tallies` AS r WHERE r.`id` COLLATE BINARY IS NEW.`id`);
    INSERT INTO `tallies_history` (`id`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT NEW.`id`, NEW.`n`, '~', max(s.now, coalesce((SELECT h.history_date FROM `tallies_history` AS h WHERE h.`id` COLLATE BINARY IS NEW.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'INSERT') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND EXISTS (SELECT 1 FROM `koherent_replaced_tallies` AS r WHERE r.`id` COLLATE BINARY IS NEW.`id` AND (r.`id` IS NOT NEW.`id` COLLATE BINARY OR typeof(r.`id`) <> typeof(NEW.`id`) OR r.`n` IS NOT NEW.`n` COLLATE BINARY OR typeof(r.`n`) <> typeof(NEW.`n`)));
    DELETE FROM `koherent_replaced_tallies`;
END;
CREATE TRIGGER `koherent_guard_tallies_update` AFTER UPDATE ON `tallies`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('~ tallies', '* tallies'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'tallies' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'tallies');
    UPDATE koherent_operation SET updated_rows = updated_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'tallies';
    INSERT INTO koherent_admit SELECT coalesce(statement_attribution, attribution) FROM koherent_session WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
    INSERT INTO `tallies_history` (`id`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT g.`id`, g.`n`, '-', max(s.now, coalesce((SELECT h.history_date FROM `tallies_history` AS h WHERE h.`id` COLLATE BINARY IS g.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'UPDATE') FROM koherent_said AS s JOIN `koherent_replaced_tallies` AS g
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NOT EXISTS (SELECT 1 FROM `tallies` AS b WHERE b.`id` COLLATE BINARY IS g.`id`);
    INSERT INTO `tallies_history` (`id`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT OLD.`id`, OLD.`n`, '-', max(s.now, coalesce((SELECT h.history_date FROM `tallies_history` AS h WHERE h.`id` COLLATE BINARY IS OLD.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'UPDATE') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NOT (NEW.`id` COLLATE BINARY IS OLD.`id`);
    INSERT INTO `tallies_history` (`id`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT NEW.`id`, NEW.`n`, '+', max(s.now, coalesce((SELECT h.history_date FROM `tallies_history` AS h WHERE h.`id` COLLATE BINARY IS NEW.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'UPDATE') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NOT (NEW.`id` COLLATE BINARY IS OLD.`id`) AND NOT EXISTS (SELECT 1 FROM `koherent_replaced_tallies` AS r WHERE r.`id` COLLATE BINARY IS NEW.`id`);
    INSERT INTO `tallies_history` (`id`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT NEW.`id`, NEW.`n`, '~', max(s.now, coalesce((SELECT h.history_date FROM `tallies_history` AS h WHERE h.`id` COLLATE BINARY IS NEW.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'UPDATE') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NOT (NEW.`id` COLLATE BINARY IS OLD.`id`) AND EXISTS (SELECT 1 FROM `koherent_replaced_tallies` AS r WHERE r.`id` COLLATE BINARY IS NEW.`id` AND (r.`id` IS NOT NEW.`id` COLLATE BINARY OR typeof(r.`id`) <> typeof(NEW.`id`) OR r.`n` IS NOT NEW.`n` COLLATE BINARY OR typeof(r.`n`) <> typeof(NEW.`n`)));
    INSERT INTO `tallies_history` (`id`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT NEW.`id`, NEW.`n`, '~', max(s.now, coalesce((SELECT h.history_date FROM `tallies_history` AS h WHERE h.`id` COLLATE BINARY IS NEW.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'UPDATE') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND NEW.`id` COLLATE BINARY IS OLD.`id` AND (OLD.`id` IS NOT NEW.`id` COLLATE BINARY OR typeof(OLD.`id`) <> typeof(NEW.`id`) OR OLD.`n` IS NOT NEW.`n` COLLATE BINARY OR typeof(OLD.`n`) <> typeof(NEW.`n`));
    DELETE FROM `koherent_replaced_tallies`;
END;
CREATE TRIGGER `koherent_guard_tallies_delete` AFTER DELETE ON `tallies`
WHEN NOT EXISTS (SELECT 1 FROM koherent_session WHERE armed IN ('- tallies') AND EXISTS (SELECT 1 FROM `tallies_history` WHERE `id` COLLATE BINARY IS OLD.`id` AND history_id > since AND history_kind = '-'))
BEGIN
    INSERT INTO koherent_operation (operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, tracked_table)
    SELECT operation, operation_date, operation_user, operation_client, operation_organization, operation_task, operation_transaction, operation_reason, operation_context, 'tallies' FROM koherent_pause AS p
    WHERE NOT EXISTS (SELECT 1 FROM koherent_operation AS o WHERE o.operation_transaction = p.operation_transaction AND o.tracked_table = 'tallies');
    UPDATE koherent_operation SET deleted_rows = deleted_rows + 1 WHERE operation_transaction = (SELECT operation_transaction FROM koherent_pause) AND tracked_table = 'tallies';
    INSERT INTO koherent_admit SELECT coalesce(statement_attribution, attribution) FROM koherent_session WHERE NOT EXISTS (SELECT 1 FROM koherent_pause);
    INSERT INTO `tallies_history` (`id`, `n`, `history_kind`, `history_date`, `history_user`, `history_client`, `history_organization`, `history_task`, `history_transaction`, `history_reason`, `history_context`)
    SELECT OLD.`id`, OLD.`n`, '-', max(s.now, coalesce((SELECT h.history_date FROM `tallies_history` AS h WHERE h.`id` COLLATE BINARY IS OLD.`id` ORDER BY h.history_id DESC LIMIT 1), '')), s.user, s.client, s.organization, s.task, lower(s.transaction_id), s.reason, json_set(s.context, '$.captured', 'DELETE') FROM koherent_said AS s
    WHERE NOT EXISTS (SELECT 1 FROM koherent_pause) AND 1;
    DELETE FROM `koherent_replaced_tallies` WHERE `id` COLLATE BINARY IS OLD.`id`;
END;
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'tallies';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'tallies', '', 'tallies_history', 'capture', '["id"]', '["id","n"]', '["id","n"]', '[]', '{}');
