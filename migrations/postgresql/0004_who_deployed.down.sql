ALTER TABLE source_version DROP COLUMN deployed_by;
ALTER TABLE source DROP COLUMN deployed_by;
