-- samples is under audit: each change leaves a row in samples_history.
CREATE TABLE "samples_history" AS SELECT "id" AS "id", "name" AS "name", "note" AS "note", "owner" AS "owner", "mass" AS "mass", "metadata" AS "metadata", "created_at" AS "created_at" FROM "samples" WITH NO DATA;
ALTER TABLE "samples_history" ADD COLUMN history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ALTER COLUMN "id" SET NOT NULL,
    ADD COLUMN history_kind text NOT NULL,
    ADD COLUMN history_date timestamptz NOT NULL,
    ADD COLUMN history_user text,
    ADD COLUMN history_client text,
    ADD COLUMN history_organization text,
    ADD COLUMN history_task text,
    ADD COLUMN history_transaction uuid NOT NULL,
    ADD COLUMN history_reason text,
    ADD COLUMN history_context json;
CREATE INDEX "samples_history_key" ON "samples_history" ("id", "history_id");
CREATE INDEX "samples_history_task" ON "samples_history" ("history_task", "history_date", "history_id") INCLUDE ("id", "history_kind") WHERE history_task IS NOT NULL;
CREATE INDEX "samples_history_user" ON "samples_history" ("history_user", "history_date", "history_id") WHERE history_user IS NOT NULL;
CREATE INDEX "samples_history_organization" ON "samples_history" ("history_organization", "history_date", "history_id") WHERE history_organization IS NOT NULL;
CREATE INDEX "samples_history_date" ON "samples_history" ("history_date", "history_id");
CREATE TRIGGER koherent_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "samples_history"
    FOR EACH STATEMENT EXECUTE FUNCTION koherent_append_only();
CREATE TRIGGER koherent_guard_insert AFTER INSERT ON "samples"
    REFERENCING NEW TABLE AS koherent_new
    FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting('koherent.insert', true) WHEN 'samples' THEN set_config('koherent.insert', 'used samples', true) = '' WHEN 'used samples' THEN set_config('koherent.twice', 'samples INSERT', true) <> '' ELSE true END)
    EXECUTE FUNCTION koherent_guard('refuse', '', 'samples_history', '{"id"}', '{"id","name","note","owner","mass","metadata","created_at"}', '{"id","name","note","owner","mass","metadata","created_at"}');
CREATE TRIGGER koherent_guard_update AFTER UPDATE ON "samples"
    REFERENCING OLD TABLE AS koherent_old NEW TABLE AS koherent_new
    FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting('koherent.update', true) WHEN 'samples' THEN set_config('koherent.update', 'used samples', true) = '' WHEN 'used samples' THEN set_config('koherent.twice', 'samples UPDATE', true) <> '' ELSE true END)
    EXECUTE FUNCTION koherent_guard('refuse', '', 'samples_history', '{"id"}', '{"id","name","note","owner","mass","metadata","created_at"}', '{"id","name","note","owner","mass","metadata","created_at"}');
CREATE TRIGGER koherent_guard_delete AFTER DELETE ON "samples"
    REFERENCING OLD TABLE AS koherent_old
    FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting('koherent.delete', true) WHEN 'samples' THEN set_config('koherent.delete', 'used samples', true) = '' WHEN 'used samples' THEN set_config('koherent.twice', 'samples DELETE', true) <> '' ELSE true END)
    EXECUTE FUNCTION koherent_guard('refuse', '', 'samples_history', '{"id"}', '{"id","name","note","owner","mass","metadata","created_at"}', '{"id","name","note","owner","mass","metadata","created_at"}');
CREATE TRIGGER koherent_guard_truncate BEFORE TRUNCATE ON "samples"
    FOR EACH STATEMENT EXECUTE FUNCTION koherent_guard('refuse', '', 'samples_history', '{"id"}', '{"id","name","note","owner","mass","metadata","created_at"}', '{"id","name","note","owner","mass","metadata","created_at"}');
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'samples';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'samples', '', 'samples_history', 'refuse', '["id"]', '["id","name","note","owner","mass","metadata","created_at"]', '["id","name","note","owner","mass","metadata","created_at"]', '["storage_code"]', '{}');
-- measurements is under audit: each change leaves a row in measurements_history.
CREATE TABLE "measurements_history" AS SELECT "id" AS "id", "sample_id" AS "sample_id", "kind" AS "kind", "value" AS "value", "unit" AS "unit" FROM "measurements" WITH NO DATA;
ALTER TABLE "measurements_history" ADD COLUMN history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ALTER COLUMN "id" SET NOT NULL,
    ADD COLUMN history_kind text NOT NULL,
    ADD COLUMN history_date timestamptz NOT NULL,
    ADD COLUMN history_user text,
    ADD COLUMN history_client text,
    ADD COLUMN history_organization text,
    ADD COLUMN history_task text,
    ADD COLUMN history_transaction uuid NOT NULL,
    ADD COLUMN history_reason text,
    ADD COLUMN history_context json;
CREATE INDEX "measurements_history_key" ON "measurements_history" ("id", "history_id");
CREATE INDEX "measurements_history_task" ON "measurements_history" ("history_task", "history_date", "history_id") INCLUDE ("id", "history_kind") WHERE history_task IS NOT NULL;
CREATE INDEX "measurements_history_user" ON "measurements_history" ("history_user", "history_date", "history_id") WHERE history_user IS NOT NULL;
CREATE INDEX "measurements_history_organization" ON "measurements_history" ("history_organization", "history_date", "history_id") WHERE history_organization IS NOT NULL;
CREATE INDEX "measurements_history_date" ON "measurements_history" ("history_date", "history_id");
CREATE TRIGGER koherent_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "measurements_history"
    FOR EACH STATEMENT EXECUTE FUNCTION koherent_append_only();
CREATE TRIGGER koherent_guard_insert AFTER INSERT ON "measurements"
    REFERENCING NEW TABLE AS koherent_new
    FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting('koherent.insert', true) WHEN 'measurements' THEN set_config('koherent.insert', 'used measurements', true) = '' WHEN 'used measurements' THEN set_config('koherent.twice', 'measurements INSERT', true) <> '' ELSE true END)
    EXECUTE FUNCTION koherent_guard('refuse', '', 'measurements_history', '{"id"}', '{"id","sample_id","kind","value","unit"}', '{"id","sample_id","kind","value","unit"}');
CREATE TRIGGER koherent_guard_update AFTER UPDATE ON "measurements"
    REFERENCING OLD TABLE AS koherent_old NEW TABLE AS koherent_new
    FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting('koherent.update', true) WHEN 'measurements' THEN set_config('koherent.update', 'used measurements', true) = '' WHEN 'used measurements' THEN set_config('koherent.twice', 'measurements UPDATE', true) <> '' ELSE true END)
    EXECUTE FUNCTION koherent_guard('refuse', '', 'measurements_history', '{"id"}', '{"id","sample_id","kind","value","unit"}', '{"id","sample_id","kind","value","unit"}');
CREATE TRIGGER koherent_guard_delete AFTER DELETE ON "measurements"
    REFERENCING OLD TABLE AS koherent_old
    FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting('koherent.delete', true) WHEN 'measurements' THEN set_config('koherent.delete', 'used measurements', true) = '' WHEN 'used measurements' THEN set_config('koherent.twice', 'measurements DELETE', true) <> '' ELSE true END)
    EXECUTE FUNCTION koherent_guard('refuse', '', 'measurements_history', '{"id"}', '{"id","sample_id","kind","value","unit"}', '{"id","sample_id","kind","value","unit"}');
CREATE TRIGGER koherent_guard_truncate BEFORE TRUNCATE ON "measurements"
    FOR EACH STATEMENT EXECUTE FUNCTION koherent_guard('refuse', '', 'measurements_history', '{"id"}', '{"id","sample_id","kind","value","unit"}', '{"id","sample_id","kind","value","unit"}');
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'measurements';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'measurements', '', 'measurements_history', 'refuse', '["id"]', '["id","sample_id","kind","value","unit"]', '["id","sample_id","kind","value","unit"]', '[]', '{}');
-- tags is under audit: each change leaves a row in tags_history.
CREATE TABLE "tags_history" AS SELECT "id" AS "id", "label" AS "label" FROM "tags" WITH NO DATA;
ALTER TABLE "tags_history" ADD COLUMN history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ALTER COLUMN "id" SET NOT NULL,
    ADD COLUMN history_kind text NOT NULL,
    ADD COLUMN history_date timestamptz NOT NULL,
    ADD COLUMN history_user text,
    ADD COLUMN history_client text,
    ADD COLUMN history_organization text,
    ADD COLUMN history_task text,
    ADD COLUMN history_transaction uuid NOT NULL,
    ADD COLUMN history_reason text,
    ADD COLUMN history_context json;
CREATE INDEX "tags_history_key" ON "tags_history" ("id", "history_id");
CREATE INDEX "tags_history_task" ON "tags_history" ("history_task", "history_date", "history_id") INCLUDE ("id", "history_kind") WHERE history_task IS NOT NULL;
CREATE INDEX "tags_history_user" ON "tags_history" ("history_user", "history_date", "history_id") WHERE history_user IS NOT NULL;
CREATE INDEX "tags_history_organization" ON "tags_history" ("history_organization", "history_date", "history_id") WHERE history_organization IS NOT NULL;
CREATE INDEX "tags_history_date" ON "tags_history" ("history_date", "history_id");
CREATE TRIGGER koherent_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "tags_history"
    FOR EACH STATEMENT EXECUTE FUNCTION koherent_append_only();
CREATE TRIGGER koherent_guard_insert AFTER INSERT ON "tags"
    REFERENCING NEW TABLE AS koherent_new
    FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting('koherent.insert', true) WHEN 'tags' THEN set_config('koherent.insert', 'used tags', true) = '' WHEN 'used tags' THEN set_config('koherent.twice', 'tags INSERT', true) <> '' ELSE true END)
    EXECUTE FUNCTION koherent_guard('refuse', '', 'tags_history', '{"id"}', '{"id","label"}', '{"id","label"}');
CREATE TRIGGER koherent_guard_update AFTER UPDATE ON "tags"
    REFERENCING OLD TABLE AS koherent_old NEW TABLE AS koherent_new
    FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting('koherent.update', true) WHEN 'tags' THEN set_config('koherent.update', 'used tags', true) = '' WHEN 'used tags' THEN set_config('koherent.twice', 'tags UPDATE', true) <> '' ELSE true END)
    EXECUTE FUNCTION koherent_guard('refuse', '', 'tags_history', '{"id"}', '{"id","label"}', '{"id","label"}');
CREATE TRIGGER koherent_guard_delete AFTER DELETE ON "tags"
    REFERENCING OLD TABLE AS koherent_old
    FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting('koherent.delete', true) WHEN 'tags' THEN set_config('koherent.delete', 'used tags', true) = '' WHEN 'used tags' THEN set_config('koherent.twice', 'tags DELETE', true) <> '' ELSE true END)
    EXECUTE FUNCTION koherent_guard('refuse', '', 'tags_history', '{"id"}', '{"id","label"}', '{"id","label"}');
CREATE TRIGGER koherent_guard_truncate BEFORE TRUNCATE ON "tags"
    FOR EACH STATEMENT EXECUTE FUNCTION koherent_guard('refuse', '', 'tags_history', '{"id"}', '{"id","label"}', '{"id","label"}');
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'tags';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'tags', '', 'tags_history', 'refuse', '["id"]', '["id","label"]', '["id","label"]', '[]', '{}');
-- sample_tags is under audit: each change leaves a row in sample_tags_history.
CREATE TABLE "sample_tags_history" AS SELECT "sample_id" AS "sample_id", "tag_id" AS "tag_id" FROM "sample_tags" WITH NO DATA;
ALTER TABLE "sample_tags_history" ADD COLUMN history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ALTER COLUMN "sample_id" SET NOT NULL, ALTER COLUMN "tag_id" SET NOT NULL,
    ADD COLUMN history_kind text NOT NULL,
    ADD COLUMN history_date timestamptz NOT NULL,
    ADD COLUMN history_user text,
    ADD COLUMN history_client text,
    ADD COLUMN history_organization text,
    ADD COLUMN history_task text,
    ADD COLUMN history_transaction uuid NOT NULL,
    ADD COLUMN history_reason text,
    ADD COLUMN history_context json;
CREATE INDEX "sample_tags_history_key" ON "sample_tags_history" ("sample_id", "tag_id", "history_id");
CREATE INDEX "sample_tags_history_task" ON "sample_tags_history" ("history_task", "history_date", "history_id") INCLUDE ("sample_id", "tag_id", "history_kind") WHERE history_task IS NOT NULL;
CREATE INDEX "sample_tags_history_user" ON "sample_tags_history" ("history_user", "history_date", "history_id") WHERE history_user IS NOT NULL;
CREATE INDEX "sample_tags_history_organization" ON "sample_tags_history" ("history_organization", "history_date", "history_id") WHERE history_organization IS NOT NULL;
CREATE INDEX "sample_tags_history_date" ON "sample_tags_history" ("history_date", "history_id");
CREATE TRIGGER koherent_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "sample_tags_history"
    FOR EACH STATEMENT EXECUTE FUNCTION koherent_append_only();
CREATE TRIGGER koherent_guard_insert AFTER INSERT ON "sample_tags"
    REFERENCING NEW TABLE AS koherent_new
    FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting('koherent.insert', true) WHEN 'sample_tags' THEN set_config('koherent.insert', 'used sample_tags', true) = '' WHEN 'used sample_tags' THEN set_config('koherent.twice', 'sample_tags INSERT', true) <> '' ELSE true END)
    EXECUTE FUNCTION koherent_guard('refuse', '', 'sample_tags_history', '{"sample_id","tag_id"}', '{"sample_id","tag_id"}', '{"sample_id","tag_id"}');
CREATE TRIGGER koherent_guard_update AFTER UPDATE ON "sample_tags"
    REFERENCING OLD TABLE AS koherent_old NEW TABLE AS koherent_new
    FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting('koherent.update', true) WHEN 'sample_tags' THEN set_config('koherent.update', 'used sample_tags', true) = '' WHEN 'used sample_tags' THEN set_config('koherent.twice', 'sample_tags UPDATE', true) <> '' ELSE true END)
    EXECUTE FUNCTION koherent_guard('refuse', '', 'sample_tags_history', '{"sample_id","tag_id"}', '{"sample_id","tag_id"}', '{"sample_id","tag_id"}');
CREATE TRIGGER koherent_guard_delete AFTER DELETE ON "sample_tags"
    REFERENCING OLD TABLE AS koherent_old
    FOR EACH STATEMENT WHEN (pg_trigger_depth() > 0 OR CASE current_setting('koherent.delete', true) WHEN 'sample_tags' THEN set_config('koherent.delete', 'used sample_tags', true) = '' WHEN 'used sample_tags' THEN set_config('koherent.twice', 'sample_tags DELETE', true) <> '' ELSE true END)
    EXECUTE FUNCTION koherent_guard('refuse', '', 'sample_tags_history', '{"sample_id","tag_id"}', '{"sample_id","tag_id"}', '{"sample_id","tag_id"}');
CREATE TRIGGER koherent_guard_truncate BEFORE TRUNCATE ON "sample_tags"
    FOR EACH STATEMENT EXECUTE FUNCTION koherent_guard('refuse', '', 'sample_tags_history', '{"sample_id","tag_id"}', '{"sample_id","tag_id"}', '{"sample_id","tag_id"}');
DELETE FROM koherent_table WHERE tracked_schema = '' AND tracked_table = 'sample_tags';
INSERT INTO koherent_table (tracked_schema, tracked_table, history_schema, history_table, policy, key_columns, kept_columns, history_columns, excluded_columns, kept_since) VALUES ('', 'sample_tags', '', 'sample_tags_history', 'refuse', '["sample_id","tag_id"]', '["sample_id","tag_id"]', '["sample_id","tag_id"]', '[]', '{}');
