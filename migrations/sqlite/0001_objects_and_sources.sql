-- How another program tells that a file is busbar's: "busb". Keep it in step with store/src/open.rs.
PRAGMA application_id = 0x62757362;

-- Numbers that only grow: `revision` with every change set, `generation` with every deployment that was tried.
CREATE TABLE counter (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counter (name, value) VALUES ('revision', 0), ('generation', 0);

-- Every configured object as it is now. `body` is a JSON object with the fields of its type.
CREATE TABLE object (
    kind       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    is_active  INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    body       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    changed_at TEXT    NOT NULL,
    changed_by TEXT    NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- Every object as it ever was. Of a deleted one the last row has no body.
CREATE TABLE object_version (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    kind       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    action     TEXT    NOT NULL CHECK (action IN ('create', 'change', 'delete')),
    is_active  INTEGER,
    body       TEXT,
    changed_at TEXT    NOT NULL,
    changed_by TEXT    NOT NULL
) STRICT;

CREATE INDEX object_version_by_object ON object_version (kind, name, id);

-- The source file of every deployed module, as it runs now.
CREATE TABLE source (
    module      TEXT    NOT NULL PRIMARY KEY,
    path        TEXT    NOT NULL,
    text        BLOB    NOT NULL,
    hash        TEXT    NOT NULL,
    generation  INTEGER NOT NULL,
    deployed_at TEXT    NOT NULL
) STRICT;

-- What each module ran before, so that rolling back is deploying an older text.
CREATE TABLE source_version (
    module      TEXT    NOT NULL,
    generation  INTEGER NOT NULL,
    path        TEXT    NOT NULL,
    text        BLOB    NOT NULL,
    hash        TEXT    NOT NULL,
    deployed_at TEXT    NOT NULL,
    PRIMARY KEY (module, generation)
) STRICT;

-- Deployments that were refused, the last ones.
CREATE TABLE deployment_failure (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    generation INTEGER NOT NULL,
    module     TEXT    NOT NULL,
    message    TEXT    NOT NULL,
    traceback  TEXT    NOT NULL,
    failed_at  TEXT    NOT NULL
) STRICT;
