-- name: schema
-- Traces, their spans, and an index of tags. Text that repeats (services, names, resources) is kept once.
CREATE TABLE IF NOT EXISTS trace (
    trace INTEGER PRIMARY KEY,
    trace_id BLOB NOT NULL UNIQUE,
    received_s INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS operation (
    operation INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    UNIQUE (service, name, kind)
);
CREATE TABLE IF NOT EXISTS origin (
    origin INTEGER PRIMARY KEY,
    body BLOB NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS span (
    span INTEGER PRIMARY KEY,
    trace INTEGER NOT NULL REFERENCES trace,
    span_id BLOB NOT NULL,
    operation INTEGER NOT NULL REFERENCES operation,
    origin INTEGER NOT NULL REFERENCES origin,
    start_ns INTEGER NOT NULL,
    duration_ns INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (trace, span_id)
);
CREATE INDEX IF NOT EXISTS span_by_operation ON span (operation, start_ns);
-- tag is a 64-bit hash of key and value: a search looks it up and then compares the span's real tags.
CREATE TABLE IF NOT EXISTS span_tag (
    tag INTEGER NOT NULL,
    span INTEGER NOT NULL,
    PRIMARY KEY (tag, span)
) WITHOUT ROWID;
