-- Links are asked for from either end; the history's own index begins with the samples.
CREATE INDEX sample_tags_history_tag ON sample_tags_history (tag_id, history_id);
