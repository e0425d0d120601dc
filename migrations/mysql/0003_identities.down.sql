DELETE FROM counter WHERE name = 'history';
DROP INDEX object_version_by_revision ON object_version;
DROP INDEX object_version_by_id ON object_version;
ALTER TABLE object_version DROP COLUMN former_name;
ALTER TABLE object_version DROP COLUMN object_id;
DROP TABLE identity;
