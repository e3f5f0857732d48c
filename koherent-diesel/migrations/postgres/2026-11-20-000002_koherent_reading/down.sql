DROP FUNCTION koherent_notify ();
DROP FUNCTION koherent_typed (anyelement, text);
DROP INDEX koherent_task_created;
