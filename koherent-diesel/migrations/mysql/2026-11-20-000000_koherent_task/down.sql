DROP TABLE koherent_task;
