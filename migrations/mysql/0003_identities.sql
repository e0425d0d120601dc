-- Numbers by which old management services name objects. Those of deployed services are of kind `service`, as what is set for them is.
-- An object that goes takes its row along; its number is never given again.
CREATE TABLE identity (
    id   BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind VARCHAR(100) NOT NULL,
    -- of deployed services too, which may be called more than objects may
    name VARCHAR(600) NOT NULL,
    UNIQUE (kind, name)
) ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin;

-- Whose version it is, whatever the object's name was then; of one that was renamed the name before.
ALTER TABLE object_version ADD COLUMN object_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE object_version ADD COLUMN former_name VARCHAR(200);

INSERT INTO identity (kind, name) SELECT kind, name FROM object ORDER BY kind, name;

-- Objects that are only in the history had a number too.
INSERT INTO identity (kind, name)
SELECT DISTINCT kind, name FROM object_version
WHERE NOT EXISTS (SELECT 1 FROM object WHERE object.kind = object_version.kind AND object.name = object_version.name);

UPDATE object_version SET object_id = (
    SELECT identity.id FROM identity WHERE identity.kind = object_version.kind AND identity.name = object_version.name
);

DELETE FROM identity
WHERE kind <> 'service'
    AND NOT EXISTS (SELECT 1 FROM object WHERE object.kind = identity.kind AND object.name = identity.name);

CREATE INDEX object_version_by_id ON object_version (object_id, id);
CREATE INDEX object_version_by_revision ON object_version (revision, id);

-- The revision up to which the history may lack objects, because they are gone and so are their versions.
INSERT INTO counter (name, value) VALUES ('history', 0);
