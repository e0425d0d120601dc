-- The tables of migrations/sqlite, which says what they are for. Numbers are BIGINT, because that is how they are read; names compare and
-- sort by their bytes, whatever the server's default is, and are short enough for an index: 300 characters of 4 bytes of the 3072 allowed.
CREATE TABLE counter (
    name  VARCHAR(50) NOT NULL PRIMARY KEY,
    value BIGINT      NOT NULL
) ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin;

INSERT INTO counter (name, value) VALUES ('revision', 0), ('generation', 0);

CREATE TABLE object (
    kind       VARCHAR(100) NOT NULL,
    name       VARCHAR(200) NOT NULL,
    is_active  BIGINT       NOT NULL CHECK (is_active IN (0, 1)),
    body       LONGTEXT     NOT NULL,
    version    BIGINT       NOT NULL,
    changed_at VARCHAR(50)  NOT NULL,
    changed_by TEXT         NOT NULL,
    PRIMARY KEY (kind, name)
) ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin;

CREATE TABLE object_version (
    id         BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind       VARCHAR(100) NOT NULL,
    name       VARCHAR(200) NOT NULL,
    version    BIGINT       NOT NULL,
    revision   BIGINT       NOT NULL,
    action     VARCHAR(10)  NOT NULL CHECK (action IN ('create', 'change', 'delete')),
    is_active  BIGINT,
    body       LONGTEXT,
    changed_at VARCHAR(50)  NOT NULL,
    changed_by TEXT         NOT NULL,
    INDEX object_version_by_object (kind, name, id)
) ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin;

CREATE TABLE source (
    module      VARCHAR(255) NOT NULL PRIMARY KEY,
    path        TEXT         NOT NULL,
    text        LONGBLOB     NOT NULL,
    hash        VARCHAR(200) NOT NULL,
    generation  BIGINT       NOT NULL,
    deployed_at VARCHAR(50)  NOT NULL
) ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin;

CREATE TABLE source_version (
    module      VARCHAR(255) NOT NULL,
    generation  BIGINT       NOT NULL,
    path        TEXT         NOT NULL,
    text        LONGBLOB     NOT NULL,
    hash        VARCHAR(200) NOT NULL,
    deployed_at VARCHAR(50)  NOT NULL,
    PRIMARY KEY (module, generation)
) ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin;

CREATE TABLE deployment_failure (
    id         BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    generation BIGINT       NOT NULL,
    module     VARCHAR(255) NOT NULL,
    message    LONGTEXT     NOT NULL,
    traceback  LONGTEXT     NOT NULL,
    failed_at  VARCHAR(50)  NOT NULL
) ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin;
