DROP TABLE sample_tags;
DROP TABLE tags;
DROP TABLE measurements;
DROP TABLE samples;
