DROP INDEX koherent_task_created ON koherent_task;
