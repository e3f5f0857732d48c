DROP TABLE koherent_keeps_operation;
DROP TABLE koherent_keeps_task;
DROP TRIGGER koherent_task_delete;
DROP TRIGGER koherent_task_update;
DROP PROCEDURE koherent_stamp;
DROP PROCEDURE koherent_count_paused;
DROP TABLE koherent_operation;
DROP TABLE koherent_table;
