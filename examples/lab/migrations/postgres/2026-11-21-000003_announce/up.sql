-- Entries are announced as they are committed.
CREATE TRIGGER koherent_notify AFTER INSERT ON "samples_history" REFERENCING NEW TABLE AS k_new FOR EACH STATEMENT EXECUTE FUNCTION koherent_notify();
CREATE TRIGGER koherent_notify AFTER INSERT ON "measurements_history" REFERENCING NEW TABLE AS k_new FOR EACH STATEMENT EXECUTE FUNCTION koherent_notify();
CREATE TRIGGER koherent_notify AFTER INSERT ON "tags_history" REFERENCING NEW TABLE AS k_new FOR EACH STATEMENT EXECUTE FUNCTION koherent_notify();
CREATE TRIGGER koherent_notify AFTER INSERT ON "sample_tags_history" REFERENCING NEW TABLE AS k_new FOR EACH STATEMENT EXECUTE FUNCTION koherent_notify();
