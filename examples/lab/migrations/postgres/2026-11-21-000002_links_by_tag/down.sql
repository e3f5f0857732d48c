DROP INDEX sample_tags_history_tag;
