-- What the calls of services took, by minute, hour and day. Rows are only ever added: where several are about the same part of a day, they
-- count together. Those that are old become one of a longer span.
CREATE TABLE service_tally (
    id         INTEGER NOT NULL PRIMARY KEY,
    -- seconds: 60, 3600 or 86400
    span       INTEGER NOT NULL,
    -- seconds since 1970
    began_at   INTEGER NOT NULL,
    server     TEXT    NOT NULL,
    -- of the service, in `identity`
    service_id INTEGER NOT NULL,
    calls      INTEGER NOT NULL,
    -- microseconds of all of them, of the quickest and of the slowest
    total_us   INTEGER NOT NULL,
    min_us     INTEGER NOT NULL,
    max_us     INTEGER NOT NULL
) STRICT;

CREATE INDEX service_tally_by_time ON service_tally (span, began_at);
