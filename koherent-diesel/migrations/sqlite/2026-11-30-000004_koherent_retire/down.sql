DROP TABLE koherent_retired;
ALTER TABLE koherent_table DROP COLUMN former_names;
