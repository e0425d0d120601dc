-- What the ODB says of itself: `secret_key`, the key that secrets are encrypted with, and `secret_fields`, the fields that are.
CREATE TABLE setting (
    name  VARCHAR(50) NOT NULL PRIMARY KEY,
    value LONGTEXT    NOT NULL
) ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin;
