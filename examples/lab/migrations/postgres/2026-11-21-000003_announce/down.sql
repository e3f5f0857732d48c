DROP TRIGGER koherent_notify ON "samples_history";
DROP TRIGGER koherent_notify ON "measurements_history";
DROP TRIGGER koherent_notify ON "tags_history";
DROP TRIGGER koherent_notify ON "sample_tags_history";
