DROP TABLE sample_tags_history;
DROP TABLE tags_history;
DROP TABLE measurements_history;
DROP TABLE sample_tags;
DROP TABLE tags;
DROP TABLE measurements;
