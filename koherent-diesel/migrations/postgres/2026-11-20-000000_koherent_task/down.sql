DROP FUNCTION koherent_key_changed;
DROP FUNCTION koherent_history_incomplete;
DROP FUNCTION koherent_admit_task;
DROP TABLE koherent_task;
