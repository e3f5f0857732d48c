DROP VIEW koherent_raw;
DROP VIEW koherent_part;
DROP TABLE koherent_cascade;
DROP TABLE koherent_nested;
ALTER TABLE koherent_session DROP COLUMN watched;
