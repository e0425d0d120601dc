DELETE FROM counter WHERE name = 'history';
DROP INDEX object_version_by_revision;
DROP INDEX object_version_by_id;
ALTER TABLE object_version DROP COLUMN former_name;
ALTER TABLE object_version DROP COLUMN object_id;
DROP TABLE identity;
