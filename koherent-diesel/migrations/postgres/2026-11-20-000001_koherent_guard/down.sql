DROP TABLE koherent_operation;
DROP TABLE koherent_table;
DROP TRIGGER koherent_append_only ON koherent_task;
DROP FUNCTION koherent_append_only();
DROP FUNCTION koherent_guard();
DROP FUNCTION koherent_pause(text);
DROP FUNCTION koherent_admit_said_task(json);
DROP FUNCTION koherent_transaction(json);
DROP FUNCTION koherent_role();
