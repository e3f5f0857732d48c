DROP TABLE samples_history;
DROP TABLE samples;
