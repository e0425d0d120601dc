-- What the calls of services took, by minute, hour and day. Rows are only ever added: where several are about the same part of a day, they
-- count together. Those that are old become one of a longer span.
CREATE TABLE service_tally (
    id         BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- seconds: 60, 3600 or 86400
    span       BIGINT NOT NULL,
    -- seconds since 1970
    began_at   BIGINT NOT NULL,
    server     TEXT   NOT NULL,
    -- of the service, in `identity`
    service_id BIGINT NOT NULL,
    calls      BIGINT NOT NULL,
    -- microseconds of all of them, of the quickest and of the slowest
    total_us   BIGINT NOT NULL,
    min_us     BIGINT NOT NULL,
    max_us     BIGINT NOT NULL
);

CREATE INDEX service_tally_by_time ON service_tally (span, began_at);
