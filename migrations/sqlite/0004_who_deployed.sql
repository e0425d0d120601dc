-- Who deployed a file, as the history of objects has it: `ann`, `cli:ann`, `pickup:ann`. NULL: nobody wrote it down then.
ALTER TABLE source ADD COLUMN deployed_by TEXT;
ALTER TABLE source_version ADD COLUMN deployed_by TEXT;
