-- The tables of migrations/sqlite, which says what they are for. Numbers are BIGINT, because that is how they are read; names compare and
-- sort by their bytes, whatever the database's locale.
CREATE TABLE counter (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BIGINT           NOT NULL
);

INSERT INTO counter (name, value) VALUES ('revision', 0), ('generation', 0);

CREATE TABLE object (
    kind       TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    is_active  BIGINT           NOT NULL CHECK (is_active IN (0, 1)),
    body       TEXT             NOT NULL,
    version    BIGINT           NOT NULL,
    changed_at TEXT             NOT NULL,
    changed_by TEXT             NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE object_version (
    id         BIGINT           NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    version    BIGINT           NOT NULL,
    revision   BIGINT           NOT NULL,
    action     TEXT             NOT NULL CHECK (action IN ('create', 'change', 'delete')),
    is_active  BIGINT,
    body       TEXT,
    changed_at TEXT             NOT NULL,
    changed_by TEXT             NOT NULL
);

CREATE INDEX object_version_by_object ON object_version (kind, name, id);

CREATE TABLE source (
    module      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    path        TEXT             NOT NULL,
    text        BYTEA            NOT NULL,
    hash        TEXT             NOT NULL,
    generation  BIGINT           NOT NULL,
    deployed_at TEXT             NOT NULL
);

CREATE TABLE source_version (
    module      TEXT COLLATE "C" NOT NULL,
    generation  BIGINT           NOT NULL,
    path        TEXT             NOT NULL,
    text        BYTEA            NOT NULL,
    hash        TEXT             NOT NULL,
    deployed_at TEXT             NOT NULL,
    PRIMARY KEY (module, generation)
);

CREATE TABLE deployment_failure (
    id         BIGINT           NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    generation BIGINT           NOT NULL,
    module     TEXT COLLATE "C" NOT NULL,
    message    TEXT             NOT NULL,
    traceback  TEXT             NOT NULL,
    failed_at  TEXT             NOT NULL
);
