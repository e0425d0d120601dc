-- What the ODB says of itself: `secret_key`, the key that secrets are encrypted with, and `secret_fields`, the fields that are.
CREATE TABLE setting (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
