DROP INDEX koherent_task_created;
