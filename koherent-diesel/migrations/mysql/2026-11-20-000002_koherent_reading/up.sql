-- Lists of tasks, newest first.
CREATE INDEX koherent_task_created ON koherent_task (created_at, task_id);
