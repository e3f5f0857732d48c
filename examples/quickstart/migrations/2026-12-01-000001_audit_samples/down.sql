-- What samples_history has recorded is lost with it; `koherent retire` would keep it.
DROP TRIGGER IF EXISTS `koherent_guard_samples_insert`;
DROP TRIGGER IF EXISTS `koherent_guard_samples_update`;
DROP TRIGGER IF EXISTS `koherent_guard_samples_delete`;
DROP TRIGGER IF EXISTS `koherent_remember_samples_insert`;
DROP TRIGGER IF EXISTS `koherent_remember_samples_update`;
DROP TABLE IF EXISTS `koherent_replaced_samples`;
DELETE FROM koherent_cascade WHERE tracked_table = 'samples'; DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'samples';
DROP TABLE `samples_history`;
